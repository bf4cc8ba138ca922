"""The second read, counted in one process and as partitions that are counted apart and merged.

    python benchmarks/cluster/recount.py [--packets 1000000] [--partitions 8] [--parts 2000] [--folder DIR]

Captures are simulated into DIR (or a temporary folder) unless they are there. Relations like those of a day's findings
are wanted in the day and in each of its hours. Prints a table of CPU time; the fastest of three. Baseline is reading
the same columns of the same captures and counting nothing.
"""

from __future__ import annotations

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from andon.run.exactly import Counted, Relation, Tally, Wanted, count
from andon.run.exactly.figures import PAIRS, SOURCES, Exact, Sessions
from andon.run.feed import Feed, FileReport
from andon.run.recount import count_captures
from andon.simulate.internet import InternetConfig, parse_family, simulate

HOUR = 3_600 * 10**9
START = datetime(2026, 1, 1, tzinfo=UTC)
T0 = int(START.timestamp()) * 10**9
SYN = "tcp.flags & 0x3f == 2"
FINGERPRINTS = (
    "tcp.seq == ip.dst",
    "ip.id == 0xd431",
    "lo16(ip.dst) ^ hi16(ip.dst) ^ tcp.dstport ^ lo16(tcp.seq) ^ hi16(tcp.seq) == ip.id",
    "tcp.window == 1024",
    "tcp.seq == ip.dst ^ 0x5a5a5a5a",
    "ip.ttl == 255",
)
KEYED = f"{SYN} and (tcp.seq == ip.dst ^ key32)"


def captures(folder: Path, packets: int, partitions: int) -> list[str]:
    """``partitions`` captures one after the other, a day in all."""
    paths = []
    for n in range(partitions):
        place = folder / f"{packets}-{partitions}-{n}"
        if not (place / "capture.pcap").exists():
            config = InternetConfig(
                seed=n,
                packets=packets // partitions,
                telescope=("198.18.0.0/18",),
                contamination=0.1,
                duration=86_400 / partitions,
                start=START + timedelta(seconds=86_400 / partitions * n),
                extra=(parse_family("s:tcp.seq == ip.dst ^ key32:30"),),
            )
            simulate(config, place)
        paths.append(str(place / "capture.pcap"))
    return paths


def wanted_in(windows: list[tuple[int, int]]) -> Wanted:
    """29 relations a window: 3 with exact figures, one keyed."""
    texts = [f"{SYN} and {one}" for one in FINGERPRINTS]
    texts += [
        f"{SYN} and tcp.dstport == {port}" for port in (22, 23, 80, 443, 445, 2323, 3389, 5555, 6379, 8080)
    ]
    texts += [f"{SYN} and tcp.window == {1000 + n}" for n in range(12)]
    relations = [Relation(*w, text, n < 3) for w in windows for n, text in enumerate(texts)]
    return Wanted(tuple(sorted([*relations, *(Relation(*w, KEYED) for w in windows)])))


def cpu(work: Callable[[], Any], tries: int = 3) -> tuple[float, Any]:
    """(CPU seconds, of the fastest try; what it gave)."""
    best, made = float("inf"), None
    for _ in range(tries):
        began = time.process_time()
        made = work()
        best = min(best, time.process_time() - began)
    return best, made


def apart(asked: Wanted, paths: list[str], spans: dict[str, tuple[int, int]]) -> list[bytes]:
    text = asked.to_json()
    return [count_captures(Wanted.from_json(text), [path], None, None, spans).to_bytes() for path in paths]


def read_only(paths: list[str], columns: tuple[str, ...]) -> int:
    return sum(batch.num_rows for path in paths for _, batch, _, _ in Feed([path], columns, None))


def copies(first: Counted, parts: int) -> list[bytes]:
    """The figures of one partition as if they were of as many others; a few of them, again and again."""
    made = []
    for n in range(min(parts, 16)):
        tallies = {k: replace(tally, inputs={f"{n}.pcap"}) for k, tally in first.tallies.items()}
        made.append(Counted(first.wanted, {f"{n}.pcap": 0}, tallies).to_bytes())
    return [made[n % len(made)] for n in range(parts)]


def joined_from(made: Iterable[bytes]) -> Counted:
    """One after the other, so that two are in memory at a time."""
    parts = iter(made)
    whole = Counted.from_bytes(next(parts))
    for data in parts:
        whole.take(Counted.from_bytes(data))
    return whole


def to_bytes(made: list[Counted]) -> list[bytes]:
    return [one.to_bytes() for one in made]


def full(seed: int, sources: int) -> dict[int, Tally]:
    """Tallies with as many sources and pairs as there may be, or more."""
    rng = np.random.default_rng(seed)
    src = rng.integers(1, 1 << 32, sources, dtype=np.uint32)
    exact, sessions = Exact(), Sessions()
    exact.add(src, rng.integers(0, 1 << 16, sources).astype(np.uint16))
    sessions.add(src, src)
    inputs = {f"{seed}.pcap"}
    return {0: Tally(sources, 0, 1, inputs, exact), 1: Tally(inputs=inputs, sessions=sessions)}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--packets", type=int, default=1_000_000)
    parser.add_argument("--partitions", type=int, default=8)
    parser.add_argument("--parts", type=int, default=2000, help="partitions' figures that are merged")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = captures(options.folder or Path(folder), options.packets, options.partitions)
        measure(paths, options.parts)


def measure(paths: list[str], parts: int) -> None:
    print(
        f"load {os.getloadavg()[0]:.2f}, {os.cpu_count()} CPUs; {SOURCES:,} sources, {PAIRS:,} pairs at most"
    )
    day = (T0, T0 + 24 * HOUR)
    hours = [(T0 + n * HOUR, T0 + (n + 1) * HOUR) for n in range(24)]
    reports = [FileReport(path) for path in paths]
    packets = sum(batch.num_rows for _, batch, _, _ in Feed(reports, ("ts",), None))
    spans = {one.path: (one.first or 0, one.last or 0) for one in reports}

    def line(name: str, seconds: float, more: str = "", of: int = packets) -> None:
        print(f"{name:60s} {seconds:8.3f} s {seconds / of * 1e9:8.0f} ns each  {more}")

    print(f"\n{packets:,} packets in {len(paths)} captures; CPU, fastest of three\n")
    for name, windows in (("one day", [day]), ("one day and its 24 hours", [day, *hours])):
        asked = wanted_in(windows)
        print(f"{len(asked.relations)} relations: {name}")
        base, _ = cpu(partial(read_only, paths, asked.columns))
        line("  read, count nothing (baseline)", base)
        whole, one = cpu(partial(count_captures, asked, paths, None, None, spans))
        line("  read and count in one process", whole)
        split, made = cpu(partial(apart, asked, paths, spans))
        line("  each capture apart, to bytes", split, f"{split / whole:.2f} of one process")
        sizes = [len(data) for data in made]
        joined, merged = cpu(partial(joined_from, made))
        line("  from bytes, merged", joined, f"{max(sizes):,} bytes at most", len(made))
        print(f"  bytes equal to one process: {merged.to_bytes() == one.to_bytes()}\n")

    asked = wanted_in([day])
    rows = [batch for _, batch, _, _ in Feed(paths, asked.columns, None)]
    times = [batch.column("ts").view("int64").to_numpy() for batch in rows]
    outside = wanted_in([(T0 + 48 * HOUR, T0 + 72 * HOUR)])
    report = FileReport("x")
    spent, _ = cpu(lambda: count(outside, [(0, *one) for one in zip(rows, times, strict=True)], [report]))
    line("batches outside of all windows", spent)
    spent, _ = cpu(lambda: [count_captures(outside, [path], None, None, spans) for path in paths])
    line("captures outside of all windows", spent, "not opened", len(paths))

    for name, keyed in (("with the keyed one", True), ("without", False)):
        asked = Wanted(tuple(one for one in asked.relations if keyed or not one.keyed))
        data = copies(count_captures(asked, paths[:1], None), parts)
        spent, merged = cpu(partial(joined_from, data), 1)
        more = f"{len(data[0]):,} bytes each, {len(merged.to_bytes()):,} at the end"
        line(f"figures of {parts:,} partitions merged, {name}", spent, more, parts)

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, sources in (("full", SOURCES), ("beyond the limits", 1_000_000)):
        two = [Counted("x", {f"{n}.pcap": 0}, full(n, sources)) for n in range(2)]
        spent, made = cpu(partial(to_bytes, two))
        line(f"two relations, {name}: to bytes", spent / 2, f"{len(made[0]):,} bytes", 1)
        spent, _ = cpu(partial(joined_from, made))
        line(f"two relations, {name}: from bytes, merged", spent / 2, "", 1)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = f"{before / 1024:,.0f} MB before, {after / 1024:,.0f} MB after full tables"
    print(f"\npeak RSS {said}; load {os.getloadavg()[0]:.2f}")


if __name__ == "__main__":
    main()
