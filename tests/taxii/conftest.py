"""A store of objects, a server in front of it, and clients of others to ask it."""

from __future__ import annotations

from pathlib import Path

import pytest

from andon.share.taxii.settings import Settings, settings_from
from served import Authority, make_authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two users; ``partner`` sees green and indicators, ``public`` what is clear."""
    (tmp_path / "partner.password").write_text("opensesame\n")
    (tmp_path / "public.token").write_text("t0ken\n")
    return settings_from(
        {
            "title": "Example CERT",
            "user": [
                {"name": "partner", "password_file": "partner.password"},
                {"name": "public", "token_file": "public.token"},
            ],
            "collection": [
                {"name": "green", "title": "Everything green", "tlp": "green", "readers": ["partner"]},
                {"name": "indicators", "types": ["indicator"], "tlp": "green", "readers": ["partner"]},
                {"name": "clear", "tlp": "clear"},
            ],
        },
        tmp_path,
    )
