"""The pump under load, with clocks that jump, and with sources that cannot be asked again."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from live_parts import Clock, Parts, Scripted, batches_of
from live_runs import wait_until

from andon.detect.darknet.census import engine as census
from andon.records.contract import Site
from andon.simulate.internet import InternetConfig

CONFIG = InternetConfig(seed=3, packets=30_000, duration=600.0)
START = int(CONFIG.start.timestamp()) * 10**9


class SlowCensus:
    """The census, but each batch takes its time, and none is begun before ``held`` is over."""

    def __init__(self) -> None:
        self._engine = census(Site())
        self.held = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def summarise(self, batch: pa.RecordBatch, into: Any) -> Any:
        self.held.wait(120)
        time.sleep(0.15)
        return self._engine.summarise(batch, into)


@pytest.fixture(scope="module")
def batches() -> list[pa.RecordBatch]:
    return batches_of(CONFIG, 500)


def rows(batches: list[pa.RecordBatch]) -> int:
    return sum(batch.num_rows for batch in batches)


def test_every_row_reaches_journal_and_engines(tmp_path: Path, batches: list[pa.RecordBatch]) -> None:
    parts = Parts(tmp_path, [Scripted(batches)], Clock(START + 600 * 10**9))
    parts.run()
    assert parts.journal.next_row == parts.ledger.rows == rows(batches)
    assert parts.pump.counters.shed == parts.pump.counters.lost == 0
    parts.close()


def test_a_slow_engine_sheds_whole_sources_and_says_how_much(
    tmp_path: Path, batches: list[pa.RecordBatch]
) -> None:
    slow, source = SlowCensus(), Scripted(batches, pause=0.01)
    parts = Parts(tmp_path, [source], Clock(START), engines=[slow], backlog=10_000)
    thread = parts.run_aside()
    assert wait_until(lambda: source.finished)
    slow.held.set()
    thread.join(timeout=120)
    assert not thread.is_alive() and parts.pump.failure is None
    counters = parts.pump.counters
    assert counters.shed > 0
    assert counters.journaled + counters.shed == counters.received == rows(batches)
    found = parts.kinds()["load-shed"]
    assert found.count == counters.shed
    parts.close()


@pytest.mark.parametrize("jump", [-3600 * 10**9, 3600 * 10**9])
def test_a_clock_that_jumps_loses_no_row(tmp_path: Path, batches: list[pa.RecordBatch], jump: int) -> None:
    clock = Clock(START + 600 * 10**9)
    parts = Parts(tmp_path, [Scripted(batches, pause=0.01)], clock)
    thread = parts.run_aside()
    time.sleep(0.3)
    clock.jump(jump)
    thread.join(timeout=120)
    assert parts.pump.failure is None
    assert parts.ledger.rows == rows(batches)
    parts.close()


def test_rows_ahead_of_the_clock_are_kept_counted_and_shown_to_no_engine(
    tmp_path: Path, batches: list[pa.RecordBatch]
) -> None:
    parts = Parts(tmp_path, [Scripted(batches)], Clock(START - 10 * 10**9))
    parts.run()
    found = parts.kinds()["input-damage"]
    assert parts.journal.next_row == rows(batches)
    assert found.count > 0
    assert "future" in found.title
    assert parts.ledger.latest <= START + 60 * 10**9
    parts.close()


def test_a_source_that_cannot_be_asked_again_leaves_a_gap_that_is_reported(
    tmp_path: Path, batches: list[pa.RecordBatch]
) -> None:
    half = len(batches) // 2
    clock = Clock(START + 600 * 10**9)
    first = Parts(tmp_path, [Scripted(batches[:half])], clock)
    first.run()
    first.close()
    second = Parts(tmp_path, [Scripted(batches[half:])], clock)
    second.run()
    assert second.ledger.rows == rows(batches)
    assert second.kinds()["capture-gap"].title.startswith("tap")
    second.close()


def test_stopping_far_behind_is_quick_and_the_rest_is_done_at_the_next_start(
    tmp_path: Path, batches: list[pa.RecordBatch]
) -> None:
    clock = Clock(START + 600 * 10**9)
    slow = SlowCensus()
    parts = Parts(tmp_path, [Scripted(batches, pause=0.002)], clock, engines=[slow])
    thread = parts.run_aside()
    assert wait_until(lambda: parts.journal.next_row >= 10_000)
    parts.pump.stop()
    slow.held.set()
    thread.join(timeout=60)
    assert not thread.is_alive()
    behind = parts.journal.next_row - parts.ledger.rows
    assert behind > 0
    parts.close()
    again = Parts(tmp_path, [Scripted([])], clock, engines=[census(Site())])
    again.run()
    assert again.ledger.rows == again.journal.next_row
    again.close()
