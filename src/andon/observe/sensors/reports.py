"""Reports about attacks: articles, advisories, posts (``observe.reports``)."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from andon.records.kinds import REPORT

if TYPE_CHECKING:
    from andon.observe.jsonlines import Skipped


class Reports:
    name = "report"
    kind = REPORT

    def recognise(self, head: bytes, name: str) -> bool:
        return bool(_home().recognise(head, name))

    def read(self, path: str | Path, skipped: Skipped) -> Iterator[pa.RecordBatch]:
        yield from _home().reports(path, skipped)


def _home() -> Any:
    return import_module("andon.observe.reports")  # only when a file has to be looked at


def sensor() -> Reports:
    return Reports()
