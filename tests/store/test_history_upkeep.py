"""Compaction and retention: rows, order and numbers stay; readers are not disturbed; verify knows the difference
between what retention dropped and what is missing."""

from __future__ import annotations

import threading
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from store_traffic import DAY_NS, START, filled, more, numbered, together

from andon.store.errors import StoreLocked
from andon.store.history import History
from andon.store.history_files import read_stored
from andon.store.history_schema import STORED

EVER = (-(2**63), 2**63 - 1)


def test_compaction_keeps_rows_order_numbers_and_the_place_in_the_journal(tmp_path: Path) -> None:
    journal, history = filled(
        tmp_path, 20, rows=500, step=10**10
    )  # 500 rows are 83 minutes: midnights inside
    before = together(history.read(*EVER))
    numbers = _numbers(history)
    done = history.compact(grace_hours=0)
    assert done.files_before >= 16 > done.files_after
    assert together(history.read(*EVER)).equals(before)
    assert _numbers(history) == numbers == list(range(10_000))
    again = History(tmp_path / "history")
    assert (again.last_segment, again.next_row) == (20, 10_000)
    assert again.verify().whole, again.verify().problems
    assert again.verify().unreferenced == 0
    more(journal, again, 1, rows=500, step=10**10)
    assert together(again.read(*EVER)).num_rows == 10_500


def test_compacting_twice_changes_nothing(tmp_path: Path) -> None:
    _, history = filled(tmp_path, 12)
    history.compact()
    version = history.log.version
    assert history.compact().files_before == 0
    assert history.log.version == version


def test_who_reads_while_files_are_joined_reads_on(tmp_path: Path) -> None:
    _, history = filled(tmp_path, 10)
    reading = History(tmp_path / "history").read(*EVER)
    first = next(reading)
    history.compact()  # the grace period keeps the old files
    assert together([first, *reading]).equals(pa.Table.from_batches([numbered(0, 1000)]))


def test_reading_compacting_and_appending_at_once_gives_whole_answers_only(tmp_path: Path) -> None:
    journal, history = filled(tmp_path, 10)
    wrong: list[str] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            reader = History(tmp_path / "history")
            rows = sum(batch.num_rows for batch in reader.read(*EVER, ("src",)))
            if rows != reader.next_row:
                wrong.append(f"{rows} of {reader.next_row}")

    threads = [threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        appending = threading.Thread(target=more, args=(journal, history, 8))
        appending.start()
        history.compact()
        appending.join()
    stop.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert history.next_row == 4200
    assert together(history.read(*EVER)).equals(pa.Table.from_batches([numbered(0, 4200)]))
    assert history.verify().whole, history.verify().problems


def test_retention_by_time_drops_whole_files_that_are_older(tmp_path: Path) -> None:
    _, history = filled(tmp_path, 4, rows=24, step=3600 * 10**9)  # a file a day
    dropped = history.expire(before_ns=START + 2 * DAY_NS + 1, grace_hours=0)
    assert (dropped.files, dropped.rows, dropped.removed) == (2, 48, 2)
    assert together(history.read(*EVER)).equals(pa.Table.from_batches([numbered(48, 48, step=3600 * 10**9)]))
    report = history.verify()
    assert report.whole and report.rows_expired_below == 48
    assert len(list(tmp_path.rglob("*.parquet"))) == 2
    assert not (tmp_path / "history/packets/date=2026-01-01").exists()


def test_retention_by_bytes_drops_the_oldest_rows_first(tmp_path: Path) -> None:
    journal, history = filled(tmp_path, 6)
    sizes = [file.size for file in history.files()]
    history.expire(keep_bytes=sum(sizes[-2:]) + 1, grace_hours=0)
    assert [file.row_min for file in history.files()] == [400, 500]
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.parquet")) == sum(sizes[-2:])
    more(journal, history, 1)
    assert history.verify().whole, history.verify().problems


def test_everything_may_expire_and_the_numbers_go_on(tmp_path: Path) -> None:
    journal, history = filled(tmp_path, 3)
    history.expire(keep_bytes=0, grace_hours=0)
    assert history.files() == [] and history.verify().whole
    again = History(tmp_path / "history")
    assert (again.last_segment, again.next_row) == (3, 300)
    more(journal, again, 1)
    assert [file.row_min for file in again.files()] == [300]
    assert again.verify().whole


def test_what_expired_stays_on_disk_for_the_grace_period(tmp_path: Path) -> None:
    _, history = filled(tmp_path, 3)
    reading = History(tmp_path / "history").read(*EVER)
    assert history.expire(keep_bytes=0).removed == 0
    assert together(reading).num_rows == 300


def test_files_of_a_writer_that_was_killed_are_removed(tmp_path: Path) -> None:
    _, history = filled(tmp_path, 2)
    orphan = tmp_path / "history/packets/date=2026-01-01/orphan.parquet"
    orphan.write_bytes(b"PAR1")
    assert history.verify().unreferenced == 1 and history.verify().whole
    assert history.vacuum(grace_hours=0) == 1
    assert not orphan.exists() and history.verify().whole


def test_a_compaction_on_top_of_anothers_is_refused(tmp_path: Path) -> None:
    _, first = filled(tmp_path, 10)
    second = History(tmp_path / "history")
    first.compact()
    with pytest.raises(StoreLocked):
        second.compact()
    assert second.verify().whole and second.verify().rows == 1000


def test_verify_names_missing_rows_doubles_strange_times_and_damage(tmp_path: Path) -> None:
    _, history = filled(tmp_path, 6)
    files = history.files()
    root = history.log.root
    history.log.commit(remove=[files[1]], transactions={})
    assert _problems(history) == ["rows 100 to 199 before it are missing"]
    history.log.commit(add=[files[1]], transactions={})
    assert history.verify().whole

    copy = files[2].path.replace("date=2026-01-01/", "date=2026-01-01/copy-")
    (root / copy).write_bytes((root / files[2].path).read_bytes())
    twice = type(files[2])(**{**vars(files[2]), "path": copy})
    history.log.commit(add=[twice], transactions={})
    assert _problems(history) == ["rows 200 to 299 are there twice"]
    history.log.commit(remove=[twice], transactions={})

    moved = type(files[3])(**{**vars(files[3]), "date": "2026-01-02"})
    history.log.commit(remove=[files[3]], transactions={})
    history.log.commit(add=[moved], transactions={})
    assert _problems(history) == ["it holds packets of 2026-01-01 to 2026-01-01, not of 2026-01-02 alone"]
    history.log.commit(remove=[moved], transactions={})
    history.log.commit(add=[files[3]], transactions={})

    path = root / files[4].path
    whole = path.read_bytes()
    (root / files[5].path).unlink()
    for at in range(0, len(whole), 211):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        found = history.verify()
        assert any(item["where"] == str(path) for item in found.problems), at
        assert any("No such file" in item["problem"] for item in found.problems)


def test_verify_notices_a_file_that_lost_its_last_rows(tmp_path: Path) -> None:
    _, history = filled(tmp_path, 2)
    (file, _) = history.files()
    path = history.log.root / file.path
    pq.write_table(pq.ParquetFile(path).read().slice(0, 99), path)
    problems = _problems(history)
    assert "it holds 99 rows, the log says 100" in problems
    assert "rows 99 to 99 before it are missing" in problems


def _problems(history: History) -> list[str]:
    return [item["problem"] for item in history.verify().problems]


def _numbers(history: History) -> list[int]:
    stored = read_stored(history.log.root, history.files(), STORED.names, *EVER)
    return [number for batch in stored for number in batch.column("row").to_pylist()]
