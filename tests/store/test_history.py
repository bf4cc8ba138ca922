"""What the history promises: each segment once, in order, on disk; windows that read only what they need."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from store_traffic import DAY_NS, START, filled, more, numbered, together, with_times

from andon.records.packet import COLUMNS
from andon.store.errors import StoreDamaged, StoreLocked
from andon.store.history import History
from andon.store.history_files import date_of
from andon.store.journal import Journal

EVER = (-(2**63), 2**63 - 1)


def test_every_segment_is_in_once_however_often_it_is_given(tmp_path: Path) -> None:
    journal, history = filled(tmp_path, 3)
    assert history.append(journal.segments()) == 0
    again = History(tmp_path / "history")
    assert again.append(journal.segments()) == 0
    assert (again.last_segment, again.next_row) == (3, 300)
    assert together(again.read(*EVER)).equals(pa.Table.from_batches([numbered(0, 300)]))


def test_delta_alone_would_take_an_old_segment_twice(tmp_path: Path) -> None:
    """Why the check is ours: the library commits the same transaction version again without a word."""
    _, history = filled(tmp_path, 2)
    version = history.log.version
    history.log.commit(transactions={"journal": 1})
    assert history.log.version == version + 1


def test_heartbeats_alone_move_the_history_on(tmp_path: Path) -> None:
    journal, history = filled(tmp_path, 1)
    journal.event({"type": "heartbeat", "source": "a", "time": 1})
    journal.commit(1)
    assert history.append(journal.segments(history.last_segment)) == 0
    assert (history.last_segment, history.next_row) == (2, 100)
    assert History(tmp_path / "history").last_segment == 2


def test_of_two_writers_the_second_fails_says_so_and_leaves_no_file(tmp_path: Path) -> None:
    journal, first = filled(tmp_path, 1)
    second = History(tmp_path / "history")
    journal.append("a", numbered(100, 10), {})
    journal.commit(1)
    assert first.append(journal.segments(1)) == 10
    with pytest.raises(StoreLocked, match="another writer has committed"):
        second.append(journal.segments(1))
    assert second.append(journal.segments(1)) == 0  # it has seen by now that they are in
    assert together(History(tmp_path / "history").read(*EVER)).num_rows == 110
    assert second.verify().whole and second.verify().unreferenced == 0


def test_a_journal_that_does_not_belong_to_it_is_refused(tmp_path: Path) -> None:
    _, history = filled(tmp_path, 2)
    other = Journal(tmp_path / "other")
    for n in range(4):
        other.append("a", numbered(n * 7, 7), {})
        other.commit(n)
    with pytest.raises(StoreDamaged, match="do not belong together"):
        history.append(other.segments())
    with pytest.raises(StoreDamaged, match="segment 4"):
        history.append(other.segments(3))
    longer = Journal(tmp_path / "longer")
    longer.append("a", numbered(0, 1000), {})
    longer.commit(0)
    with pytest.raises(StoreDamaged, match=r"ends with segment 2 \(next row 200\)"):
        history.append(longer.segments())  # its segment 1 is not the one that is in
    assert history.verify().whole


def test_a_lost_or_foreign_journal_is_noticed_before_anything_is_dropped(tmp_path: Path) -> None:
    journal, history = filled(tmp_path, 4)
    history.check_journal(journal)
    journal.drop_through(4)
    history.check_journal(journal)
    journal.append("a", numbered(400, 5), {})
    journal.commit(1)
    history.check_journal(journal)
    journal.drop_through(5)
    history.check_journal(Journal(tmp_path / "journal"))  # segment 4 is gone, 5 goes on
    fresh = Journal(tmp_path / "fresh")
    with pytest.raises(StoreDamaged, match="the journal was lost or is not this one"):
        history.check_journal(fresh)
    for n in range(6):
        fresh.append("a", numbered(n * 7, 7), {})
        fresh.commit(n)
    with pytest.raises(StoreDamaged, match="do not belong together"):
        history.check_journal(fresh)
    fresh.drop_through(5)
    with pytest.raises(StoreDamaged, match="do not belong together"):
        history.check_journal(fresh)


def test_a_new_history_begins_where_the_journal_still_begins(tmp_path: Path) -> None:
    journal, _ = filled(tmp_path, 4)
    journal.drop_through(2)
    anew = History(tmp_path / "anew")
    anew.check_journal(journal)
    assert anew.append(journal.segments()) == 200
    assert [(file.row_min, file.row_max) for file in anew.files()] == [(200, 399)]
    report = anew.verify()
    assert report.whole and report.rows_expired_below == 200
    more(journal, anew, 1)
    assert anew.verify().whole and History(tmp_path / "anew").next_row == 500


@pytest.mark.parametrize("columns", [COLUMNS, ("ts",), ("dst_port", "src"), ("tcp_options", "ts", "src6")])
def test_a_window_gives_its_rows_in_order_with_the_columns_asked_for(
    tmp_path: Path, columns: tuple[str, ...]
) -> None:
    _, history = filled(tmp_path, 5, rows=1000, step=10**9)
    whole = numbered(0, 5000, step=10**9)
    for low, high in ((0, 5000), (17, 18), (999, 1001), (0, 0), (4999, 9000)):
        found = list(history.read(START + low * 10**9, START + high * 10**9, columns))
        expected = whole.slice(low, max(0, min(high, 5000) - low)).select(columns)
        assert (
            pa.Table.from_batches(found, expected.schema)
            .combine_chunks()
            .equals(pa.Table.from_batches([expected]))
        )


def test_a_window_is_exact_to_the_nanosecond(tmp_path: Path) -> None:
    times = START + np.array([0, 1, 999, 1000, 1001, 1999, 2000])
    history = _stored(tmp_path, with_times(times))
    found = together(history.read(START + 1, START + 2000))
    assert found.column("ts").combine_chunks().view(pa.int64()).to_pylist() == times[1:6].tolist()


def test_only_files_and_row_groups_that_overlap_are_opened(tmp_path: Path) -> None:
    _, history = filled(tmp_path, 4, rows=1000, step=10**9)
    files = history.files()
    for file in files[:3]:
        (history.log.root / file.path).unlink()
    assert together(history.read(START + 3000 * 10**9, START + 4000 * 10**9)).num_rows == 1000
    with pytest.raises(StoreDamaged, match=r"\.parquet: the history names this file but it is gone"):
        list(history.read(START + 2999 * 10**9, START + 4000 * 10**9))


def test_rows_around_midnight_keep_their_order_over_the_files_of_both_days(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    times = START + DAY_NS + rng.integers(-(10**9), 10**9, 200_000)
    journal, history = Journal(tmp_path / "journal"), History(tmp_path / "history")
    batch = with_times(times)
    for at in range(0, len(times), 10_000):
        journal.append("a", batch.slice(at, 10_000), {})
        journal.commit(START + DAY_NS)
        if at % 50_000 == 40_000:
            history.append(journal.segments(history.last_segment))
    assert {file.date for file in history.files()} == {"2026-01-01", "2026-01-02"}
    assert together(history.read(*EVER)).equals(pa.Table.from_batches([batch]))
    late = times >= START + DAY_NS
    found = together(history.read(START + DAY_NS, START + 2 * DAY_NS, ("ts", *COLUMNS[1:])))
    assert found.equals(pa.Table.from_batches([batch.filter(pa.array(late))]).combine_chunks())
    assert history.verify().whole, history.verify().problems


def test_packets_with_times_from_all_over_do_not_open_a_file_each(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    times = rng.integers(-(2**63), 2**63 - 1, 5000)
    times[-100:] = START
    history = _stored(tmp_path, with_times(times), clock=START)
    assert len(history.files()) <= 34
    assert sum(file.rows for file in history.files() if file.date == "2026-01-01") >= 100
    assert together(history.read(*EVER)).equals(pa.Table.from_batches([with_times(times)]))
    assert history.verify().whole, history.verify().problems
    assert history.query("SELECT count(*) AS n FROM packets").read_all().to_pylist() == [{"n": 5000}]


def test_what_the_commit_says_survives_checkpoints_and_the_cleaning_of_the_log(tmp_path: Path) -> None:
    journal, history = filled(tmp_path, 105, rows=3)
    log = tmp_path / "history/packets/_delta_log"
    assert list(log.glob("*.checkpoint.parquet"))
    for path in log.glob("*.json"):
        if int(path.stem) <= 100:
            path.unlink()  # as the cleaning does when they are old
    again = History(tmp_path / "history")
    assert (again.last_segment, again.next_row) == (105, 315)
    assert again.files() == history.files()
    more(journal, again, 3, rows=3)
    assert together(again.read(*EVER)).equals(pa.Table.from_batches([numbered(0, 324)]))


def test_an_entry_that_a_power_cut_left_empty_is_taken_back_and_written_again(tmp_path: Path) -> None:
    journal, _ = filled(tmp_path, 4)
    log = tmp_path / "history/packets/_delta_log"
    (log / f"{4:020d}.json").write_bytes(b"")
    again = History(tmp_path / "history")
    assert (again.last_segment, again.next_row) == (3, 300)
    assert again.append(journal.segments(again.last_segment)) == 100
    assert together(again.read(*EVER)).equals(pa.Table.from_batches([numbered(0, 400)]))


def test_a_checkpoint_that_a_power_cut_left_empty_is_done_without(tmp_path: Path) -> None:
    _, history = filled(tmp_path, 4)
    history.log.checkpoint()
    (checkpoint,) = (tmp_path / "history/packets/_delta_log").glob("*.checkpoint.parquet")
    checkpoint.write_bytes(b"")
    assert History(tmp_path / "history").next_row == 400


def test_a_damaged_log_says_so(tmp_path: Path) -> None:
    filled(tmp_path, 8)
    (tmp_path / "history/packets/_delta_log" / f"{2:020d}.json").write_bytes(b"\x00" * 50)
    with pytest.raises(StoreDamaged, match="_delta_log: the log of the history does not read"):
        History(tmp_path / "history").files()


def test_a_reader_sees_new_commits_when_it_looks_again(tmp_path: Path) -> None:
    journal, writer = filled(tmp_path, 1)
    reader = History(tmp_path / "history")
    more(journal, writer, 2)
    assert reader.next_row == 100
    reader.refresh()
    assert reader.next_row == 300


def test_an_empty_history_answers(tmp_path: Path) -> None:
    history = History(tmp_path / "none")
    assert (history.last_segment, history.next_row, history.files()) == (0, 0, [])
    assert list(history.read(*EVER)) == []
    assert history.verify().whole
    assert not (tmp_path / "none").exists()


def test_dates_of_before_1970_round_down() -> None:
    assert date_of(-1) == "1969-12-31"
    assert date_of(0) == "1970-01-01"
    assert date_of(START // 1000) == "2026-01-01"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_files_folders_and_log_entries_are_synced_before_append_returns(tmp_path: Path) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from pathlib import Path;"
        f"from store_traffic import filled; filled(Path({str(tmp_path / 's')!r}), 2)"
    )
    trace = tmp_path / "trace"
    subprocess.run(
        ["strace", "-f", "-y", "-e", "trace=fsync", "-o", trace, sys.executable, "-c", script],
        check=True,
    )
    synced = re.findall(r"fsync\(\d+<([^>]+)>", trace.read_text())
    root = tmp_path / "s/history/packets"
    wanted = [
        *root.rglob("*.parquet"),
        *root.rglob("0*.json"),
        root,
        root / "_delta_log",
        *root.glob("date=*"),
    ]
    assert len(wanted) >= 8
    # a data file is synced before its checksum comes into its name
    assert not {re.sub(r"-[0-9a-f]{8}\.parquet$", ".parquet", str(path)) for path in wanted} - set(synced)
    assert synced[-1] == str(root)  # nothing of the last append is left for later


def _stored(folder: Path, batch: pa.RecordBatch, clock: int = START) -> History:
    journal, history = Journal(folder / "journal"), History(folder / "history")
    journal.append("a", batch, {})
    journal.commit(clock)
    history.append(journal.segments())
    return history
