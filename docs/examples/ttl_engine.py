"""An example engine: which hop limits (TTL) do packets arrive with, and how many hops have they come?

Run it on a capture:   python docs/examples/ttl_engine.py capture.pcap
It keeps 256 counters. Counters add up in any order, so the contract is easy to keep.
"""

from __future__ import annotations

import sys
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa

from andon.records.columns import column
from andon.records.contract import Context, Engine, Nothing, Outcome, Site, Window
from andon.records.finding import Check, Evidence, Finding
from andon.sketch.state import pack, unpack

INITIAL = (64, 128, 255)  # what operating systems start with


class Ttls:
    """Packets by TTL, and when the first and last came (ns)."""

    def __init__(self) -> None:
        self.packets = np.zeros(256, np.int64)
        self.times = np.array([np.iinfo(np.int64).max, np.iinfo(np.int64).min])

    def to_bytes(self) -> bytes:
        return pack("ttls", 1, {"packets": self.packets, "times": self.times})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        made = cls()
        arrays, _ = unpack("ttls", 1, data)
        made.packets, made.times = arrays["packets"], arrays["times"]
        return made


class TtlEngine:
    name: ClassVar = "example.ttl"
    version: ClassVar = 1
    reads: ClassVar = ("packet",)
    columns: ClassVar = ("ts", "ttl")
    window: ClassVar = Window(tile="1d", spans=("1d",))
    needs: ClassVar = ()
    uses: ClassVar = ()
    publishes: ClassVar = {"ttls": pa.schema([("ttl", pa.uint8()), ("packets", pa.int64())])}
    limit: ClassVar = 10_000
    carries: ClassVar = Nothing

    def empty(self) -> Ttls:
        return Ttls()

    def summarise(self, batch: pa.RecordBatch, into: Ttls) -> Ttls:
        into.packets += np.bincount(column(batch, "ttl"), minlength=256)
        ts = column(batch, "ts")
        if len(ts):
            into.times[:] = min(into.times[0], ts.min()), max(into.times[1], ts.max())
        return into

    def merge(self, a: Ttls, b: Ttls) -> Ttls:
        a.packets += b.packets
        a.times[:] = min(a.times[0], b.times[0]), max(a.times[1], b.times[1])
        return a

    def conclude(self, summary: Ttls, carry: Nothing | None, ctx: Context[Nothing]) -> Outcome[Nothing]:
        total = int(summary.packets.sum())
        if not total:
            return Outcome()
        top = int(summary.packets.argmax())
        hops = min(start for start in INITIAL if start >= top) - top
        finding = Finding(
            engine=self.name,
            engine_version=self.version,
            kind="stack-default",
            title=f"Most packets arrive with TTL {top}",
            statement=f"{summary.packets[top]:,} of {total:,} packets arrive with TTL {top}: {hops} hops "
            "from a stack that starts at the next higher of 64, 128 and 255.",
            confidence=1.0,
            calibration="counted",
            window=(ctx.start, ctx.end),
            subject=("ttl", str(top)),
            first_seen=int(summary.times[0]),
            last_seen=int(summary.times[1]),
            count=int(summary.packets[top]),
            # The runner translates the relation for tcpdump and counts it; the engine states no count of its own.
            evidence=(Evidence("packets with this TTL", Check(f"ip.ttl == {top}", by_chance=total / 256)),),
        )
        table = pa.table({"ttl": np.arange(256, dtype=np.uint8), "packets": summary.packets})
        return Outcome((finding,), {"ttls": table.cast(self.publishes["ttls"])})


def engine(site: Site) -> Engine[Ttls, Nothing]:
    """The entry point: name this function in your package's `andon.engines` entry points."""
    return TtlEngine()


if __name__ == "__main__":
    from andon.run.batch import analyze

    for found in analyze(sys.argv[1:], engines=[engine(Site())]).findings:
        print(found.to_json())
