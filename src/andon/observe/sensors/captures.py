"""Packet captures: pcap and pcapng."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from andon.observe.sources import PCAP_MAGICS, PCAPNG_MAGIC
from andon.records.kinds import PACKET

if TYPE_CHECKING:
    from andon.observe.jsonlines import Skipped


class Captures:
    """What the batch runner needs beyond this (columns, damage, the telescope) it asks ``observe.reader`` for."""

    name = "capture"
    kind = PACKET

    def recognise(self, head: bytes, name: str) -> bool:
        return head[:4] in PCAP_MAGICS or head[:4] == PCAPNG_MAGIC

    def read(self, path: str | Path, skipped: Skipped) -> Iterator[pa.RecordBatch]:
        from andon.observe.reader import read

        reader = read(path)
        yield from reader
        for reason, packets in reader.counts.skipped.items():
            skipped.add(0, reason, packets)
        for item in reader.damage:
            skipped.add(0, f"at byte {item.offset:,}: {item.what}")

    def count(self, path: str | Path) -> dict[str, Any]:
        from andon.observe.count import count

        return count(str(path))


def sensor() -> Captures:
    return Captures()
