"""A full and a read-only file system, real ones: a small tmpfs in a mount namespace of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

_PRELUDE = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import pyarrow as pa
from store_traffic import filled, more, numbered, together
from andon.store.errors import StoreFull, StoreReadOnly
from andon.store.history import History
from andon.store.journal import Journal
from andon.store.journal_lock import StoreLock
store = Path(sys.argv[1])
EVER = (-(2**63), 2**63 - 1)
def leave(path, room):
    "Fills the file system up to `room` bytes."
    free = os.statvfs(store).f_bavail * 4096
    path.write_bytes(bytes(max(0, free - room)))
"""


def _on_a_small_disk(folder: Path, script: str, size: str = "4m") -> None:
    """Runs ``script`` with ``store`` on a tmpfs of that size. ``remount`` is a command it may call."""
    unshare = [["unshare", "-m"], ["unshare", "-Urm"]]
    works = [
        c
        for c in unshare
        if shutil.which("unshare") and _runs([*c, "mount", "-t", "tmpfs", "x", str(folder)])
    ]
    if not works:
        pytest.skip("this machine lets nobody mount a file system")
    mounted = f'mount -t tmpfs -o size={size} tmpfs "$1" && exec "$2" -c "$3" "$1"'
    code = _PRELUDE + textwrap.dedent(script)
    done = subprocess.run(
        [*works[0], "sh", "-c", mounted, "sh", folder, sys.executable, code],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("done\n"), done.stdout


def _runs(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def test_a_full_disk_stops_the_journal_without_loss_and_it_goes_on_when_there_is_room(tmp_path: Path) -> None:
    _on_a_small_disk(
        tmp_path,
        """
        journal = Journal(store / "journal")
        journal.append("a", numbered(0, 10), {"at": 10})
        journal.commit(1)
        leave(store / "filler", 50_000)
        journal.append("a", numbered(10, 20_000), {"at": 20_010})
        for _ in range(3):
            try:
                journal.commit(2)
            except StoreFull as error:
                assert "no room left" in str(error), error
            else:
                sys.exit("the commit went through")
        assert journal.pending_rows == 20_000 and journal.positions == {"a": {"at": 10}}
        assert [path.name for path in (store / "journal").iterdir()] == ["000000000001.arrow"]
        assert Journal(store / "journal").next_row == 10
        (store / "filler").unlink()
        journal.append("a", numbered(20_010, 5), {"at": 20_015})
        journal.commit(3)
        again = Journal(store / "journal")
        assert again.positions == {"a": {"at": 20_015}}
        rows = [batch for segment in again.segments() for _, batch in segment.batches()]
        assert together(rows).equals(pa.Table.from_batches([numbered(0, 20_015)]))
        print("done")
        """,
    )


@pytest.mark.parametrize("room", [4096, 12_288, 60_000, 250_000])
def test_a_full_disk_stops_the_history_without_half_a_commit(tmp_path: Path, room: int) -> None:
    _on_a_small_disk(
        tmp_path,
        f"""
        journal, history = filled(store, 3)
        journal.append("a", numbered(300, 20_000), {{}})
        journal.commit(1)
        leave(store / "filler", {room})
        for _ in range(2):
            try:
                history.append(journal.segments(history.last_segment))
            except StoreFull as error:
                assert "no room left" in str(error), error
            else:
                sys.exit("the append went through")
            assert history.last_segment == 3
        (store / "filler").unlink()
        assert History(store / "history").verify().whole
        assert history.append(journal.segments(history.last_segment)) == 20_000
        assert together(history.read(*EVER)).equals(pa.Table.from_batches([numbered(0, 20_300)]))
        report = history.verify()
        assert report.whole and report.unreferenced == 0, report
        print("done")
        """,
    )


def test_room_for_the_rows_but_not_for_the_log_is_a_full_disk_too(tmp_path: Path) -> None:
    _on_a_small_disk(
        tmp_path,
        """
        journal, history = filled(store, 3)
        size = history.files()[-1].size
        journal.append("a", numbered(300, 100), {})
        journal.commit(1)
        full = 0
        for room in range(0, 8 * 4096, 4096):
            leave(store / "filler", room)
            try:
                history.append(journal.segments(history.last_segment))
                break
            except StoreFull:
                full += 1
                assert history.last_segment == 3 and len(history.files()) == 3
        assert 0 < full < 8, full
        (store / "filler").unlink()
        again = History(store / "history")
        assert again.verify().whole and again.next_row == 400
        print("done")
        """,
    )


def test_expiring_makes_room_on_a_full_disk(tmp_path: Path) -> None:
    _on_a_small_disk(
        tmp_path,
        """
        journal, history = filled(store, 4, rows=2_000)
        leave(store / "filler", 32_768)
        history.expire(keep_bytes=history.files()[-1].size, grace_hours=0)
        journal.drop_through(history.last_segment)
        more(journal, history, 1, rows=2_000)
        assert history.verify().whole and history.verify().rows == 4_000
        print("done")
        """,
    )


def test_a_read_only_store_is_read_and_says_why_it_cannot_be_written(tmp_path: Path) -> None:
    _on_a_small_disk(
        tmp_path,
        """
        journal, history = filled(store, 3)
        journal.append("a", numbered(300, 10), {})
        assert os.system(f"mount -o remount,ro {store}") == 0
        for write in (
            lambda: journal.commit(1),
            lambda: StoreLock(store, 1),
            lambda: Journal(store / "other"),
            lambda: journal.drop_through(2),
            lambda: history.expire(keep_bytes=0, grace_hours=0),
        ):
            try:
                write()
            except StoreReadOnly as error:
                assert str(store) in str(error) and "not writable" in str(error), error
            else:
                sys.exit(f"{write} went through")
        assert journal.pending_rows == 10
        reader = History(store / "history")
        assert together(reader.read(*EVER)).num_rows == 300
        assert reader.query("SELECT count(*) AS n FROM packets").read_all().to_pylist() == [{"n": 300}]
        assert reader.verify().whole
        assert Journal(store / "journal").next_row == 300
        print("done")
        """,
    )
