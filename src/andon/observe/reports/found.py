"""One mention as an extractor finds it: positions are those of the plain text."""

from __future__ import annotations

from typing import NamedTuple


class Found(NamedTuple):
    type: str  # one of records.report.MENTION_TYPES
    value: str
    start: int
    end: int
