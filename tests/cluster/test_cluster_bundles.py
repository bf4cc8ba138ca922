"""Small files share a task: every file is read once, the answer is the same, and bundles outlive a sliding month."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from andon.records.contract import Site
from andon.run.batch import analyze
from andon.run.cluster.analysis import Told, analyze_on
from andon.run.cluster.bundles import FILES, LARGEST, bundled, weight
from andon.run.cluster.executors.local import Local
from andon.run.cluster.partition import Partition
from andon.run.digests import Recorder, differences
from andon.run.engines import load_engines
from andon.simulate.internet import DEFAULT_TELESCOPE, InternetConfig
from andon.simulate.internet.capture import write_slices
from andon.simulate.internet.population import populate
from andon.simulate.internet.stream import Stream

SITE = Site(telescope=DEFAULT_TELESCOPE)
SMALL = 300  # captures


def partitions(sizes: list[int], what: str = "packets", seed: int = 1) -> list[Partition]:
    digests = np.random.default_rng(seed).integers(0, 1 << 62, len(sizes)).tolist()
    return [
        Partition(what, f"/c/{number}.pcap", f"{digest:032x}"[::-1], size)
        for number, (size, digest) in enumerate(zip(sizes, digests, strict=True))
    ]


@pytest.mark.parametrize("count", [1, 2, 50, 1000, 20_000])
@pytest.mark.parametrize("size", [0, 100, 5_000_000, 6_000_000_000])
def test_every_partition_is_in_one_bundle_in_order(count: int, size: int) -> None:
    given = partitions([size] * count)
    bundles = bundled(given)
    assert [number for bundle in bundles for number in bundle] == list(range(count))
    assert max(map(len, bundles)) <= FILES
    assert all(len(bundle) == 1 or sum(weight(given[n]) for n in bundle) <= LARGEST for bundle in bundles)


def test_a_few_files_are_a_task_each() -> None:
    assert bundled(partitions([100] * 100)) == [[number] for number in range(100)]
    assert bundled(partitions([5_900_000_000] * 720)) == [[number] for number in range(720)]


def test_twenty_thousand_small_files_are_some_hundred_tasks() -> None:
    assert 128 <= len(bundled(partitions([8_000] * 20_000))) <= 1_000


def test_records_are_not_bundled() -> None:
    mixed = partitions([100] * 500) + partitions([100] * 3, "records")
    assert [len(bundle) for bundle in bundled(mixed)][-3:] == [1, 1, 1]


@pytest.mark.parametrize("size", [8_000, 3_000_000, 100_000_000])
def test_most_bundles_outlive_a_month_that_moves_on_by_a_day(size: int) -> None:
    month = partitions([size] * 20_000)
    last, this = month[:19_400], month[600:]
    before = {tuple(last[n].path for n in bundle) for bundle in bundled(last)}
    after = [tuple(this[n].path for n in bundle) for bundle in bundled(this)]
    kept = sum(len(bundle) for bundle in after if bundle in before)
    assert kept >= 0.9 * 18_800


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("small")
    config = InternetConfig(seed=3, packets=SMALL * 25, duration=90_000.0, contamination=0.1)
    rows, order = zip(*Stream(populate(config)), strict=True)
    paths = []
    lots = [(row, part) for row, one in zip(rows, order, strict=True) for part in np.array_split(one, 40)]
    for number in range(SMALL):
        path = folder / f"{number:04d}.pcap"
        with path.open("wb", buffering=0) as file:
            write_slices(lots[len(lots) * number // SMALL : len(lots) * (number + 1) // SMALL], file, None)
        paths.append(str(path))
    return paths


def test_a_bundled_job_says_what_the_threads_say(captures: list[str], tmp_path: Path) -> None:
    names = ["darknet.census"]
    theirs, ours, again = Recorder(), Recorder(), Recorder()
    straight = analyze(captures, SITE, load_engines(SITE, names), witness=theirs)
    told = Told()
    with Local(2) as executor:
        bundled_one = analyze_on(
            executor, tmp_path, captures, SITE, load_engines(SITE, names), told=told, witness=ours
        )
    assert told.partitions == SMALL and told.again == 0
    assert told.costs["summarise"].tasks < SMALL
    assert ours.seen and not differences(ours, theirs)
    assert [f.to_json() for f in bundled_one.findings] == [f.to_json() for f in straight.findings]
    assert bundled_one.files == straight.files

    told = Told()
    Path(captures[7]).touch()  # another identity: its bundle is read again, and no other
    with Local(2) as executor:
        analyze_on(executor, tmp_path, captures, SITE, load_engines(SITE, names), told=told, witness=again)
    assert not differences(again, theirs)
    assert SMALL - FILES <= told.again < SMALL
    assert told.costs["summarise"].made == 1
