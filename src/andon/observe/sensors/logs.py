"""Logs of proxies and sensors (``observe.logs``): contacts, flows, and what Suricata and Zeek raise alerts about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from andon.observe.logs.options import Options
from andon.records.kinds import ALERT, CONTACT, FLOW, marked

if TYPE_CHECKING:
    from andon.observe.jsonlines import Skipped


@dataclass
class Logs:
    """``options``: what the operator says about formats and terminals."""

    options: Options = field(default_factory=Options)
    name: str = "log"
    kind: str = CONTACT
    kinds: tuple[str, ...] = (CONTACT, FLOW, ALERT)

    def recognise(self, head: bytes, name: str) -> bool:
        from andon.observe.logs import format_of

        return format_of(head, name, self.options) is not None

    def read(self, path: str | Path, skipped: Skipped) -> Iterator[pa.RecordBatch]:
        from andon.observe.logs import records

        for kind, batch in records(path, self.options, skipped):
            yield marked(batch, kind)


def sensor() -> Logs:
    return Logs()
