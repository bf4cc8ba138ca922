"""A day at the load of a whole national telescope: 20,000 packets a second, all engines, never stored whole.

    python benchmarks/live/day.py --store FOLDER [--days 1] [--rate 20000] [--slice 1] [--minutes 50] [--keep 8GB]
    python benchmarks/live/day.py --store FOLDER --days 7 --rate 300 --slice 24         # a week of a smaller one

Packets come through a pipe from ``andon simulate internet --out -``, one run for each slice of ``--slice`` hours, with
sources of its own (more new ones than a real day has), and go through reader, journal, ledger and history as in `andon
run`; discovery concludes every ten minutes. Retention by bytes keeps journal and history under ``--keep``. The last
slice is two minutes of the day after, so that the day is concluded.

Stop it at any time, start it again with the same folder, and it goes on: the slice that was cut off is made again, and
what the store has of it is passed over. What is printed at the end is measured; where fewer than 24 hours have been
run, the line that scales them up says so. CPU seconds are of this process; what the other one needs to make the packets
is told apart.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from rate import Line, site

from andon.observe.live.stream import StreamSource
from andon.run.conclusions import Concluded

START = datetime(2026, 1, 1, tzinfo=UTC)
BAR = 90.0  # CPU minutes a day
SPACE = 10 * 10**9  # bytes
SPAN_BAR = 5.0  # CPU seconds of discovery for a span of ten minutes once families are known
DISCOVERY = "darknet.fingerprint"
SEGMENT = 50_000
LAST = 120.0  # seconds of the day after


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def rss() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def simulated(seed: int, start: datetime, seconds: float, rate: float) -> Iterator[pa.RecordBatch]:
    """Packets of one run of ``andon simulate internet --out -``, in batches of about ``SEGMENT`` rows."""
    command = [
        sys.executable, "-m", "andon", "simulate", "internet", "--out", "-", "--seed", str(seed),
        "--rate", str(rate), "--duration", f"{round(seconds)}s", "--start", start.isoformat(),
    ]  # fmt: skip
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None and child.stderr is not None
    source = StreamSource("tap", child.stdout)
    source.open(None)
    kept: list[pa.RecordBatch] = []
    rows = 0
    while not source.finished:
        for piece in source.poll(1.0):
            kept.append(piece.batch)
            rows += piece.batch.num_rows
        if rows >= SEGMENT:
            yield pa.Table.from_batches(kept).combine_chunks().to_batches()[0]
            kept, rows = [], 0
    if rows:
        yield pa.Table.from_batches(kept).combine_chunks().to_batches()[0]
    said = child.stderr.read().decode(errors="replace")
    if child.wait():
        raise RuntimeError(f"andon simulate ended with {child.returncode}: {said}")
    damage = [event for event in source.events() if event["type"] == "damage"]
    if damage:
        raise RuntimeError(f"the reader found damage in the simulated capture: {damage}")


class Run:
    """What has been run so far, kept in ``run.json`` beside the store."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "run.json"
        self.done: dict[str, Any] = {
            "slices": 0, "seconds": 0.0, "rows": 0, "cpu": {}, "engines": {}, "making": 0.0, "rss": {}, "bytes": 0,
            "stored": 0, "wall": 0.0, "spans": [], "findings": {},
        }  # fmt: skip
        if self.path.exists():
            self.done = json.loads(self.path.read_text())

    def write(self) -> None:
        temporary = self.path.with_suffix(".part")
        temporary.write_text(json.dumps(self.done))
        temporary.replace(self.path)


class Player:
    """Plays slices into a store; what they cost is added to the run's figures every ten minutes of packets."""

    def __init__(self, run: Run, folder: Path, rate: float, keep: int, every: str) -> None:
        self.run, self.folder, self.rate, self.keep = run, folder, rate, keep
        self.line = line = Line(
            folder, site({f"{DISCOVERY}.every": every} if every else None), True, max(1, round(rate))
        )
        self.spans: list[tuple[str, int, float]] = []
        line.restore()
        told = line.ledger.conclusions.told

        def hear(concluded: Concluded) -> None:
            if concluded.engine.name == DISCOVERY:
                self.spans.append((concluded.span, concluded.start, concluded.cpu_seconds))
            told(concluded)

        line.ledger.conclusions.told = hear
        assert line.history is not None
        self.history = line.history

    @property
    def rows(self) -> int:
        """Rows in the store, in all time."""
        return max(self.line.journal.next_row, self.history.next_row)

    def play(self, start: datetime, seconds: float, seed: int) -> None:
        line, done = self.line, self.run.done
        skip = self.rows - done["rows"]  # of a slice that was cut off: the same packets come again
        if skip:
            print(
                f"going on after {skip:,} packets of the slice; what the last of them cost may not be counted"
            )
        begin, children, spans = time.monotonic(), _children(), len(done["spans"])
        self.begin()
        last = 0
        for batch in simulated(seed, start, seconds, self.rate):
            if skip >= batch.num_rows:
                skip -= batch.num_rows
                continue
            batch, skip = batch.slice(skip), 0
            line.take(batch)
            last = batch.column("ts")[-1].value
            self.note_memory(last)
            if line.journal.next_row - self.noted >= 600 * self.rate:
                self.note()
        if last:
            line.save(last)
        mark = time.process_time()
        self.history.expire(before_ns=None, keep_bytes=self.keep, grace_hours=0)
        line.cpu["history"] += time.process_time() - mark
        done["slices"] += 1
        done["seconds"] += seconds
        done["rows"] = self.rows
        done["making"] += _children() - children
        done["wall"] += time.monotonic() - begin
        done["findings"] = dict(Counter(found.kind for found in line.casebook.findings()))
        self.note()
        stored = done["stored"]
        print(
            f"{datetime.now(UTC):%H:%M} done until day {start + timedelta(seconds=seconds):%d %H:%M}: "
            f"{sum(done['cpu'].values()) / 60:.2f} CPU minutes ({_parts(done['cpu'])}); discovery, CPU s: "
            + " ".join(f"{spent:.1f}" + " (day)" * (span == "1d") for span, _, spent in done["spans"][spans:])
            + f"; {rss() / 1e6:,.0f} MB in memory, {stored / 1e9:.2f} GB on disk; load {os.getloadavg()[0]:.1f}",
            flush=True,
        )

    def begin(self) -> None:
        self.line.reset()
        self.spans.clear()
        self.noted = self.line.journal.next_row
        self.all_before = time.process_time()

    def note(self) -> None:
        """Add what was spent since ``begin`` to the run's figures, and begin anew."""
        line, done = self.line, self.run.done
        # Whatever is not one of the parts is taking packets from the pipe.
        line.cpu["reader"] = time.process_time() - self.all_before - sum(line.cpu.values())
        for part, spent in line.cpu.items():
            done["cpu"][part] = done["cpu"].get(part, 0.0) + spent
        for name, spent_by in line.ledger.spent.items():
            before = done["engines"].get(name, [0.0, 0.0])
            done["engines"][name] = [before[0] + spent_by.summarise, before[1] + spent_by.conclude]
        done["spans"] += self.spans
        done["stored"] = sum(folder_bytes(self.folder / part) for part in ("journal", "history"))
        done["bytes"] = max(done["bytes"], done["stored"])
        self.run.write()
        line.cpu.pop("reader")
        self.begin()

    def note_memory(self, ts: int) -> None:
        hour, held = str(int((ts / 1e9 - START.timestamp()) // 3600)), self.run.done["rss"]
        held[hour] = max(held.get(hour, 0), rss())


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _parts(cpu: dict[str, float]) -> str:
    return ", ".join(f"{part} {spent / 60:.2f}" for part, spent in cpu.items())


def play(folder: Path, days: float, rate: float, hours: float, keep: int, minutes: float, every: str) -> Run:
    stop = time.monotonic() + 60 * minutes
    run = Run(folder)
    player = Player(run, folder, rate, keep, every)
    whole = 86400 * days
    while run.done["seconds"] < whole + LAST and time.monotonic() < stop:
        at = run.done["seconds"]
        seconds = min(3600 * hours, whole - at) if at < whole else LAST
        player.play(START + timedelta(seconds=at), seconds, 1000 + run.done["slices"])
    player.line.end()
    return run


def report(run: Run, days: float, rate: float) -> bool:
    done = run.done
    hours = done["seconds"] / 3600
    if not hours:
        print("no slice is whole yet: start it again with more --minutes")
        return False
    minutes = sum(done["cpu"].values()) / 60
    print(f"\n{hours:.2f} hours at {rate:,g} packets/s: {done['rows']:,} packets, {minutes:.2f} CPU minutes")
    print("  by part: " + _parts(done["cpu"]))
    for name, (take, conclude) in done["engines"].items():
        print(f"  {name:22} {take / 60:.2f} taking in, {conclude / 60:.2f} concluding")
    print(f"  making the packets, not counted: {done['making'] / 60:.2f}")
    good = _discovery(done["spans"])
    memory = {int(hour): held for hour, held in done["rss"].items()}
    if days > 1:
        memory = {
            day: max(b for h, b in memory.items() if h // 24 == day) for day in {h // 24 for h in memory}
        }
    said = ", ".join(f"{number + 1}: {held / 1e6:,.0f}" for number, held in sorted(memory.items()))
    print(f"  most memory by {'day' if days > 1 else 'hour'}, MB: {said}")
    print(f"  journal and history at most {done['bytes'] / 1e9:.2f} GB (bar {SPACE / 1e9:.0f} GB)")
    print("  findings: " + (", ".join(f"{n} {kind}" for kind, n in done["findings"].items()) or "none"))
    daily = minutes * 24 / hours
    if hours < 24:
        print(f"  scaled up to 24 hours, NOT measured: {daily:.0f} CPU minutes (bar {BAR:.0f})")
    else:
        print(f"  {daily:.1f} CPU minutes a day (bar {BAR:.0f})")
    return bool(good and daily <= BAR and done["bytes"] <= SPACE)


def _discovery(spans: list[tuple[str, int, float]]) -> bool:
    """Print what discovery took; whether all spans after the first hour are within the bar."""
    begin = START.timestamp() * 1e9
    short = [(at, spent) for span, at, spent in spans if span != "1d"]
    first = [spent for at, spent in short if at < begin + 3600e9]
    later = np.array([spent for at, spent in short if at >= begin + 3600e9])
    print(
        "  discovery, CPU s a span of 10 minutes: first hour " + " ".join(f"{spent:.1f}" for spent in first)
    )
    if len(later):
        p50, p95 = np.percentile(later, (50, 95))
        over = int((later > SPAN_BAR).sum())
        print(
            f"    later: p50 {p50:.2f}, p95 {p95:.2f}, max {later.max():.2f}; {over} of {len(later)} over {SPAN_BAR:g}"
        )
    for span, _, spent in spans:
        if span == "1d":
            print(f"    a whole day's: {spent:.1f}")
    return bool((later <= SPAN_BAR).all())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--days", type=float, default=1.0, help="how far is to be run in all")
    parser.add_argument("--rate", type=float, default=20_000.0, help="packets a second")
    parser.add_argument("--slice", type=float, default=1.0, help="hours of packets that are made in one run")
    parser.add_argument("--minutes", type=float, default=50.0, help="begin no slice after so long, this time")
    parser.add_argument("--keep", default="8GB")
    parser.add_argument(
        "--every", default="10min", help="span of discovery besides the day; empty: the day alone"
    )
    options = parser.parse_args()
    options.store.mkdir(parents=True, exist_ok=True)
    keep = int(float(options.keep.upper().removesuffix("GB")) * 1e9)
    run = play(options.store, options.days, options.rate, options.slice, keep, options.minutes, options.every)
    sys.exit(0 if report(run, options.days, options.rate) else 1)


if __name__ == "__main__":
    main()
