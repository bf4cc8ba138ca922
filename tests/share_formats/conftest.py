"""A casebook to deliver from and a clock to turn (as in tests/outbox)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from andon.store.casebook import Casebook


class Clock:
    """Stands still until it is turned; 2026-01-01 12:00 UTC."""

    now = 1_767_268_800_000_000_000

    def __call__(self) -> int:
        return self.now

    def turn(self, seconds: float) -> None:
        self.now += int(seconds * 1_000_000_000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Casebook]:
    with Casebook(tmp_path / "casebook.db") as made:
        made.migrate()
        yield made
