"""Kills, full disks, damage: the casebook says what is wrong and has lost nothing that was acknowledged."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from casebook_samples import finding

from andon.store.casebook import Casebook, CasebookError, StateFiles
from andon.store.errors import StoreDamaged, StoreError, StoreFull, StoreLocked, StoreReadOnly

HERE = Path(__file__).parent

WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from casebook_samples import conclusion
from andon.store.casebook import Casebook
book = Casebook(sys.argv[1])
book.migrate()
last = book.concluded("darknet.tools", "1d")
day = 0 if last is None else last // 86_400_000_000_000
print("go", flush=True)
while True:
    assert book.conclude(conclusion(day))
    print(day, flush=True)
    day += 1
"""


def test_a_killed_writer_loses_nothing_it_acknowledged_and_leaves_no_half(place: str) -> None:
    chance = random.Random(4)
    acknowledged = -1
    for _ in range(5):
        writer = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), place, str(HERE)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ,
        )
        assert writer.stdout is not None and writer.stdout.readline() == "go\n"
        said = [writer.stdout.readline() for _ in range(chance.randint(2, 12))]
        time.sleep(chance.uniform(0, 0.02))
        writer.send_signal(signal.SIGKILL)
        said += writer.stdout.read().splitlines()
        writer.wait()
        whole = [int(line) for line in said if line.strip()]
        acknowledged = max([acknowledged, *whole])
    with Casebook(place) as book:
        last = book.concluded("darknet.tools", "1d")
        assert last is not None
        days = last // 86_400_000_000_000
        assert days > acknowledged > 10
        assert len(list(book.findings())) == days
        assert book.outbox_counts() == {("soc", "queued"): days}
        assert book.carries()[("darknet.tools", "1d")].digest == f"{days - 1:064x}"
        assert book.table("darknet.tools:sources", "1d", (days - 1) * 86_400_000_000_000) is not None


@pytest.fixture
def small_disk(tmp_path: Path) -> Path:
    """A file system of 3 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"may not mount a file system: {mounted.stderr.decode().strip()}")
    return folder


def test_a_full_disk_stops_it_with_a_clear_word_and_room_lets_it_go_on(small_disk: Path) -> None:
    try:
        with Casebook(small_disk) as book:
            book.migrate()
            ballast = small_disk / "ballast"
            ballast.write_bytes(b"x" * 1_000_000)
            stored = 0
            with pytest.raises(StoreFull, match="room"):
                for number in range(100_000):
                    book.record((finding(number, statement="s" * 5000),))
                    stored += 1
            assert stored > 10
            assert len(list(book.findings())) == stored
            ballast.unlink()
            assert book.record((finding(stored, statement="s" * 5000),)) == 1
            assert len(list(book.findings())) == stored + 1
    finally:
        subprocess.run(["umount", str(small_disk)], check=True)


def test_a_state_that_does_not_fit_leaves_nothing(small_disk: Path) -> None:
    try:
        files = StateFiles(small_disk / "state")
        with pytest.raises(StoreFull):
            files.put(b"x" * 5_000_000)
        assert list(files.folder.iterdir()) == []
        assert files.get(files.put(b"small")) == b"small"
    finally:
        subprocess.run(["umount", str(small_disk)], check=True)


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "casebook.db").write_bytes(b"this is not a database, it is a text of some length" * 50)
    with Casebook(tmp_path) as book, pytest.raises(StoreDamaged, match=r"casebook\.db"):
        book.migrate()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with Casebook(tmp_path / "no") as book, pytest.raises(StoreReadOnly, match="folder"):
        book.migrate()
    with pytest.raises(CasebookError, match="no casebook"):
        Casebook(tmp_path / "no", read_only=True)


def test_a_casebook_without_tables_says_who_makes_them(place: str) -> None:
    with Casebook(place) as book, pytest.raises(CasebookError, match="andon run"):
        list(book.findings())


def test_a_writer_that_holds_on_is_waited_for_and_then_named(tmp_path: Path) -> None:
    with Casebook(tmp_path, busy_seconds=0.2) as book:
        book.migrate()
        other = sqlite3.connect(tmp_path / "casebook.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreLocked, match="locked"):
            book.record((finding(1),))
        other.execute("ROLLBACK")
        other.close()
        assert book.record((finding(1),)) == 1


def test_a_server_that_is_away_is_worth_another_try() -> None:
    pytest.importorskip("psycopg")
    with Casebook("postgresql://andon:geheim@127.0.0.1:9/andon") as book:
        assert "geheim" not in book.name
        with pytest.raises(CasebookError) as caught:
            book.migrate()
    assert caught.value.passing
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql://root@host/db", "sqlite://", "postgresql://host:port/x", "://"])
def test_a_url_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(CasebookError, match=r"SQLite or PostgreSQL|cannot be read"):
        Casebook(url)


def test_sqlite_syncs_every_commit_and_checks_foreign_keys(tmp_path: Path) -> None:
    from andon.store.casebook.connect import locate, open_engine

    with open_engine(locate(tmp_path)).connect() as connection:
        values = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert values == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_state_files_are_checked_when_they_are_read(tmp_path: Path) -> None:
    files = StateFiles(tmp_path / "state")
    digest = files.put(b"carry")
    assert files.put(b"carry") == digest
    files.path(digest).write_bytes(b"carrx")
    with pytest.raises(StoreDamaged, match="damaged"):
        files.get(digest)
    with pytest.raises(StoreDamaged, match="backup"):
        files.get("0" * 64)
    with pytest.raises(ValueError, match="not a SHA-256"):
        files.get("../../etc/passwd")


def test_sweeping_leaves_what_is_referred_to(tmp_path: Path) -> None:
    files = StateFiles(tmp_path / "state")
    kept, gone = files.put(b"kept"), files.put(b"gone")
    (files.folder / f"{gone}.bin.tmp").write_bytes(b"half")
    again = StateFiles(files.folder)
    assert again.sweep({kept}) == 1
    assert [path.name for path in files.folder.iterdir()] == [f"{kept}.bin"]
    assert again.get(kept) == b"kept"
    assert isinstance(StoreDamaged("x"), StoreError)
