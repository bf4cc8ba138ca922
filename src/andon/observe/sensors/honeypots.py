"""Logs of honeypots, whichever wrote them (``observe.honeypot``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from andon.records.kinds import HONEYPOT_SESSION

if TYPE_CHECKING:
    from andon.observe.jsonlines import Skipped


class Honeypots:
    name = "honeypot-log"
    kind = HONEYPOT_SESSION

    def recognise(self, head: bytes, name: str) -> bool:
        if b"\0" in head[:4096]:
            return False
        from andon.observe.honeypot import UnknownLog, recognise
        from andon.observe.honeypot.text import reading

        if reading(head) is not None:
            return True
        try:
            recognise(head)
        except UnknownLog:
            return False
        return True

    def read(self, path: str | Path, skipped: Skipped) -> Iterator[pa.RecordBatch]:
        from andon.observe.honeypot import sessions

        return sessions(path, skipped)

    def count(self, path: str | Path) -> dict[str, Any]:
        from andon.observe.honeypot.count import count

        return count(path)


def sensor() -> Honeypots:
    return Honeypots()
