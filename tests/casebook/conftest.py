"""A casebook on each database (``place``, see ``databases``)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from andon.store.casebook import Casebook


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A casebook with its tables, to be copied: making them is most of what a small test costs."""
    folder = tmp_path_factory.mktemp("empty")
    with Casebook(folder) as made:
        made.migrate()
    return folder / "casebook.db"


@pytest.fixture
def book(place: str, empty_file: Path) -> Iterator[Casebook]:
    """A fresh casebook."""
    if "://" not in place:
        shutil.copy(empty_file, place)
    with Casebook(place) as made:
        made.migrate()
        yield made
