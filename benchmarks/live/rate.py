"""What journal, history and engines cost: rows per CPU second, in one process, by part and by engine.

    python benchmarks/live/rate.py [--packets 2000000] [--rate 20000] [--segment ROWS] [--profile]

Simulated packets at ``--rate`` per second of their own time go through the journal, the ledger (all engines, recounts,
casebook, checkpoints as often as in `andon run`) and, with history, one commit for every 45 seconds of packets, as in
`andon run`. Making the packets is not counted. CPU seconds are of the whole process, so all threads are in them.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import resource
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from andon.records.contract import Organisation, Site
from andon.run.engines import load_engines
from andon.run.feed import Telescope
from andon.run.live.ledger import Ledger
from andon.run.live.past import Past
from andon.run.live.saving import Saving
from andon.run.live.tables import SpanTables
from andon.simulate.internet import DEFAULT_TELESCOPE, InternetConfig, packets
from andon.store.casebook import Casebook
from andon.store.casebook.files import StateFiles
from andon.store.history import History
from andon.store.journal import Journal

# Prefixes in which the simulated Internet has infected hosts, as any prefix of that size has.
OWN = ("24.0.0.0/16", "91.10.0.0/16", "177.55.0.0/16")


def site(settings: Mapping[str, Any] | None = None) -> Site:
    from andon.detect.darknet.tools.catalogue import load as catalogue

    return Site(
        telescope=DEFAULT_TELESCOPE,
        organisations=(Organisation("Example University", OWN, ()),),
        relations={sign.tool: sign.check for sign in catalogue().globals if sign.explains},
        settings=settings or {},
    )


def segments_of(config: InternetConfig, size: int) -> Iterator[pa.RecordBatch]:
    """Packets in batches of ``size`` rows."""
    kept: list[pa.RecordBatch] = []
    rows = 0
    for batch in packets(config):
        at = 0
        while at < batch.num_rows:
            piece = batch.slice(at, size - rows)
            kept.append(piece)
            rows += piece.num_rows
            at += piece.num_rows
            if rows == size:
                yield _one(kept)
                kept, rows = [], 0
    if kept:
        yield _one(kept)


def _one(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


class Line:
    """Everything behind a source, driven by one thread; CPU seconds by part."""

    def __init__(self, folder: Path, site: Site, with_history: bool, rate: int) -> None:
        self.journal = Journal(folder / "journal")
        self.history = History(folder / "history") if with_history else None
        self.casebook = Casebook(folder)
        self.casebook.migrate()
        self.past = Past(self.journal, self.history, Telescope(site.telescope))
        self.ledger = Ledger(
            load_engines(site), site, ["tap"], self.casebook, StateFiles(folder / "state"),
            SpanTables(folder / "tables"), self.past, lambda finding: (), threads=1,
        )  # fmt: skip
        self.cpu = dict.fromkeys(("journal", "ledger", "checkpoint", "history"), 0.0)
        self._rate, self._saved, self._appended = rate, 0, 0
        self._saving = Saving(60.0)  # in seconds of packets

    def restore(self) -> None:
        """Go on where a store that is there already stands."""
        self.ledger.restore()
        for segment in self.journal.segments(after=self.ledger.segment):
            self.ledger.take(segment)
        self._saved = self._appended = self.journal.next_row

    def reset(self) -> None:
        """Count CPU seconds from now."""
        self.cpu = dict.fromkeys(self.cpu, 0.0)
        for spent in self.ledger.spent.values():
            spent.summarise = spent.conclude = 0.0

    def take(self, batch: pa.RecordBatch) -> None:
        clock = batch.column("ts")[-1].value
        begin = time.process_time()
        self.journal.append("tap", batch, {"rows": self.journal.next_row})
        segment = self.journal.commit(clock)
        assert segment is not None
        begin = self._spent("journal", begin)
        self.ledger.take(segment)
        self._spent("ledger", begin)
        rows = self.journal.next_row
        if self._saving.due((rows - self._saved) / self._rate, self.ledger.again):
            self.checkpoint(clock)
        if self.history is not None and rows - self._appended >= 45 * self._rate:
            self.append()

    def checkpoint(self, clock: int) -> None:
        begin = time.process_time()
        self._saved = self.journal.next_row
        self._saving.cost = self.ledger.checkpoint(clock)
        self._spent("checkpoint", begin)

    def append(self) -> None:
        """Segments into the history, and those that nobody needs any more out of the journal."""
        if self.history is None:
            return
        begin = time.process_time()
        self._appended = self.journal.next_row
        self.history.append(self.journal.segments(after=self.history.last_segment))
        point = self.casebook.last_checkpoint()
        self.journal.drop_through(min(self.history.last_segment, point.segment if point else 0))
        self._spent("history", begin)

    def save(self, clock: int) -> None:
        """So that a restart goes on from here."""
        self.checkpoint(clock)
        self.append()

    def end(self) -> None:
        self.append()
        self.ledger.close()
        self.casebook.close()

    def _spent(self, part: str, begin: float) -> float:
        now = time.process_time()
        self.cpu[part] += now - begin
        return now


def through(config: InternetConfig, size: int, line: Line) -> None:
    """All packets of the simulated Internet through a line, and its end."""
    for batch in segments_of(config, size):
        line.take(batch)
    line.end()


def warm(where: Path | None) -> None:
    """Load every compiled kernel, those of conclusions too."""
    with TemporaryDirectory(dir=where) as folder:
        config = InternetConfig(seed=3, packets=60_000, duration=2 * 86400.0)
        through(config, 2000, Line(Path(folder), site(), True, 1))


def measure(config: InternetConfig, size: int, rate: int, with_history: bool, where: Path | None) -> float:
    with TemporaryDirectory(dir=where) as folder:
        line = Line(Path(folder), site(), with_history, rate)
        through(config, size, line)
        rows = line.journal.next_row
        stored = sum(file.size for file in line.history.files()) if line.history else 0
        found = line.ledger.findings
    total = sum(line.cpu.values())
    what = "journal + history + engines" if with_history else "journal + engines"
    print(
        f"{what}: {rows / total:,.0f} rows per CPU second ({rows:,} rows, {total:.2f} CPU s, {found} findings)"
    )
    print(
        "  "
        + ", ".join(f"{part} {spent / rows * 1e6:.3f} us/row" for part, spent in line.cpu.items() if spent)
    )
    for name, spent in line.ledger.spent.items():
        per_row = (spent.summarise + spent.conclude) / rows * 1e6
        print(
            f"  {name:22} {per_row:6.3f} us/row: taking in {spent.summarise:.2f} s, concluding {spent.conclude:.2f} s"
        )
    if stored:
        print(f"  history: {stored / rows:.1f} bytes a row")
    print(flush=True)
    return rows / total


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--packets", type=int, default=2_000_000)
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--segment", type=int, help="rows; default: those of a second, at most 50,000")
    parser.add_argument("--only", choices=("history", "engines"))
    parser.add_argument("--folder", type=Path, help="where the store goes meanwhile; default: the system's")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    options.segment = options.segment or min(50_000, options.rate)
    duration = options.packets / options.rate
    config = InternetConfig(seed=4, packets=options.packets, duration=duration)
    print(
        f"{options.packets:,} packets, {options.rate:,} a second, segments of {options.segment:,} rows; ",
        end="",
    )
    print(f"load {os.getloadavg()[0]:.1f}", flush=True)
    warm(options.folder)
    profile = cProfile.Profile()
    if options.profile:
        profile.enable()
    bars = {"engines": 1_000_000, "history": 500_000}
    wanted = [options.only] if options.only else list(bars)
    reached = {
        what: measure(config, options.segment, options.rate, what == "history", options.folder)
        for what in wanted
    }
    if options.profile:
        profile.disable()
        pstats.Stats(profile, stream=sys.stdout).sort_stats("tottime").print_stats(40)
    for what, value in reached.items():
        print(
            f"{what:8} {value:>10,.0f} rows per CPU second; the bar is {bars[what]:,}: {value / bars[what]:.2f}"
        )
    print(
        f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:,.0f} MB; load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
