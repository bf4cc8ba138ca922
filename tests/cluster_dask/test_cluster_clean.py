"""``andon cluster clean``: what no job has used for a while goes, and nothing else does."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from dask_clusters import SITE, Case, digest, engines
from typer.testing import CliRunner

from andon.cli.cluster import app
from andon.run.cluster.analysis import Told, analyze_on
from andon.run.cluster.clean import clean
from andon.run.cluster.errors import ClusterError
from andon.run.cluster.executors.local import Local

_DAY = 86_400.0


def _made(path: Path, days: float, now: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"0123456789")
    os.utime(path, (now - days * _DAY,) * 2)
    return path


def test_old_files_and_the_folders_they_leave_go(tmp_path: Path) -> None:
    now = time.time()
    old = _made(tmp_path / "parts" / "ab" / "abcd" / "1.json", 31, now)
    new = _made(tmp_path / "parts" / "ab" / "abce" / "1.json", 29, now)
    left = _made(tmp_path / "merged" / "cd" / "x.arrow.host.1.tmp", 2, now)
    writing = _made(tmp_path / "merged" / "cd" / "y.arrow.host.1.tmp", 0.5, now)
    other = _made(tmp_path / "notes" / "mine.txt", 400, now)
    assert clean(tmp_path, 30 * _DAY, now, dry=True).files == 2 and old.exists() and left.exists()
    done = clean(tmp_path, 30 * _DAY, now)
    assert (done.files, done.size, done.kept, done.kept_size) == (2, 20, 2, 20)
    assert not old.exists() and not left.exists()
    assert new.exists() and writing.exists() and other.exists()
    # A folder that was emptied just now may be one that a worker is about to write into.
    assert old.parent.is_dir()
    os.utime(old.parent, (now - 31 * _DAY,) * 2)
    clean(tmp_path, 30 * _DAY, now)
    assert not old.parent.exists() and (tmp_path / "parts").is_dir()


def test_links_are_not_followed_out_of_the_work_folder(tmp_path: Path) -> None:
    now = time.time()
    precious = _made(tmp_path / "captures" / "a.pcap", 400, now)
    (tmp_path / "work" / "parts").mkdir(parents=True)
    (tmp_path / "work" / "parts" / "link").symlink_to(precious.parent)
    clean(tmp_path / "work", 30 * _DAY, now)
    assert precious.exists()


def test_what_is_no_work_folder_is_left_alone(tmp_path: Path) -> None:
    _made(tmp_path / "a.pcap", 400, time.time())
    with pytest.raises(ClusterError, match="is not a work folder"):
        clean(tmp_path, 30 * _DAY)
    (tmp_path / "parts").mkdir()
    with pytest.raises(ClusterError, match="less than a day"):
        clean(tmp_path, 60.0)


@pytest.mark.parametrize("keep", ["30", "30 days", "-1d", "1m", "", "9999999d"])
def test_a_time_to_keep_that_is_none_is_refused(keep: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["clean", "--work", str(tmp_path), "--keep", keep])
    assert done.exit_code == 2 and "write a time such as" in done.stderr


def test_what_is_used_again_stays_and_the_rest_is_made_again(case: Case, tmp_path: Path) -> None:
    def run(paths: list[Path]) -> tuple[str, Told]:
        told = Told()
        with Local(2) as executor:
            return digest(analyze_on(executor, tmp_path, paths, SITE, engines(), told=told)), told

    run(case.paths)
    old = time.time() - 40 * _DAY
    for path in tmp_path.rglob("*"):
        os.utime(path, (old, old))
    run(case.paths[:3])  # uses three of the six partitions: they count as used now
    done = CliRunner().invoke(app, ["clean", "--work", str(tmp_path), "--format", "json"])
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert said["removed"] > 0 and said["kept"] > 0 and said["bytes"] > 0
    made, told = run(case.paths)
    assert (made, told.again) == (case.alone, 3)
