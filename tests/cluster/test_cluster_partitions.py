"""However the same packets lie in files, the cluster runner sees the same; what does not fit is as in the threads
runner."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from cluster_inputs import (
    DAY,
    ENGINES,
    SECOND,
    SITE,
    START,
    Packet,
    Ran,
    capture,
    cluster,
    packets_of,
    threads,
    write_capture,
)

from andon.records.kinds import PACKET
from andon.run.cluster.job import write_job
from andon.run.cluster.partition import Partition, identity
from andon.run.cluster.summaries import SummaryFile
from andon.run.cluster.summarise import _Days, summarise
from andon.run.cluster.windows import PartWindows
from andon.run.digests import differences
from andon.run.engines import load_engines
from andon.run.windows import MAX_OPEN
from made_packets import packets as some_packets


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return capture(tmp_path_factory.mktemp("whole") / "whole.pcap", packets=1500)


@pytest.fixture(scope="module")
def packets(whole: Path) -> list[Packet]:
    return packets_of(whole)


@pytest.fixture(scope="module")
def reference(whole: Path) -> Ran:
    return threads([whole])


def in_parts(folder: Path, packets: list[Packet], like: Path, parts: int) -> list[Path]:
    edges = [len(packets) * n // parts for n in range(parts + 1)]
    return [write_capture(folder / f"{n}.pcap", packets[edges[n] : edges[n + 1]], like) for n in range(parts)]


@pytest.mark.parametrize("parts", [1, 2, 7, 50])
def test_the_same_packets_in_any_number_of_files(
    parts: int, packets: list[Packet], whole: Path, reference: Ran, tmp_path: Path
) -> None:
    paths = in_parts(tmp_path, packets, whole, parts)
    random.Random(parts).shuffle(paths)
    assert cluster(tmp_path / "work", paths).summaries == reference.summaries


def test_files_that_overlap(packets: list[Packet], whole: Path, reference: Ran, tmp_path: Path) -> None:
    # Two sensors, a packet at the one or the other.
    paths = [write_capture(tmp_path / f"{n}.pcap", packets[n::2], whole) for n in range(2)]
    ran = cluster(tmp_path / "work", paths)
    assert ran.summaries == reference.summaries
    # Of two-second spans few are open at once on threads, so there some packets of the other file are late.
    names = [name for name in ENGINES if name != "darknet.daedalus"]
    ran, other = cluster(tmp_path / "work", paths, engines=names), threads(paths, engines=names)
    assert differences(other.recorder, ran.recorder) == []
    assert other.answer == ran.answer


def test_a_file_that_is_given_twice_counts_twice_as_it_does_on_threads(whole: Path, tmp_path: Path) -> None:
    names = [name for name in ENGINES if name != "darknet.daedalus"]  # as above
    both = [whole, whole]
    ran, other = cluster(tmp_path / "work", both, engines=names), threads(both, engines=names)
    assert differences(other.recorder, ran.recorder) == []
    assert other.answer == ran.answer


@pytest.mark.parametrize("order", ["backwards", "hours apart", "shuffled"])
def test_packets_that_are_out_of_order_by_hours_all_count(
    order: str,
    packets: list[Packet],
    whole: Path,
    reference: Ran,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In batches of a hundred, so that each is far behind those before it."""
    add = _Days.add

    def in_small_batches(self: _Days, kind: str, batch: pa.RecordBatch, ts: np.ndarray) -> None:
        for at in range(0, len(ts), 100):
            add(self, kind, batch.slice(at, 100), ts[at : at + 100])

    monkeypatch.setattr(_Days, "add", in_small_batches)
    mixed = list(packets)
    if order == "backwards":
        mixed.reverse()
    elif order == "hours apart":
        half = len(mixed) // 2
        mixed = [one for pair in zip(mixed[:half], mixed[half:], strict=False) for one in pair]
    else:
        random.Random(1).shuffle(mixed)
    path = write_capture(tmp_path / "mixed.pcap", mixed, whole)
    ran = cluster(tmp_path / "work", [path])
    assert ran.analysis.late == 0
    assert ran.summaries == reference.summaries


def test_windows_of_a_partition_lose_no_row_however_far_it_runs_backwards() -> None:
    """More tiles behind one another than may be open: the threads runner counts such rows as late."""
    (engine,) = (e for e in load_engines(SITE, ["darknet.changefinder"]))
    tile, rows, tiles = 600, 20, 2 * MAX_OPEN
    days = PartWindows(engine)
    summaries: dict[int, object] = {}
    for n in reversed(range(tiles)):
        batch = some_packets(
            dict.fromkeys((*engine.columns, "ts")),
            (START + n * tile) * SECOND,
            np.arange(rows),
            src=np.arange(rows),
        )
        ts = np.asarray(batch.column("ts").cast("int64"))
        days.add(batch, ts)
        summaries[(START + n * tile) * SECOND] = engine.summarise(batch, engine.empty())
    assert days.late == 0 and len(days.tiles) <= MAX_OPEN
    taken = {start: summary.to_bytes() for _, start, summary in days.take_until(None)}
    assert taken == {start: summary.to_bytes() for start, summary in summaries.items()}  # type: ignore[attr-defined]


def test_years_in_one_capture_hold_few_days_and_few_files_open(
    packets: list[Packet], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A packet a day for eight years, in time order, then the same days again, as a sensor with a wild clock
    gives."""
    days = 200
    far = [(START - 9 * 365 * DAY + n * 14 * DAY, us, data) for n, (_, us, data) in enumerate(packets[:days])]
    path = write_capture(tmp_path / "far.pcap", far, whole)
    most = {"days": 0, "files": 0}
    hand_out = _Days._hand_out

    def watched(self: _Days, day: int, watermark: int | None) -> None:
        hand_out(self, day, watermark)
        most["days"] = max(most["days"], len(self._open))
        most["files"] = max(most["files"], len(self._writers))

    monkeypatch.setattr(_Days, "_hand_out", watched)
    engines = load_engines(SITE, ["darknet.changefinder"])
    job = write_job(tmp_path / "work", SITE, engines)
    result = summarise(job, Partition("packets", str(path), *identity(path)))
    assert len({day for day, _, _ in result["files"]}) == days
    assert most["days"] <= 2 and most["files"] <= 16


def test_a_day_that_comes_again_goes_into_another_file(
    packets: list[Packet], whole: Path, tmp_path: Path
) -> None:
    """Twenty days, twice over, within a day of slack each: more files than may be open, so days have several."""
    days = 20
    rows = [(START + n % days * DAY + n, us, data) for n, (_, us, data) in enumerate(packets[: 2 * days])]
    paths = [write_capture(tmp_path / f"{n}.pcap", rows[n * days : (n + 1) * days], whole) for n in range(2)]
    together = write_capture(tmp_path / "both.pcap", sorted(rows), whole)
    assert cluster(tmp_path / "a", paths).summaries == cluster(tmp_path / "b", [together]).summaries


def test_two_second_spans_of_a_day_are_handed_out_while_it_is_read(
    packets: list[Packet], whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """30,000 spans of DAEDALUS in a partition: what is open at once is a minute of them and what one batch brings."""
    dense = [(START + n * 2, 0, packets[n % len(packets)][2]) for n in range(30_000)]
    path = write_capture(tmp_path / "dense.pcap", dense, whole)
    engines = load_engines(SITE, ["darknet.daedalus"])
    job = write_job(tmp_path / "work", SITE, engines)
    most = 0
    add = _Days.add

    def watched(self: _Days, kind: str, batch: pa.RecordBatch, ts: np.ndarray) -> None:
        nonlocal most
        for at in range(0, len(ts), 1000):  # as of a busy telescope, where a batch is some seconds
            add(self, kind, batch.slice(at, 1000), ts[at : at + 1000])
            (windows,) = next(iter(self._open.values())).values()
            most = max(most, len(windows.tiles) + sum(map(len, windows.open.values())))

    monkeypatch.setattr(_Days, "add", watched)
    result = summarise(job, Partition("packets", str(path), *identity(path)))
    held = [SummaryFile(job.work / name).index().num_rows for _, name, _ in result["files"]]
    assert sum(held) == 30_000
    assert most < 100


def test_wild_times_are_left_out_and_counted_as_on_threads(
    packets: list[Packet], whole: Path, tmp_path: Path
) -> None:
    rng = random.Random(5)
    wild = list(packets)
    for n in rng.sample(range(100, len(wild) - 100), 20):
        wild[n] = (rng.randrange(1, 1 << 32), *wild[n][1:])
    path = write_capture(tmp_path / "wild.pcap", wild, whole)
    ran, other = cluster(tmp_path / "work", [path]), threads([path])
    assert ran.analysis.late == other.analysis.late > 10
    assert ran.answer == other.answer
    assert differences(other.recorder, ran.recorder) == []


@pytest.mark.parametrize("prefixes", [(), ("192.0.2.0/25",), ("203.0.113.0/24",)])
def test_telescopes(prefixes: tuple[str, ...], whole: Path, tmp_path: Path) -> None:
    """Inferred; a part of what there is; one that nothing goes to."""
    site = replace(SITE, telescope=prefixes)
    ran, other = cluster(tmp_path / "work", [whole], site), threads([whole], site)
    assert differences(other.recorder, ran.recorder) == []
    assert ran.answer == other.answer
    assert ran.analysis.files[0].outside > 0 or not prefixes


def test_ipv6(packets: list[Packet], whole: Path, tmp_path: Path) -> None:
    header = bytes.fromhex("6000000000083a40") + bytes.fromhex("20010db8" + "00" * 11 + "01") * 2
    frame = packets[0][2][:12] + b"\x86\xdd" + header + b"\x80\x00" + bytes(6)
    rows = [
        row for n, one in enumerate(packets) for row in ((one, (*one[:2], frame)) if n % 5 == 0 else (one,))
    ]
    path = write_capture(tmp_path / "six.pcap", rows, whole)
    for site in (replace(SITE, telescope=()), SITE):
        ran, other = cluster(tmp_path / "work", [path], site), threads([path], site)
        assert ran.analysis.files[0].rows == len(rows)
        assert ran.answer == other.answer
        assert differences(other.recorder, ran.recorder) == []


def test_an_engine_that_a_thread_used_before_carries_nothing_over(
    packets: list[Packet], whole: Path, tmp_path: Path
) -> None:
    """Every engine of packets: one partition after another in one thread, with the same engine objects, and each in a
    job of its own."""
    site = SITE
    engines = [engine for engine in load_engines(site, None) if PACKET in engine.reads]
    paths = in_parts(tmp_path, packets[:900], whole, 3)
    same = write_job(tmp_path / "same", site, engines)
    together = [_contents(same, path) for path in paths]
    for path, expected in zip(paths, together, strict=True):
        fresh = load_engines(site, [engine.name for engine in engines])
        assert _contents(write_job(tmp_path / path.stem, site, fresh), path) == expected


def _contents(job: object, path: Path) -> dict[tuple[int, str, str], str]:
    result = summarise(job, Partition("packets", str(path), *identity(path)))  # type: ignore[arg-type]
    found = {}
    for _, name, _ in result["files"]:
        with SummaryFile(job.work / name) as file:  # type: ignore[attr-defined]
            for start, span, engine, batch, row in zip(*file.index().to_pydict().values(), strict=True):
                found[start, span, engine] = file.unpacked(batch, row).hex()
    assert found
    return found
