"""What it costs to read packets from the history rather than from a capture, and how that grows with files.

    python benchmarks/cluster/history_read.py [--packets 2000000] [--folder DIR]

The same packets as an uncompressed pcap, as a history of files of 10,000 rows (a quiet telescope), as one of files of
500,000 (25 s at 20,000 packets/s), and compacted. Each row of the table is a process of its own: CPU ns a row of a feed
over all files (user and system), by which columns are read; peak resident memory. ``part``: a tenth of the files. Then
the checksum alone, and how long it takes to plan a table of 20,000 files and more.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from andon.observe import read
from andon.records.packet import COLUMNS, CORE
from andon.run.feed import Feed, FileReport
from andon.run.inputs import Inputs
from andon.simulate.internet import InternetConfig, simulate
from andon.store.history import History
from andon.store.history_files import StoredFile, checksum
from andon.store.history_parts import parts
from andon.store.journal import Journal

DAY_NS = 86_400 * 10**9
START_DAY = 20_454  # 2026-01-01
SETS = {"core": CORE, "all": COLUMNS, "few": ("src", "dst_port", "proto", "tcp_flags")}


def received(store: Path, capture: Path, rows: int) -> None:
    """A store whose history has a commit for every ``rows`` packets."""
    journal, history = Journal(store / "journal"), History(store / "history")

    def append() -> None:
        journal.commit(START_DAY * DAY_NS)
        history.append(journal.segments(after=history.last_segment))
        journal.drop_through(history.last_segment)

    for batch in read(capture):
        for at in range(0, batch.num_rows, min(rows, 50_000)):
            piece = batch.slice(at, min(rows, 50_000))
            journal.append("a", piece, {})
            if journal.pending_rows + piece.num_rows > rows:
                append()
    if journal.pending_rows:
        append()


def files_of(where: str) -> list[FileReport]:
    path = Path(where)
    inputs = Inputs()
    if path.is_dir():
        inputs.add_history(path)
        return inputs.captures
    return [FileReport(where)]


def peak_mb() -> float:
    """Of this program alone: what getrusage says counts the process it was forked from, too."""
    said = Path("/proc/self/status").read_text()
    return int(said.split("VmHWM:")[1].split()[0]) / 1024


def child(where: str, columns: str, share: float) -> None:
    """One measurement, as JSON on stdout."""
    files = files_of(where)
    files = files[: max(1, int(len(files) * share))]
    for _ in Feed([files[0].fresh()], SETS[columns], None, cut=DAY_NS):  # what is compiled and loaded once
        pass
    began = time.process_time()
    feed = Feed(files, SETS[columns], None, cut=DAY_NS)
    rows = sum(batch.num_rows for _, batch, _, _ in feed)
    spent = time.process_time() - began
    bad = [report.error or report.damage for report in feed.reports if report.error or report.damage]
    print(
        json.dumps(
            {
                "files": len(files),
                "rows": rows,
                "ns": spent / rows * 1e9,
                "rss": peak_mb(),
                "bad": len(bad),
            }
        )
    )


def measured(where: Path, columns: str, share: float) -> dict[str, Any]:
    words = [sys.executable, __file__, "--child", str(where), columns, str(share)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def planned(folder: Path, files: int) -> tuple[float, float]:
    """(CPU seconds, wall seconds) to plan a table of so many files, most of which its log alone knows."""
    log = History(folder / "history").log
    log.create()
    day = DAY_NS // 1000
    for first in range(0, files, 2_000):
        at = [START_DAY * day + n * day * 30 // files for n in range(first, min(first + 2_000, files))]
        dates = [str(np.datetime64(t // day, "D")) for t in at]
        log.commit(
            add=[
                StoredFile(f"date={d}/{first + n:032x}-{n:08x}.parquet", d, 1, 10, first + n, first + n, t, t)
                for n, (t, d) in enumerate(zip(at, dates, strict=True))
            ],
            transactions={},
        )
    cpu, wall = time.process_time(), time.perf_counter()
    found = parts(folder)
    assert len(found) == files
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--packets", type=int, default=2_000_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--child", nargs=3)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], options.child[1], float(options.child[2]))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        capture = simulate(
            InternetConfig(seed=1, packets=options.packets, duration=options.packets / 20_000), folder / "sim"
        ).capture
        stores = {"history, 10,000 a file": 10_000, "history, 500,000 a file": 500_000}
        places = {"pcap": capture}
        for label, rows in stores.items():
            places[label] = folder / str(rows)
            received(places[label], capture, rows)
        places["history, compacted"] = folder / "compacted"
        received(places["history, compacted"], capture, 10_000)
        History(places["history, compacted"] / "history").compact(0)
        print(f"{options.packets:,} packets; load {os.getloadavg()[0]:.1f}")
        print(f"{'source':26}{'part':>6}{'columns':>9}{'files':>7}{'ns/row':>8}{'peak MB':>9}")
        for label, place in places.items():
            for columns in SETS:
                for share in (1.0, 0.1) if label.startswith("history, 10") and columns == "core" else (1.0,):
                    got = measured(place, columns, share)
                    bad = f"  {got['bad']} damaged" if got["bad"] else ""
                    print(
                        f"{label:26}{share:>6.0%}{columns:>9}{got['files']:>7,}{got['ns']:>8.0f}{got['rss']:>9.0f}{bad}",
                        flush=True,
                    )
        for label in stores:
            found = parts(places[label])
            began = time.process_time()
            for part in found:
                checksum(Path(part.path))
            spent = time.process_time() - began
            size = sum(part.size for part in found) / options.packets
            print(f"checksum, {label}: {spent / options.packets * 1e9:.1f} ns/row ({size:.1f} bytes/row)")
        for files in (2_000, 20_000, 40_000):
            cpu, wall = planned(folder / f"plan{files}", files)
            print(f"plan of {files:,} files: {cpu:.2f} CPU s, {wall:.2f} s")
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
