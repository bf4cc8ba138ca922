"""Alerts of other products (``observe.alerts``); those in Suricata's EVE log come with its contacts and flows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from andon.observe.logs.options import Options
from andon.records.kinds import ALERT, marked

if TYPE_CHECKING:
    from andon.observe.jsonlines import Skipped


@dataclass
class Alerts:
    """``options``: what the operator says; of it ``inside`` and ``key`` matter here."""

    options: Options = field(default_factory=Options)
    name: str = "alert"
    kind: str = ALERT
    kinds: tuple[str, ...] = (ALERT,)

    def recognise(self, head: bytes, name: str) -> bool:
        if not head:
            return False
        from andon.observe.alerts import recognise
        from andon.observe.logs import custom

        if custom.recognise(head, name, self.options):
            return False  # what the operator says of a file goes first
        return recognise(head, name)

    def read(self, path: str | Path, skipped: Skipped) -> Iterator[pa.RecordBatch]:
        from andon.observe.alerts import records

        for kind, batch in records(path, self.options, skipped):
            yield marked(batch, kind)


def sensor() -> Alerts:
    return Alerts()
