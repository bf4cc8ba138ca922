"""What the journal promises: whole segments, positions that survive, damage that is named."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from store_traffic import numbered

from andon.records.packet import SCHEMA
from andon.store.errors import StoreDamaged, StoreError, StoreFull, StoreLocked
from andon.store.journal import Journal
from andon.store.journal_lock import StoreLock


def test_a_segment_holds_rows_positions_and_events_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("b", numbered(0, 5), {"file": "x.pcap", "offset": 10})
    journal.append("a", numbered(5, 3), {"offset": 3})
    journal.append("b", numbered(8, 2), {"file": "x.pcap", "offset": 12})
    journal.event({"type": "heartbeat", "source": "a", "time": 17})
    assert journal.pending_rows == 10
    journal.commit(99)
    reopened = Journal(tmp_path)
    (segment,) = reopened.segments()
    assert (segment.number, segment.first_row, segment.rows, segment.clock) == (1, 0, 10, 99)
    assert segment.events == ({"type": "heartbeat", "source": "a", "time": 17},)
    assert reopened.positions == {"b": {"file": "x.pcap", "offset": 12}, "a": {"offset": 3}}
    found = list(segment.batches())
    assert [source for source, _ in found] == ["b", "a", "b"]
    assert pa.Table.from_batches([batch for _, batch in found]).equals(
        pa.Table.from_batches([numbered(0, 10)])
    )
    assert all(batch.schema.equals(SCHEMA, check_metadata=True) for _, batch in found)
    ts = numbered(0, 10).column("ts").view(pa.int64())
    assert (segment.ts_min, segment.ts_max) == (ts[0].as_py(), ts[9].as_py())


def test_the_segment_given_by_commit_equals_the_one_read_again(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    for n in range(50):
        journal.append("a", numbered(n * 7, 7), {"at": n})
    fresh = journal.commit(1)
    assert fresh is not None
    (again,) = Journal(tmp_path).segments()
    assert fresh == again == fresh.on_disk()
    assert list(fresh.batches()) == list(again.batches()) == list(fresh.on_disk().batches())
    assert len(list(fresh.batches())) == 1  # small neighbours of one source are joined


def test_nothing_buffered_makes_no_segment_and_a_heartbeat_alone_makes_one(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.commit(1) is None
    journal.event({"type": "heartbeat", "source": "a", "time": 1})
    segment = journal.commit(2)
    assert segment is not None and (segment.rows, segment.ts_min, list(segment.batches())) == (0, None, [])
    journal.append("a", numbered(0, 0), {"at": 4})
    assert journal.commit(3) is not None
    assert Journal(tmp_path).positions == {"a": {"at": 4}}


def test_numbers_rows_and_positions_go_on_after_a_restart_and_after_dropping(tmp_path: Path) -> None:
    for n in range(4):
        journal = Journal(tmp_path)
        journal.append(f"s{n}", numbered(n * 10, 10), {"at": n})
        journal.commit(n)
    journal.drop_through(99)
    assert [path.name for path in tmp_path.iterdir()] == ["000000000004.arrow"]
    again = Journal(tmp_path)
    assert (again.last, again.first, again.next_row) == (4, 4, 40)
    assert again.positions == {f"s{n}": {"at": n} for n in range(4)}
    assert again.nbytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    with pytest.raises(StoreDamaged, match="segments 2 to 3 are asked for but gone"):
        list(again.segments(after=1))


def test_a_missing_segment_in_between_is_refused(tmp_path: Path) -> None:
    _three(tmp_path)
    (tmp_path / "000000000002.arrow").unlink()
    with pytest.raises(StoreDamaged, match=r"after segment 1 .* comes segment 3"):
        Journal(tmp_path)


def test_missing_old_segments_are_normal(tmp_path: Path) -> None:
    _three(tmp_path)
    (tmp_path / "000000000001.arrow").unlink()
    assert [segment.number for segment in Journal(tmp_path).segments()] == [2, 3]


def test_every_flipped_byte_is_noticed_and_the_file_named(tmp_path: Path) -> None:
    _three(tmp_path)
    path = tmp_path / "000000000002.arrow"
    whole = path.read_bytes()
    for at in [*range(0, len(whole), 97), len(whole) - 1]:
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        with pytest.raises(StoreDamaged, match=r"000000000002\.arrow.*damaged"):
            Journal(tmp_path)
    path.write_bytes(whole)
    Journal(tmp_path)


@pytest.mark.parametrize("keep", [0, 1, 19, 20, 500])
def test_a_file_cut_short_is_noticed(tmp_path: Path, keep: int) -> None:
    _three(tmp_path)
    path = tmp_path / "000000000003.arrow"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(StoreDamaged, match="damaged"):
        Journal(tmp_path)


def test_damage_after_opening_is_noticed_at_replay(tmp_path: Path) -> None:
    _three(tmp_path)
    journal = Journal(tmp_path)
    path = tmp_path / "000000000001.arrow"
    path.write_bytes(path.read_bytes()[:-30] + bytes(30))
    with pytest.raises(StoreDamaged, match=r"000000000001\.arrow"):
        [list(segment.batches()) for segment in journal.segments()]


def test_a_copied_segment_is_not_taken_for_another(tmp_path: Path) -> None:
    _three(tmp_path)
    (tmp_path / "000000000004.arrow").write_bytes((tmp_path / "000000000003.arrow").read_bytes())
    with pytest.raises(StoreDamaged, match="it holds segment 3"):
        Journal(tmp_path)


def test_temporary_files_of_a_dead_writer_are_removed(tmp_path: Path) -> None:
    _three(tmp_path)
    (tmp_path / "000000000004.arrow.tmp").write_bytes(b"half a segm")
    journal = Journal(tmp_path)
    assert journal.last == 3
    assert not list(tmp_path.glob("*.tmp"))


def test_dropping_beside_a_writer_loses_no_segment(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    done = threading.Event()
    seen: set[int] = set()
    holes: list[list[int]] = []

    def keeper() -> None:
        while not done.is_set():
            numbers = [segment.number for segment in journal.segments()]
            if numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
                holes.append(numbers)
            seen.update(numbers)
            journal.drop_through(max(numbers, default=0))

    thread = threading.Thread(target=keeper)
    thread.start()
    for n in range(300):
        journal.event({"n": n})
        journal.commit(n)
    done.set()
    thread.join()
    seen.update(segment.number for segment in journal.segments())
    assert not holes and seen == set(range(1, 301))
    assert Journal(tmp_path).nbytes == journal.nbytes


def test_rows_that_are_not_packet_records_are_refused(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    with pytest.raises(ValueError, match="source a"):
        journal.append("a", numbered(0, 3).select(["ts", "src"]), {})
    none = numbered(0, 3).set_column(1, SCHEMA.field("src"), pa.array([1, None, 2], pa.uint32()))
    with pytest.raises(ValueError, match="no nulls"):
        journal.append("a", none, {})
    with pytest.raises(TypeError):
        journal.append("a", numbered(0, 3), {"at": object()})
    assert journal.commit(1) is None


def test_the_limit_stops_commits_keeps_the_buffer_and_goes_on_after_dropping(tmp_path: Path) -> None:
    journal = Journal(tmp_path, limit_bytes=1)
    for n in range(2):
        journal.append("a", numbered(n, 1), {"at": n})
        if n == 0:
            journal.commit(1)
    with pytest.raises(StoreFull, match="its limit is 1"):
        journal.commit(2)
    assert journal.pending_rows == 1
    journal.limit_bytes = 1 << 20
    journal.commit(3)
    assert Journal(tmp_path).next_row == 2


def test_a_write_that_the_system_cuts_short_leaves_nothing_and_loses_nothing(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append("a", numbered(0, 20_000), {"at": 1})
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        with pytest.raises(StoreFull, match="no room left"):
            journal.commit(1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert list(tmp_path.iterdir()) == []
    segment = journal.commit(2)
    assert segment is not None and segment.rows == 20_000
    assert [batch for _, batch in segment.on_disk().batches()] == [numbered(0, 20_000)]


def test_an_unknown_format_says_so(tmp_path: Path) -> None:
    from andon.store import journal_segment

    header = {"number": 1, "format": "andon.segment/2"}
    pieces = journal_segment.encode(header, [], None)
    (tmp_path / "000000000001.arrow").write_bytes(b"".join(pieces))
    with pytest.raises(StoreError, match=r"written in format andon\.segment/2"):
        Journal(tmp_path)


def test_the_second_process_is_told_who_holds_the_store(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from andon.store.journal_lock import StoreLock;"
        f"StoreLock(Path({str(tmp_path)!r}), 1767225600 * 10**9); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stdout.readline() == "held\n"
        with pytest.raises(StoreLocked, match=rf"process {child.pid}, running since 2026-01-01T00:00:00"):
            StoreLock(tmp_path, 5)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    with StoreLock(tmp_path, 5):
        assert json.loads((tmp_path / "lock").read_text())["pid"] == os.getpid()
    with StoreLock(tmp_path, 6):
        pass


def _three(folder: Path) -> None:
    journal = Journal(folder)
    for n in range(3):
        journal.append("a", numbered(n * 10, 10), {"at": n})
        journal.commit(n)
