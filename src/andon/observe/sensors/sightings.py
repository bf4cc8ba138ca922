"""Tables of darknet sources (``observe.sightings``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from andon.records.kinds import DARKNET_SOURCE

if TYPE_CHECKING:
    from andon.observe.jsonlines import Skipped


class Sightings:
    name = "darknet-sources"
    kind = DARKNET_SOURCE

    def recognise(self, head: bytes, name: str) -> bool:
        from andon.observe.sightings import recognise

        return recognise(head, name)

    def read(self, path: str | Path, skipped: Skipped) -> Iterator[pa.RecordBatch]:
        from andon.observe.sightings import sightings

        return sightings(path, skipped)


def sensor() -> Sightings:
    return Sightings()
