"""Address orders on packets whose truth is known: recall by what a telescope sees, false alarms, cost.

    python benchmarks/fingerprint/order.py [--experiments grid,internet,noise,captures,cost] [--seeds 5]

*grid*: ZMap's order drawn from the group itself (not by the search): packets seen of a scan, telescope, threads,
blocklist; times exact, early or late by a thousandth of the scan, or saying nothing but the order. *internet*: the
simulator with 300 ZMap sources (old and new, with and without blocklist) among all its tools, 0, 10, 20 % foreign
packets. *noise*: noise alone, and every tool but ZMap. *captures*: the real ones. *cost*: CPU seconds of the search in
1 M and 10 M packets.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import resource
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from andon.detect.darknet.fingerprint.engine import FingerprintEngine
from andon.detect.darknet.fingerprint.order import CYCLIC, Orders, order_families
from andon.detect.darknet.fingerprint.sample import COLUMNS, Sample
from andon.detect.darknet.fingerprint.summary import FingerprintSummary
from andon.observe import read
from andon.records.columns import column
from andon.simulate.internet import Churn, Family, InternetConfig, packets
from andon.simulate.internet.catalogue import SCANNED, default_families
from andon.simulate.internet.cyclic import Scan, elements, visits
from andon.simulate.internet.population import populate
from andon.simulate.internet.session import LISTED
from andon.sketch.cyclic import Logarithms, log3

FIVE = ("23.90.64.0/18", "58.181.128.0/18", "101.44.0.0/18", "146.71.192.0/18", "203.8.0.0/18")
TELESCOPES = {"/24": ("23.90.64.0/24",), "/20": ("101.44.16.0/20",), "/18": FIVE[:1], "5 x /18": FIVE}
SEEN = (12, 15, 20, 30, 50, 96)
SECONDS = 40_000
LOGARITHMS = Logarithms()


def addresses(blocks: Iterable[str]) -> np.ndarray:
    networks = [ipaddress.IPv4Network(block) for block in blocks]
    return np.concatenate([np.arange(int(n[0]), int(n[-1]) + 1) for n in networks]).astype(np.uint32)


def scans(
    blocks: tuple[str, ...], seen: int, times: str, seed: int, each: int = 8
) -> tuple[Sample, list[int]]:
    """Scans by 1 to 4 threads, half of them with the blocklist: (sample, generator of each source)."""
    rng = np.random.default_rng(seed)
    space = addresses(blocks)
    parts, truth = [], []
    for blocklist in (False, True):
        logs = log3(elements(space, blocklist))
        for threads in (1, 2, 3, 4):
            for _ in range(each):
                scan = Scan.draw(rng)
                index, step = visits(scan.positions(logs, LOGARITHMS), 0, 1, threads, 0.0)
                chosen = np.sort(rng.choice(len(index), seen, replace=False))
                when = step[chosen] / step[-1]
                if times == "late":
                    when = when + rng.normal(0, 0.001, seen)
                elif times == "order":
                    when = np.sort(rng.random(len(index)))[chosen]
                dst = space[index[chosen]]
                parts.append((len(truth), dst, when - when.min()))
                truth.append(scan.generator)
    columns = {name: np.full(seen * len(parts), 50, np.uint16) for name in COLUMNS}
    columns |= {
        "src": np.repeat(np.array([p[0] for p in parts], np.uint32), seen),
        "dst": np.concatenate([p[1] for p in parts]),
        "ts": (np.concatenate([p[2] for p in parts]) * SECONDS * 1e9).astype(np.int64),
    }
    return Sample.of_packets(columns, 96), truth


def grid(seeds: int) -> None:
    print(
        "\nrecall by packets seen of a whole scan (threads 1-4, blocklist no/yes); wrong generators in brackets"
    )
    print(f"{'telescope':10} {'times':6} " + " ".join(f"{n:>10}" for n in SEEN) + "   scans each")
    for name, blocks in TELESCOPES.items():
        for times in ("exact", "late", "order"):
            cells, count = [], 0
            for seen in SEEN:
                hit = wrong = count = 0
                for seed in range(seeds):
                    sample, truth = scans(blocks, seen, times, seed)
                    found = order_families(sample).found
                    hit += len(found)
                    wrong += sum(one.walk.generator != truth[int(sample.src[one.source])] for one in found)
                    count += len(truth)
                cells.append(f"{hit / count:6.3f}({wrong:2d})")
            print(f"{name:10} {times:6} " + " ".join(f"{c:>10}" for c in cells) + f"   {count}")


def sampled(batches: object) -> Sample:
    summary = FingerprintSummary(1)
    for batch in batches:  # type: ignore[attr-defined]
        summary.add({name: column(batch, name) for name in FingerprintEngine.columns})
    return summary.sample()


def timed(sample: Sample) -> tuple[Orders, float]:
    begin = time.process_time()
    orders = order_families(sample)
    return orders, time.process_time() - begin


def zmaps(sources: int) -> tuple[Family, ...]:
    rows = (("zmap-old", False), ("zmap", False), ("zmap", True))
    return tuple(
        Family(
            f"bench-{n}",
            tool,
            "tool",
            "attack",
            sources,
            5.0,
            SCANNED,
            Churn(1800),
            ports_each=1,
            blocklist=blocked,
        )
        for n, (tool, blocked) in enumerate(rows)
    )


def internet(seeds: int) -> None:
    print("\nsimulated Internet, 1 M packets, ZMap sources by packets in the sample: found of all")
    limits = ((12, 20), (20, 50), (50, 96), (96, 97))
    for percent in (0, 10, 20):
        got, every = np.zeros(4, int), np.zeros(4, int)
        false = judged = 0
        for seed in range(seeds):
            config = InternetConfig(
                seed=seed, packets=1_000_000, contamination=percent / 100, extra=zmaps(100)
            )
            sample = sampled(packets(config))
            orders = order_families(sample)
            named = {int(sample.src[one.source]) for one in orders.found if one.order == CYCLIC}
            sessions = populate(config).sessions
            truth = set(sessions["src"][sessions["dst_mode"] == LISTED].tolist())
            false += len({int(sample.src[one.source]) for one in orders.found} - truth)
            judged += orders.sources
            size = dict(zip(sample.src.tolist(), np.diff(sample.starts).tolist(), strict=True))
            for source in truth:
                for n, (low, high) in enumerate(limits):
                    if low <= size.get(source, 0) < high:
                        every[n] += 1
                        got[n] += source in named
        cells = ", ".join(
            f"{low}-{high - 1}: {g}/{e}" for (low, high), g, e in zip(limits, got, every, strict=True)
        )
        print(f"  {percent:2d} % foreign: {cells}; false {false} of {judged} sources judged, {seeds} seeds")


def noise(seeds: int) -> None:
    for name in ("noise alone", "every tool but ZMap"):
        false = judged = series = 0
        for seed in range(100, 100 + seeds):
            config = InternetConfig(seed=seed, packets=1_000_000)
            table = tuple(f for f in default_families(config) if not f.tool.startswith("zmap"))
            config = replace(config, families=() if name == "noise alone" else table)
            orders = order_families(sampled(packets(config)))
            false, judged, series = false + len(orders.found), judged + orders.sources, series + orders.series
        print(f"\n{name}: {false} orders in {judged} sources ({series} series), {seeds} seeds of 1 M packets")


def captures() -> None:
    folder = Path(os.environ.get("ANDON_DATA", "../shared/data")) / "darknet-data" / "captures"
    print(f"\nreal captures in {folder}")
    for path in sorted(folder.iterdir()):
        sample = sampled(read(str(path)))
        orders = order_families(sample)
        found = ", ".join(f"{one.relation} {one.bits:.0f} bits" for one in orders.found) or "no order"
        print(f"  {path.name}: {len(sample.src)} sources, {orders.series} series judged: {found}")


def cost() -> None:
    for count in (1_000_000, 10_000_000):
        sample = sampled(packets(InternetConfig(seed=1, packets=count)))
        order_families(
            sample.__class__.of_packets({**sample.columns, "src": np.zeros(sample.rows, np.uint32)})
        )
        orders, cpu = timed(sample)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(
            f"\n{count:,} packets: {len(sample.src):,} sources, {sample.rows:,} rows, {orders.series:,} series of "
            f"{orders.sources:,} sources judged in {cpu:.2f} CPU s, {len(orders.found)} found, peak {peak} MB of the "
            f"process; left out: {'; '.join(orders.left_out) or 'nothing'}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--experiments", default="grid,internet,noise,captures,cost")
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    wanted = options.experiments.split(",")
    if "grid" in wanted:
        grid(options.seeds)
    if "internet" in wanted:
        internet(options.seeds)
    if "noise" in wanted:
        noise(options.seeds)
    if "captures" in wanted:
        captures()
    if "cost" in wanted:
        cost()


if __name__ == "__main__":
    main()
