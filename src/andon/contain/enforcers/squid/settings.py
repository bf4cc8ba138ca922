"""What ``[[enforcer]] kind = "squid"`` says: the folder of the lists, and how the proxy is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from andon.contain.enforcers.given import Given
from andon.contain.enforcers.rpz.settings import found

# It stands in squid.conf in quotes, and in messages.
_FOLDER: Final = re.compile(r"/[A-Za-z0-9_./+-]{1,200}")
_PAGE: Final = re.compile(r"https?://[A-Za-z0-9._:\[\]-]{1,253}(/[A-Za-z0-9._~/?=&-]{0,500})?")
_PROBE: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]{1,253})):([0-9]{1,5})")


@dataclass(frozen=True)
class Settings:
    """See docs/enforcer-squid.md. ``direct``: whether clients can reach the outside without this proxy."""

    folder: Path
    reconfigure: tuple[str, ...]
    check: tuple[str, ...] = ()
    page: str = ""
    resolve: bool = True
    direct: bool = True
    probe: tuple[str, int] | None = None
    max_rules: int = 100_000
    settle: float = 1.0
    patience: float = 10.0


def read_settings(settings: Mapping[str, Any], base: Path) -> Settings:
    """Raises ValueError that names the setting."""
    given = Given(settings, base)
    folder = given.path("folder").absolute()
    if not _FOLDER.fullmatch(str(folder)) or ".." in folder.parts:
        raise ValueError(f"folder is a path of letters, digits and ._+-, for squid.conf, not {str(folder)!r}")
    page = given.text("quarantine_page", "")
    if page and not _PAGE.fullmatch(page):
        raise ValueError(f"quarantine_page is an http or https URL, not {page!r}")
    probe = given.text("probe", "")
    match = _PROBE.fullmatch(probe) if probe else None
    if probe and (match is None or not 0 < int(match[3]) < 65536):
        raise ValueError(f"probe is HOST:PORT of the proxy, not {probe!r}")
    made = Settings(
        folder=folder,
        reconfigure=given.texts("reconfigure", 32) or (found("squid"), "-k", "reconfigure"),
        check=given.texts("check", 32),
        page=page,
        resolve=given.flag("resolve", True),
        direct=given.flag("direct", True),
        probe=None if match is None else (match[1] or match[2], int(match[3])),
        max_rules=given.number("max_rules", 100_000, 1, 1_000_000),
        settle=given.seconds("settle", 1.0, 0.0, 60.0),
        patience=given.seconds("patience", 10.0, 0.1, 60.0),
    )
    given.end()
    return made
