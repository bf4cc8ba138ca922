"""Sources and the pump: silence, trouble and its end, and pipes that say nothing."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from live_files import HEADER, SECOND, capture, record, seconds
from live_parts import Clock, Parts, Scripted, batches_of
from live_runs import wait_until

from andon.detect.darknet.census import engine as census
from andon.observe.live.folder import FolderSource
from andon.observe.live.source import Piece, SourceError
from andon.observe.live.stream import StreamSource
from andon.records.contract import Site
from andon.simulate.internet import InternetConfig
from andon.store.errors import StoreFull

CONFIG = InternetConfig(seed=3, packets=6_000, duration=600.0)
START = int(CONFIG.start.timestamp()) * SECOND
NOW = START + 600 * SECOND


@pytest.fixture(scope="module")
def batches() -> list[pa.RecordBatch]:
    return batches_of(CONFIG, 500)


class Moody(Scripted):
    """Gives its batches, but each poll first does what it is told to; it ends when told to."""

    def __init__(
        self, batches: list[pa.RecordBatch], moods: list[Callable[[], None]], name: str = "moody"
    ) -> None:
        super().__init__(batches, name)
        self.moods, self.told = moods, list[dict[str, Any]]()
        self.ended = threading.Event()
        self.silent_since: int | None = None

    def poll(self, timeout: float) -> list[Piece]:
        if self.moods:
            self.moods.pop(0)()
        found = super().poll(timeout)
        if not found:
            time.sleep(0.02)
        return found

    def events(self) -> list[dict[str, Any]]:
        told, self.told = self.told, []
        return told

    def quiet(self) -> int | None:
        return self.silent_since

    @property
    def finished(self) -> bool:
        return self.ended.is_set()


def one_engine(folder: Path, sources: list[Any], **settings: Any) -> Parts:
    return Parts(folder, sources, Clock(NOW), engines=[census(Site())], **settings)


def test_a_source_that_fails_for_a_while_is_asked_again(
    tmp_path: Path, batches: list[pa.RecordBatch]
) -> None:
    seen = threading.Event()

    def away() -> None:
        if not seen.is_set():  # as long as it takes for somebody to look
            source.moods.append(away)
        raise SourceError("source moody: its server is away", passing=True)

    source = Moody(list(batches), [away, away])
    parts = one_engine(tmp_path, [source])
    thread = parts.run_aside()
    assert wait_until(lambda: parts.pump.troubles.texts() == ("source moody: its server is away",))
    seen.set()
    assert wait_until(lambda: parts.ledger.rows == 6_000)
    assert parts.pump.troubles.texts() == ()
    source.ended.set()
    thread.join(timeout=120)
    assert parts.pump.failure is None
    parts.close()


def test_a_source_that_fails_for_good_stops_the_runner_with_its_words(tmp_path: Path) -> None:
    def broken() -> None:
        raise SourceError("source moody: this is no capture")

    parts = one_engine(tmp_path, [Moody([], [broken])])
    with pytest.raises(SourceError, match="no capture"):
        parts.run()
    parts.close()


def test_what_a_source_says_is_kept_though_no_packet_comes(tmp_path: Path) -> None:
    source = Moody([], [])
    parts = one_engine(tmp_path, [source])
    heard: list[dict[str, Any]] = []
    parts.pump.tell = heard.append
    source.told = [{"type": "damage", "source": "moody", "file": "x.pcap", "what": "no capture", "places": 1}]
    thread = parts.run_aside()
    assert wait_until(lambda: parts.journal.last > 0 and bool(heard))
    assert heard[0]["file"] == "x.pcap"
    source.ended.set()
    thread.join(timeout=120)
    assert "x.pcap" in parts.kinds()["input-damage"].title
    parts.close()


def test_a_silent_source_does_not_hold_up_a_busy_one(tmp_path: Path, batches: list[pa.RecordBatch]) -> None:
    busy, silent = Moody(list(batches), [], "busy"), Moody([], [], "silent")
    silent.silent_since = NOW - SECOND
    parts = one_engine(tmp_path, [busy, silent])
    thread = parts.run_aside()
    newest = max(batch.column("ts")[-1].value for batch in batches)
    assert wait_until(lambda: parts.ledger.watermark.low == min(newest, NOW - SECOND))
    for source in (busy, silent):
        source.ended.set()
    thread.join(timeout=120)
    parts.close()


def test_a_folder_that_has_nothing_is_soon_not_waited_for(
    tmp_path: Path, batches: list[pa.RecordBatch]
) -> None:
    (tmp_path / "empty").mkdir()
    folder = FolderSource("folder", tmp_path / "empty", idle=0.5)
    busy = Moody(list(batches), [], "busy")
    parts = one_engine(tmp_path, [busy, folder])
    thread = parts.run_aside()
    assert wait_until(lambda: parts.ledger.watermark.low is not None)
    parts.pump.stop()
    thread.join(timeout=120)
    parts.close()


def test_rows_that_cannot_be_kept_at_the_end_are_spoken_of(
    tmp_path: Path, batches: list[pa.RecordBatch], monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = one_engine(tmp_path, [Scripted(list(batches))])

    def full(clock: int) -> None:
        raise StoreFull("no room left")

    monkeypatch.setattr(parts.journal, "commit", full)
    with pytest.raises(Exception, match=r"packets that came last could not be kept: no room left"):
        parts.run()
    parts.close()


def test_a_gap_after_a_restart_begins_when_the_runner_was_last_alive(
    tmp_path: Path, batches: list[pa.RecordBatch]
) -> None:
    source = Moody(list(batches), [])
    source.silent_since = NOW
    parts = one_engine(tmp_path, [source])
    thread = parts.run_aside()
    assert wait_until(lambda: parts.journal.last >= 4)  # heartbeats after the last row
    source.ended.set()
    thread.join(timeout=120)
    (last,) = parts.journal.segments(parts.journal.last - 1)
    parts.close()
    again = one_engine(tmp_path, [Scripted([], "moody")])
    heard: list[dict[str, Any]] = []
    again.pump.tell = heard.append
    again.run()
    assert heard[0]["type"] == "gap"
    assert heard[0]["from"] == last.clock
    again.close()


class Pipe:
    """A pipe with a stream source at its end."""

    def __init__(self, **settings: Any) -> None:
        reading, self.writing = os.pipe()
        self.now = NOW
        self.source = StreamSource(
            "stdin", os.fdopen(reading, "rb", buffering=0), clock=lambda: self.now, **settings
        )

    def rows(self, polls: int = 1000) -> int:
        found = 0
        for _ in range(polls):
            pieces = self.source.poll(0.05)
            found += sum(piece.batch.num_rows for piece in pieces)
            if found and not pieces:
                break
        return found


def test_a_pipe_whose_sender_says_nothing_yet_stops_nobody() -> None:
    pipe = Pipe(idle=0.1)
    begin = time.monotonic()
    pipe.source.open(None)
    assert pipe.source.poll(0.05) == []
    time.sleep(0.1)
    pipe.source.poll(0.05)
    assert time.monotonic() - begin < 60
    assert pipe.source.events() == [{"type": "idle", "source": "stdin"}]
    assert pipe.source.quiet() is None
    os.write(pipe.writing, capture([NOW]))
    assert pipe.rows() == 1


def test_a_live_pipe_that_is_silent_follows_the_clock_at_the_distance_that_it_needs() -> None:
    pipe = Pipe()
    pipe.source.open(None)
    os.write(pipe.writing, HEADER + record(NOW - SECOND))
    assert pipe.rows() == 1
    pipe.now += 60 * SECOND
    pipe.source.poll(0.0)
    assert pipe.source.quiet() == pipe.now - 5 * SECOND
    os.write(pipe.writing, record(pipe.now - 20 * SECOND))  # its sender holds packets back
    assert pipe.rows() == 1
    pipe.source.poll(0.0)
    assert pipe.source.quiet() == pipe.now - 40 * SECOND


def test_a_pipe_of_last_year_says_nothing_about_the_clock() -> None:
    pipe = Pipe()
    pipe.source.open(None)
    os.write(pipe.writing, capture(seconds(NOW // SECOND - 365 * 86_400, 5)))
    assert pipe.rows() == 5
    assert pipe.source.quiet() is None


def test_a_pipe_that_is_no_capture_says_so() -> None:
    pipe = Pipe()
    pipe.source.open(None)
    os.write(pipe.writing, b"hello, this is a text\n" * 10)
    os.close(pipe.writing)
    with pytest.raises(SourceError, match="stdin") as failed:
        pipe.rows()
    assert not failed.value.passing


def test_a_pipe_that_ends_inside_a_record_gives_what_came_and_says_so() -> None:
    pipe = Pipe()
    pipe.source.open(None)
    os.write(pipe.writing, capture(seconds(NOW // SECOND, 5))[:-7])
    os.close(pipe.writing)
    assert pipe.rows() == 4
    while not pipe.source.finished:
        pipe.source.poll(0.05)
    assert "ends inside a record" in pipe.source.events()[0]["what"]
