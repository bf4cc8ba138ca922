"""A day at the load of a whole national telescope: 20,000 packets a second, all engines, never stored whole.

    python benchmarks/live/day.py --store FOLDER [--hours 24] [--minutes 50] [--keep 8GB]

Packets of the simulated Internet are made as they are wanted and go through journal, ledger and history as in
`andon run`; retention by bytes keeps journal and history under ``--keep``. The day is cut into slices of six minutes,
each with sources of its own (more new ones than a real day has). A checkpoint ends each slice: stop it at any time,
start it again with the same folder, and it goes on. What is printed at the end is measured; where fewer than 24 hours
have been run, the line that scales it up says so. CPU seconds are of the process, without making the packets.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rate import Line, segments_of, site

from andon.simulate.internet import InternetConfig

START = datetime(2026, 1, 1, tzinfo=UTC)
SLICE = 0.1  # hours
BAR = 90.0  # CPU minutes a day
SPACE = 10 * 10**9  # bytes


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def rss() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class Day:
    """What has been run so far, kept in ``day.json`` beside the store."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "day.json"
        self.done: dict[str, Any] = {
            "slices": 0, "rows": 0, "cpu": {}, "engines": {}, "making": 0.0, "rss": {}, "bytes": 0, "wall": 0.0,
        }  # fmt: skip
        if self.path.exists():
            self.done = json.loads(self.path.read_text())

    def add(self, line: Line, rows: int, making: float, stored: int, wall: float) -> None:
        done = self.done
        done["rows"] += rows
        done["making"] += making
        done["wall"] += wall
        done["bytes"] = max(done["bytes"], stored)
        hour = str(int(done["slices"] * SLICE))
        done["rss"][hour] = max(done["rss"].get(hour, 0), rss())
        done["slices"] += 1
        for part, spent in line.cpu.items():
            done["cpu"][part] = done["cpu"].get(part, 0.0) + spent
        for name, spent_by in line.ledger.spent.items():
            before = done["engines"].get(name, [0.0, 0.0])
            done["engines"][name] = [before[0] + spent_by.summarise, before[1] + spent_by.conclude]
        temporary = self.path.with_suffix(".part")
        temporary.write_text(json.dumps(done))
        temporary.replace(self.path)


def run(folder: Path, hours: float, rate: int, keep: int, minutes: float) -> Day:
    until = time.monotonic() + 60 * minutes
    day = Day(folder)
    line = Line(folder, site(), True, rate)
    line.restore()
    history = line.history
    assert history is not None
    end = min(round(hours / SLICE), round(24 / SLICE))
    while day.done["slices"] < end and time.monotonic() < until:
        number = day.done["slices"]
        config = InternetConfig(
            seed=1000 + number,
            packets=int(rate * 3600 * SLICE),
            start=START + timedelta(hours=number * SLICE),
            duration=3600 * SLICE,
        )
        begin, all_before, rows = time.monotonic(), time.process_time(), line.journal.next_row
        line.reset()
        for batch in segments_of(config, 50_000):
            line.take(batch)
        line.save(batch.column("ts")[-1].value)
        mark = time.process_time()
        history.expire(before_ns=None, keep_bytes=keep, grace_hours=0)
        line.cpu["history"] += time.process_time() - mark
        making = time.process_time() - all_before - sum(line.cpu.values())
        stored = sum(folder_bytes(folder / part) for part in ("journal", "history"))
        day.add(line, line.journal.next_row - rows, making, stored, time.monotonic() - begin)
        print(
            f"hour {(number + 1) * SLICE:.1f}: {sum(line.cpu.values()):.1f} CPU s, {rss() / 1e6:,.0f} MB in memory, "
            f"{stored / 1e9:.2f} GB on disk; load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
    kinds = Counter(found.kind for found in line.casebook.findings())
    day.done["findings"] = dict(kinds)
    line.end()
    return day


def report(day: Day, rate: int) -> bool:
    done = day.done
    hours = done["slices"] * SLICE
    minutes = sum(done["cpu"].values()) / 60
    print(f"\n{hours:.1f} hours at {rate:,} packets/s: {done['rows']:,} packets, {minutes:.2f} CPU minutes")
    print("  by part: " + ", ".join(f"{part} {spent / 60:.2f}" for part, spent in done["cpu"].items()))
    for name, (take, conclude) in done["engines"].items():
        print(f"  {name:22} {take / 60:.2f} taking in, {conclude / 60:.2f} concluding")
    print(f"  making the packets, not counted: {done['making'] / 60:.2f}")
    print(
        "  memory by hour, MB: " + ", ".join(f"{int(h) + 1}: {b / 1e6:,.0f}" for h, b in done["rss"].items())
    )
    print(f"  journal and history at most {done['bytes'] / 1e9:.2f} GB (bar {SPACE / 1e9:.0f} GB)")
    print("  findings: " + (", ".join(f"{n} {kind}" for kind, n in done["findings"].items()) or "none"))
    scaled = minutes * 24 / hours
    if hours < 24:
        print(f"  scaled up to 24 hours, NOT measured: {scaled:.0f} CPU minutes (bar {BAR:.0f})")
    else:
        print(f"  the bar is {BAR:.0f} CPU minutes")
    return bool(scaled <= BAR and done["bytes"] <= SPACE)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--hours", type=float, default=24.0, help="how far the day is to be run in all")
    parser.add_argument("--minutes", type=float, default=50.0, help="begin no slice after so long, this time")
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--keep", default="8GB")
    options = parser.parse_args()
    options.store.mkdir(parents=True, exist_ok=True)
    keep = int(float(options.keep.upper().removesuffix("GB")) * 1e9)
    day = run(options.store, options.hours, options.rate, keep, options.minutes)
    sys.exit(0 if report(day, options.rate) else 1)


if __name__ == "__main__":
    main()
