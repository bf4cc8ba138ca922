"""Input and work folders that are not as they should be: what is wrong is said, and no answer is wrong."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cluster_inputs import SITE, Ran, capture, cluster, made_by_stage, packets_of, threads, write_capture

from andon.run.cluster import partition, summarise
from andon.run.cluster.errors import ClusterError
from andon.run.cluster.executors.local import Local
from andon.run.cluster.partition import Partition, identity
from andon.run.cluster.summaries import Key, SummaryDamaged, SummaryFile, SummaryWriter
from andon.run.cluster.work_folder import put_json, read_json, sweep, temporary
from andon.run.inputs import Inputs

CHEAP = ("darknet.census", "darknet.changefinder")


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four captures of some hours each, of two days."""
    folder = tmp_path_factory.mktemp("faults")
    whole = capture(folder / "whole.pcap", packets=600)
    packets = packets_of(whole)
    edges = [len(packets) * n // 4 for n in range(5)]
    return [write_capture(folder / f"{n}.pcap", packets[edges[n] : edges[n + 1]], whole) for n in range(4)]


@pytest.fixture(scope="module")
def reference(paths: list[Path]) -> Ran:
    return threads(paths, engines=CHEAP)


@pytest.fixture(scope="module")
def finished(paths: list[Path], reference: Ran, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work folder of a job that is done."""
    work = tmp_path_factory.mktemp("finished")
    same(cluster(work, paths, engines=CHEAP), reference)
    return work


@pytest.fixture
def work(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "work"))


def same(ran: Ran, expected: Ran) -> None:
    assert ran.digests == expected.digests
    assert ran.answer == expected.answer


# Input


def test_files_that_cannot_be_read_are_reported_as_on_threads(paths: list[Path], tmp_path: Path) -> None:
    bad = {
        "empty.pcap": b"",
        "text.txt": b"nothing that a sensor knows\n" * 9,
        "header.pcap": paths[0].read_bytes()[:24],
        "cut.pcap": paths[0].read_bytes()[:-7],
        "cut.pcap.gz": b"\x1f\x8b\x08\x00 half a header",
        "zero.json": b"{}\n",
    }
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "closed.pcap").symlink_to(tmp_path / "nowhere")
    given = [*paths, *(tmp_path / name for name in bad), tmp_path / "missing.pcap", tmp_path / "closed.pcap"]
    ran, other = cluster(tmp_path / "work", given, engines=CHEAP), threads(given, engines=CHEAP)
    same(ran, other)
    assert [one.path for one in ran.analysis.files] == [str(path) for path in given]
    assert sum(one.error is not None for one in ran.analysis.files) >= 5
    # And a second time from what is kept.
    again = cluster(tmp_path / "work", given, engines=CHEAP)
    same(again, other)
    assert again.told.again == 6  # the four, the one without packets and the one that is cut off


def test_a_file_that_vanishes_between_plan_and_task(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone.pcap"
    shutil.copy(paths[1], gone)
    made = summarise._packets
    monkeypatch.setattr(summarise, "_packets", lambda *given: (gone.unlink(missing_ok=True), made(*given))[1])
    ran = cluster(tmp_path / "work", [gone, paths[0]], engines=CHEAP)
    assert "No such file" in str(ran.analysis.files[0].error)
    monkeypatch.undo()
    shutil.copy(paths[1], gone)  # what was not there is not taken for empty from now on
    same(
        cluster(tmp_path / "work", [gone, paths[0]], engines=CHEAP), threads([gone, paths[0]], engines=CHEAP)
    )


def test_a_file_that_grows_between_plan_and_task_is_not_filed_under_what_it_was(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing, short, long = tmp_path / "growing.pcap", paths[0].read_bytes()[:-700], paths[0].read_bytes()
    growing.write_bytes(short)
    os.utime(growing, (1, 1))
    made = summarise._packets

    def later(*given: Any) -> Any:
        growing.write_bytes(long)
        return made(*given)

    monkeypatch.setattr(summarise, "_packets", later)
    cluster(tmp_path / "work", [growing], engines=CHEAP)
    monkeypatch.undo()
    growing.write_bytes(short)
    os.utime(growing, (1, 1))
    same(cluster(tmp_path / "work", [growing], engines=CHEAP), threads([growing], engines=CHEAP))


def test_an_error_of_the_file_system_is_not_kept(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: Ran
) -> None:
    from andon.run import feed

    class Failing:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def __iter__(self) -> Iterator[Any]:
            batch = next(iter(self.inner))
            yield batch.slice(0, batch.num_rows // 2)
            raise OSError(116, "Stale file handle")

    real = feed.open_packets

    def opened(path: Any, *given: Any, **more: Any) -> Any:
        reader = real(path, *given, **more)
        return Failing(reader) if "1.pcap" in str(path) and more.get("check", True) else reader

    monkeypatch.setattr(feed, "open_packets", opened)
    ran = cluster(tmp_path / "work", paths, engines=CHEAP)
    assert "Stale file handle" in ran.analysis.files[1].damage[0]
    monkeypatch.undo()
    same(cluster(tmp_path / "work", paths, engines=CHEAP), reference)


def test_a_file_that_changed_is_the_only_one_that_is_read_again(
    paths: list[Path], work: Path, tmp_path: Path
) -> None:
    mine = [Path(shutil.copy2(path, tmp_path)) for path in paths]
    cluster(work, mine, engines=CHEAP)
    packets = packets_of(mine[2])
    write_capture(mine[2], packets[:-5], paths[0])
    ran = cluster(work, mine, engines=CHEAP)
    assert (made_by_stage(ran.told)["summarise"], ran.told.again) == (1, 3)
    same(ran, threads(mine, engines=CHEAP))


# The same job again, and jobs that differ a little


def test_a_finished_job_is_not_done_again(paths: list[Path], work: Path, reference: Ran) -> None:
    ran = cluster(work, paths, engines=CHEAP)
    same(ran, reference)
    assert set(made_by_stage(ran.told).values()) == {0}
    assert ran.told.again == len(paths)


def test_one_engine_more_or_changed_reads_for_itself_alone(
    paths: list[Path], work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def engines_of_new_manifests(before: set[Path]) -> set[str]:
        new = set(work.glob("parts/*/*/*.json")) - before
        return {name for path in new for name in read_json(path)["engines"].values()}

    before = set(work.glob("parts/*/*/*.json"))
    more = (*CHEAP, "darknet.daedalus")
    same(cluster(work, paths, engines=more), threads(paths, engines=more))
    assert engines_of_new_manifests(before) == {"darknet.daedalus"}

    before = set(work.glob("parts/*/*/*.json"))
    site = replace(SITE, settings={"darknet.changefinder.least_packets": 3})
    same(cluster(work, paths, site, engines=more), threads(paths, site, engines=more))
    assert engines_of_new_manifests(before) == {"darknet.changefinder"}

    from andon.detect.darknet.census import CensusEngine

    before = set(work.glob("parts/*/*/*.json"))
    monkeypatch.setattr(CensusEngine, "version", CensusEngine.version + 1)
    same(cluster(work, paths, engines=more), threads(paths, engines=more))
    assert engines_of_new_manifests(before) == {"darknet.census"}


def test_another_version_of_andon_reads_everything_again(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader may have been mended, and no engine knows of that."""
    first = cluster(tmp_path / "work", paths, engines=CHEAP)
    with monkeypatch.context() as patch:
        patch.setattr(partition, "__version__", "0.0.0")
        other = cluster(tmp_path / "work", paths, engines=CHEAP)
    again = cluster(tmp_path / "work", paths, engines=CHEAP)
    assert [ran.told.again for ran in (first, other, again)] == [0, 0, len(paths)]
    assert made_by_stage(other.told)["summarise"] == len(paths)
    assert made_by_stage(other.told).get("count") == made_by_stage(first.told).get("count")


def test_how_logs_are_read_is_part_of_what_is_kept(tmp_path: Path) -> None:
    from andon.observe.logs.options import Options

    log = tmp_path / "access.log"
    line = (
        "{}.000 90 10.0.0.{} TCP_MISS/200 4512 GET http://example.com/{} {} HIER_DIRECT/192.0.2.1 text/html\n"
    )
    log.write_text("".join(line.format(1_772_323_200 + n, n % 3, n, f"user{n % 2}") for n in range(200)))
    names = ("livenet.edges",)
    for terminal in ("user", "address", "user"):
        options = Options(terminal=terminal)
        ran = cluster(
            tmp_path / "work", Inputs.of([log], options), engines=names, options={"terminal": terminal}
        )
        same(ran, threads(Inputs.of([log], options), engines=names))
        assert ran.told.partitions == 1
    assert ran.told.again == 1
    # A driver that reads them otherwise than it tells its workers reads them itself.
    ran = cluster(tmp_path / "work", Inputs.of([log], Options(terminal="address")), engines=names)
    same(ran, threads(Inputs.of([log], Options(terminal="address")), engines=names))
    assert ran.told.partitions == 0


def test_pseudonyms_stay_with_the_driver(tmp_path: Path) -> None:
    from andon.observe.logs.options import Options

    log = tmp_path / "access.log"
    line = "{}.000 90 10.0.0.{} TCP_MISS/200 4512 GET http://example.com/{} meier HIER_DIRECT/192.0.2.1 text/html\n"
    log.write_text("".join(line.format(1_772_323_200 + n, n % 3, n) for n in range(200)))
    options, temporary_folder = Options(key=b"k" * 32), tmp_path / "tmp"
    temporary_folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(temporary_folder))
        ran = cluster(tmp_path / "work", Inputs.of([log], options), engines=("livenet.edges",))
        same(ran, threads(Inputs.of([log], options), engines=("livenet.edges",)))
        with pytest.MonkeyPatch.context() as failing, pytest.raises(RuntimeError):
            failing.setattr("andon.run.cluster.analysis.fold", lambda *given: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                cluster(tmp_path / "work", Inputs.of([log], options), engines=("livenet.edges",))
            raise RuntimeError
    assert list(temporary_folder.iterdir()) == []
    assert not list((tmp_path / "work").rglob("*.arrow")) or not (tmp_path / "work" / "parts").exists()
    assert b"kkkkkkkk" not in b"".join(p.read_bytes() for p in (tmp_path / "work").rglob("*") if p.is_file())


def test_alerts_go_into_the_casebook_once_and_give_the_same_findings(tmp_path: Path) -> None:
    from andon.run.casework.intake import tapped
    from andon.store.casebook import Casebook

    alert = {
        "timestamp": "2026-03-01T10:00:00.000000+0000", "event_type": "alert", "src_ip": "192.0.2.7", "src_port": 1,
        "dest_ip": "10.0.0.1", "dest_port": 22, "proto": "TCP",
        "alert": {"signature": "SSH scan", "signature_id": 5, "gid": 1, "severity": 2, "category": "scan"},
    }  # fmt: skip
    eve = tmp_path / "eve.json"
    eve.write_text("".join(json.dumps({**alert, "src_port": n}) + "\n" for n in range(40)))
    names = ("triage.screening",)

    def ran(folder: str, how: Any) -> tuple[Ran, int]:
        with Casebook(tmp_path / folder) as book:
            book.migrate()
            made = how(tapped(Inputs.of([str(eve)]), book))
            import sqlite3

            with sqlite3.connect(tmp_path / folder / "casebook.db") as connection:
                return made, connection.execute("SELECT count(*) FROM alerts").fetchone()[0]

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    ours, kept = ran("a", lambda inputs: cluster(tmp_path / "work", inputs, engines=names))
    theirs, expected = ran("b", lambda inputs: threads(inputs, engines=names))
    same(ours, theirs)
    assert kept == expected > 0
    assert ours.told.partitions == 0


# The work folder


def damage(path: Path, how: str, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if how == "flipped":
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif how == "cut":
        del data[rng.randrange(len(data)) :]
    elif how == "rubbish":
        data = bytearray(rng.randbytes(len(data)))
    elif how == "nested":
        data = bytearray(b"[" * 100_000)
    elif how == "empty":
        data = bytearray()
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["flipped", "cut", "rubbish", "nested", "empty", "gone"])
@pytest.mark.parametrize(
    "kind", ["parts/*/*/*.arrow", "parts/*/*/*.json", "merged/*/*.arrow", "counted/*/*", "jobs/*/*"]
)
def test_damaged_files_are_made_again(
    kind: str, how: str, paths: list[Path], work: Path, reference: Ran
) -> None:
    rng = random.Random(f"{kind} {how}")
    files = sorted(work.glob(kind))
    assert files
    for path in rng.sample(files, min(len(files), 3)):
        if how == "gone":
            path.unlink()
        else:
            damage(path, how, rng)
    if kind.startswith("parts"):  # else nobody needs them
        shutil.rmtree(work / "merged")
    same(cluster(work, paths, engines=CHEAP), reference)
    same(cluster(work, paths, engines=CHEAP), reference)


def test_every_byte_of_a_file_of_summaries_counts(tmp_path: Path) -> None:
    with SummaryWriter(tmp_path, "one") as out:
        out.add(Key(5, "1d", "engine"), b"summary" * 9)
    data = bytearray(out.path.read_bytes())
    for at in range(len(data)):
        data[at] ^= 1
        out.path.write_bytes(data)
        with pytest.raises(SummaryDamaged):
            SummaryFile(out.path)
        data[at] ^= 1
    out.path.write_bytes(data)
    with SummaryFile(out.path) as file:
        assert file.unpacked(0, 0) == b"summary" * 9


def test_json_files_are_believed_only_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    put_json(path, {"rows": 12, "text": "x"})
    assert read_json(path) == {"rows": 12, "text": "x"}
    for text in (
        '{"rows": 13, "text": "x"}',
        "[]",
        "12",
        '{"check": 5}',
        path.read_text().replace("12", "13"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError):
            read_json(path)


def test_foreign_files_and_what_killed_writers_left_do_no_harm(
    paths: list[Path], work: Path, reference: Ran
) -> None:
    for folder in {path.parent for path in work.rglob("*") if path.is_file()}:
        (folder / "notes.txt").write_text("mine")
        (folder / "other.json").write_text('{"engines": {"a": 1}, "files": [[1, "x"]]}')
        (folder / "other.arrow").write_bytes(b"ARROW1")
        left = temporary(folder / "left")
        left.write_bytes(b"half")
        os.utime(left, (1, 1))
        new = temporary(folder / "new")
        new.write_bytes(b"half")
        if folder.parent.name != "jobs":
            sweep(folder)
            assert not left.exists() and new.exists()
    same(cluster(work, paths, engines=CHEAP), reference)


def test_two_drivers_at_once(paths: list[Path], tmp_path: Path, reference: Ran) -> None:
    made: list[Ran] = []

    def run() -> None:
        made.append(cluster(tmp_path / "work", paths, engines=CHEAP))

    drivers = [threading.Thread(target=run) for _ in range(3)]
    for driver in drivers:
        driver.start()
    for driver in drivers:
        driver.join()
    assert len(made) == 3
    for ran in made:
        same(ran, reference)
    assert not list((tmp_path / "work").rglob("*.tmp"))


_DRIVER = """
    import os, sys, time
    sys.path[:0] = {folders!r}
    from pathlib import Path
    from cluster_inputs import cluster
    from andon.run.cluster import summarise, work
    # Slow enough to be killed anywhere.
    one = work._run
    work._run = lambda *given: (time.sleep({pause}), one(*given))[1]
    cluster(Path({work!r}), [Path(p) for p in {paths!r}], engines={engines!r})
    print("done")
"""


def test_a_driver_that_is_killed_at_any_moment_goes_on_where_it_was(
    paths: list[Path], tmp_path: Path, reference: Ran
) -> None:
    work, tests = tmp_path / "work", Path(__file__).parent
    code = textwrap.dedent(_DRIVER).format(
        folders=[str(tests), str(tests.parent)], pause=0.05, work=str(work), paths=[str(p) for p in paths],
        engines=CHEAP,
    )  # fmt: skip
    kills = 0
    for wanted in (1, 3, 6):  # files that are finished when it is killed
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
        end = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < end:
            if len(list(work.rglob("*.arrow"))) >= wanted:
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.002)
        process.wait(timeout=120)
    assert kills >= 2
    held = len(list(work.glob("parts/*/*/*.json")))
    ran = cluster(work, paths, engines=CHEAP)
    same(ran, reference)
    assert ran.told.again == held > 0
    assert made_by_stage(ran.told)["summarise"] == len(paths) - held


def test_a_work_folder_that_cannot_be_made_is_a_sentence(paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for work in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ClusterError, match=str(tmp_path)):
            cluster(work, paths, engines=CHEAP)


_ON_SMALL_DISK = """
    import os, sys
    sys.path[:0] = {folders!r}
    from pathlib import Path
    from cluster_inputs import cluster, threads
    from andon.run.cluster.errors import ClusterError
    disk, paths = Path(sys.argv[1]), [Path(p) for p in {paths!r}]
    expected = threads(paths, engines={engines!r})
    def refused(word):
        try:
            cluster(disk / "work", paths, engines={engines!r})
        except ClusterError as error:
            assert word in str(error), error
            assert not list((disk / "work").rglob("*.tmp")), list((disk / "work").rglob("*.tmp"))
        else:
            raise SystemExit("it was not refused")
    (disk / "filler").write_bytes(bytes({filler}))
    refused("no room left")
    (disk / "filler").unlink()
    ran = cluster(disk / "work", paths, engines={engines!r})
    assert ran.answer == expected.answer
    assert os.system(f"mount -o remount,ro {{disk}}") == 0
    ran = cluster(disk / "work", paths, engines={engines!r})  # all is there
    assert ran.answer == expected.answer
    paths = paths[:2]
    refused("not writable")
    print("done")
"""


def test_a_work_folder_that_is_full_or_read_only(paths: list[Path], tmp_path: Path) -> None:
    unshare = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-Urm"]
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = [*unshare, "mount", "-t", "tmpfs", "x", str(disk)]
    if not shutil.which("unshare") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a file system")
    tests = Path(__file__).parent
    code = textwrap.dedent(_ON_SMALL_DISK).format(
        folders=[str(tests), str(tests.parent)], paths=[str(p) for p in paths], engines=CHEAP,
        filler=(16 << 20) - (300 << 10),
    )  # fmt: skip
    shell = 'mount -t tmpfs -o size=16m tmpfs "$1" && exec "$2" -c "$3" "$1"'
    done = subprocess.run(
        [*unshare, "sh", "-c", shell, "sh", str(disk), sys.executable, code],
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("done\n")


def test_the_identity_of_a_file_sees_its_edges_and_pieces_between(tmp_path: Path) -> None:
    path = tmp_path / "a"
    data = bytearray(random.Random(1).randbytes(3 << 20))
    path.write_bytes(data)
    os.utime(path, (9, 9))
    first = identity(path)
    for at in (0, 66 << 10, len(data) - 1):
        data[at] ^= 1
        path.write_bytes(data)
        os.utime(path, (9, 9))
        assert identity(path) != first
        data[at] ^= 1
    path.write_bytes(data)
    os.utime(path, (9, 9))
    assert identity(path) == first
    one = Partition("packets", str(path), *first)
    assert one.unchanged and partition.Partition.from_dict(one.to_dict()) == one
    path.unlink()
    assert not one.unchanged


def test_a_task_that_is_no_task_is_an_answer(paths: list[Path], work: Path) -> None:
    from andon.run.cluster.work import run_task

    (job,) = work.glob("jobs/*")
    for task in ({"task": "explode"}, {"task": "merge", "sources": [["parts/none.arrow", []]]}):
        said = json.loads(run_task(json.dumps({"job": str(job), **task})))
        assert "error" in said and "Traceback" not in said["error"]
    with Local(1) as local:
        ((number, text),) = local.run([json.dumps({"job": str(work / "jobs" / "none"), "task": "merge"})])
    assert number == 0 and "shared file system" in json.loads(text)["error"]


def test_summaries_are_not_for_everybody_to_read(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with SummaryWriter(tmp_path, "1-a") as out:
            out.add(Key(0, "1h", "engine"), b"192.0.2.7")
    finally:
        os.umask(before)
    assert out.path.stat().st_mode & 0o777 == 0o640
