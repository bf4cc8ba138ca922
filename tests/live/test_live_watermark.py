"""Event time: which rows are late depends on the order of the rows, not on how they were cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.detect.darknet.census import engine as census
from andon.records.contract import SECOND, Site
from andon.records.packet import SCHEMA
from andon.run.live.watermark import Watermark
from andon.run.windows import EngineWindows

TILE = 600 * SECOND


def batch(times: list[int]) -> pa.RecordBatch:
    columns = []
    for field in SCHEMA:
        if field.name == "ts":
            columns.append(pa.array(times, pa.int64()).cast(field.type))
        else:
            blank: Any = b"\0" * 16 if pa.types.is_fixed_size_binary(field.type) else 0
            columns.append(pa.array([blank] * len(times), field.type))
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def shown(
    rows: list[tuple[str, int]], cuts: set[int], lateness: int
) -> tuple[int, dict[str, bytes], int | None]:
    """Late rows, open summaries and the watermark after rows of (source, time) that come in pieces."""
    mark, windows = Watermark(["a", "b"]), EngineWindows(census(Site()))
    at = 0
    while at < len(rows):
        end = at + 1
        while end < len(rows) and rows[end][0] == rows[at][0] and end not in cuts:
            end += 1
        times = [time for _, time in rows[at:end]]
        ts = np.array(times, np.int64)
        windows.add_live(batch(times), ts, mark.rows(rows[at][0], ts), lateness)
        at = end
    return windows.late, windows.state()[1], mark.low


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("aab"), st.integers(0, 40)), min_size=1, max_size=40),
    st.sets(st.integers(1, 40)),
    st.sampled_from([0, 1, 7]),
)
def test_any_cut_of_the_rows_gives_the_same_late_rows_and_summaries(
    steps: list[tuple[str, int]], cuts: set[int], lateness: int
) -> None:
    rows = [(source, 1000 * TILE + step * TILE // 4) for source, step in steps]
    assert shown(rows, cuts, lateness * SECOND) == shown(rows, set(), lateness * SECOND)


def test_a_silent_source_holds_time_back_until_it_says_that_it_is_idle() -> None:
    mark = Watermark(["tap", "folder"])
    mark.rows("tap", np.array([50, 90]))
    assert mark.low is None
    mark.finish("folder")
    assert mark.low == 90
    mark.rows("folder", np.array([60]))
    assert mark.low == 60


def test_a_source_that_is_not_configured_any_more_does_not_hold_time_back() -> None:
    before = Watermark(["old"])
    before.rows("old", np.array([10]))
    mark = Watermark(["new"])
    mark.restore(before.state())
    mark.rows("old", np.array([20]))  # a segment that is gone through again
    mark.heartbeat("old", 30)
    mark.rows("new", np.array([500]))
    assert mark.low == 500


def test_when_all_have_ended_time_stands_where_the_last_one_was() -> None:
    mark = Watermark(["a", "b"])
    mark.rows("a", np.array([100]))
    mark.rows("b", np.array([300]))
    mark.finish("a")
    mark.finish("b")
    assert mark.low == 300


def test_a_saved_watermark_is_the_same_again_and_a_damaged_one_is_refused() -> None:
    mark = Watermark(["a", "b"])
    mark.rows("a", np.array([7, 5, 9]))
    mark.finish("b")
    again = Watermark(["a", "b"])
    again.restore(mark.state())
    assert (again.newest, again.finished, again.low) == (mark.newest, mark.finished, mark.low)
    with pytest.raises(ValueError, match="damaged"):
        again.restore({"newest": [], "finished": []})
