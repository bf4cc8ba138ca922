"""Faults of the machine under the runner: a second runner, a full disk, a store that cannot be written."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from live_runs import findings, finish, make_captures, start, wait_until, write_config

from andon.run.live.tables import SpanTables
from andon.store.errors import StoreFull
from andon.store.history import History

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults") / "caps"
    make_captures(folder, packets=60_000)
    return folder


@pytest.fixture(scope="module")
def calm(captures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Findings of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("calm")
    finish(write_config(folder, captures, "calm"))
    return findings(folder / "calm")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An ext4 file system of 128 MB in a file."""
    image, mount = tmp_path / "disk.img", tmp_path / "disk"
    image.write_bytes(b"")
    os.truncate(image, 128 << 20)
    mount.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(mount)], check=True)
    try:
        yield mount
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


def test_of_two_runners_on_one_store_one_wins_and_the_other_says_so(captures: Path, tmp_path: Path) -> None:
    config = write_config(tmp_path, captures, "store")
    first = start(config, once=False)
    assert wait_until((tmp_path / "store" / "status.json").exists)
    second = start(config)
    _, said = second.communicate(timeout=180)
    assert second.returncode == 1
    assert str(first.pid) in said.decode()
    first.terminate()
    _, said = first.communicate(timeout=180)
    assert first.returncode == 0, said.decode()


@needs_root
def test_a_full_disk_is_waited_out_and_nothing_is_lost(
    captures: Path, calm: dict[str, dict[str, Any]], small_disk: Path, tmp_path: Path
) -> None:
    config = write_config(small_disk, captures, "store")
    ballast = small_disk / "ballast"
    with ballast.open("wb") as out:
        free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
        out.write(b"\0" * (free - (3 << 20)))
    log = tmp_path / "said"
    with log.open("wb") as said:
        process = start(config, said)
    assert wait_until(lambda: "no room" in log.read_text(), 180)
    assert process.poll() is None
    ballast.unlink()
    assert process.wait(timeout=240) == 0, log.read_text()
    assert findings(small_disk / "store") == calm
    assert not History(small_disk / "store" / "history").verify().problems


@needs_root
def test_a_table_that_finds_no_room_is_a_full_store_and_leaves_nothing_behind(small_disk: Path) -> None:
    tables = SpanTables(small_disk / "tables")
    rows = {"test:rows": pa.table({"noise": np.random.default_rng(1).random(100_000)})}
    assert tables.write("1d", 0, rows, (), "test")
    ballast = small_disk / "ballast"
    with ballast.open("wb") as out:
        out.write(b"\0" * (os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize - 200_000))
    with pytest.raises(StoreFull):
        tables.write("1d", 86_400, rows, (), "test")
    assert len(list((small_disk / "tables").rglob("*.*"))) == 2  # the folder of the table, and the first span
    ballast.unlink()
    assert tables.write("1d", 86_400, rows, (), "test")


@needs_root
def test_a_store_that_cannot_be_written_is_refused_with_a_sentence(
    captures: Path, tmp_path: Path, small_disk: Path
) -> None:
    config = write_config(tmp_path, captures, "store")
    config.write_text(config.read_text().replace(str(tmp_path / "store"), str(small_disk / "store")))
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    process = start(config)
    _, said = process.communicate(timeout=180)
    assert process.returncode == 1
    assert "not writable" in said.decode() or "Read-only" in said.decode()
    assert "Traceback" not in said.decode()


def test_sigterm_stops_cleanly_and_the_next_start_goes_on(
    captures: Path, calm: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    config = write_config(tmp_path, captures, "store")
    process = start(config)
    assert wait_until(lambda: any((tmp_path / "store" / "journal").glob("*.arrow")))
    time.sleep(0.3)
    process.terminate()
    _, said = process.communicate(timeout=180)
    assert process.returncode == 0, said.decode()
    finish(config)
    assert findings(tmp_path / "store") == calm
