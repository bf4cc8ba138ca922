"""Lists of assets (``observe.assets``)."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from andon.observe.sensors import ASSETS

if TYPE_CHECKING:
    from andon.observe.jsonlines import Skipped


class Assets:
    name = "asset-list"
    kind = ASSETS

    def recognise(self, head: bytes, name: str) -> bool:
        return bool(_home().recognise(head, name))

    def read(self, path: str | Path, skipped: Skipped) -> Iterator[pa.RecordBatch]:
        yield from _home().assets(path, skipped).to_batches()


def _home() -> Any:
    return import_module("andon.observe.assets")  # only when a file has to be looked at


def sensor() -> Assets:
    return Assets()
