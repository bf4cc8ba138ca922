"""Tiles and spans: nothing is lost or doubled, whatever the order and however wild the timestamps."""

from __future__ import annotations

from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.records.columns import column
from andon.records.contract import SECOND, Nothing, Outcome, Window
from andon.run.windows import MAX_OPEN, EngineWindows

DAY = 86_400 * SECOND


class Rows:
    """A summary that is the sorted list of what it saw."""

    def __init__(self, seen: list[int] | None = None) -> None:
        self.seen = seen or []

    def to_bytes(self) -> bytes:
        return np.array(sorted(self.seen), np.int64).tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        return cls(np.frombuffer(data, np.int64).tolist())


class Collect:
    name: ClassVar = "test.collect"
    version: ClassVar = 1
    reads: ClassVar = ("packet",)
    columns: ClassVar = ("ts",)
    window: ClassVar = Window("10min", ("10min", "1d"))
    needs: ClassVar = ()
    uses: ClassVar = ()
    publishes: ClassVar = {}
    limit: ClassVar = 1 << 30
    carries: ClassVar = Nothing

    def empty(self) -> Rows:
        return Rows()

    def summarise(self, batch: pa.RecordBatch, into: Rows) -> Rows:
        into.seen += column(batch, "ts").tolist()
        return into

    def merge(self, a: Rows, b: Rows) -> Rows:
        a.seen += b.seen
        return a

    def conclude(self, summary, carry, ctx) -> Outcome:
        return Outcome()


def batch(times: list[int]) -> tuple[pa.RecordBatch, np.ndarray]:
    ts = np.array(times, np.int64)
    array = pa.array(ts).cast(pa.timestamp("ns", tz="UTC"))
    return pa.record_batch([array], names=["ts"]), ts


@given(st.lists(st.lists(st.integers(0, 3 * 86_400), max_size=30), max_size=8))
@settings(max_examples=60, deadline=None)
def test_every_row_is_in_exactly_one_tile_and_one_day(batches: list[list[int]]) -> None:
    windows = EngineWindows(Collect())
    for seconds in batches:
        windows.add(*batch([s * SECOND for s in seconds]))
    windows.close_until(None)
    closed = list(windows.take_closed(None))
    everything = sorted(s * SECOND for seconds in batches for s in seconds)
    for span in ("10min", "1d"):
        rows = sorted(t for name, start, end, s in closed if name == span for t in s.seen if start <= t < end)
        assert rows == everything
    assert [end for _, _, end, _ in closed] == sorted(end for _, _, end, _ in closed)


def test_a_row_behind_a_closed_tile_is_counted_as_late_and_not_lost_silently() -> None:
    windows = EngineWindows(Collect())
    windows.add(*batch([0, 5 * SECOND]))
    windows.close_until(1200 * SECOND)
    windows.add(*batch([7 * SECOND, 1300 * SECOND]))
    assert windows.late == 1


def test_wild_timestamps_cannot_open_more_than_the_allowed_tiles() -> None:
    windows = EngineWindows(Collect())
    rng = np.random.default_rng(1)
    times = (rng.integers(0, 4_000_000_000, 5000) * SECOND).tolist()
    windows.add(*batch(times))
    assert len(windows.tiles) <= MAX_OPEN
    windows.close_until(None)
    counted = sum(len(s.seen) for name, _, _, s in windows.take_closed(None) if name == "1d")
    assert counted + windows.late == 5000


def test_a_day_closes_only_when_the_watermark_has_passed_it() -> None:
    windows = EngineWindows(Collect())
    windows.add(*batch([0, DAY - 1, DAY]))
    windows.close_until(DAY - 1)
    assert [name for name, *_ in windows.take_closed(DAY - 1)] == ["10min"]
    windows.close_until(DAY)
    assert sorted(name for name, *_ in windows.take_closed(DAY)) == ["10min", "1d"]
