"""CPU cost per row and bytes per row of journal and history, on a simulated telescope minute at 20,000 packets/s.

    python benchmarks/store/run.py [--packets 1200000] [--segment 50000] [--commit 600000] [--level 1] [--encodings]

Prints one JSON object: ns of CPU per row (user and system, all threads), bytes per row, wall times of commits as p50
and p95, peak memory. ``--encodings`` compares codecs of the journal, and levels and encodings of the history, instead.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from andon.observe.reader import read
from andon.records.packet import SCHEMA
from andon.simulate.internet import DEFAULT_TELESCOPE, InternetConfig, simulate
from andon.store import history_files
from andon.store.history import History
from andon.store.history_schema import STORED, to_stored
from andon.store.journal import Journal

EVER = (-(2**63), 2**63 - 1)


def traffic(folder: Path, packets: int, poll: int) -> list[pa.RecordBatch]:
    """Batches of ``poll`` rows, as a sensor hands them over."""
    simulate(
        InternetConfig(seed=1, telescope=DEFAULT_TELESCOPE, packets=packets, duration=packets / 20_000),
        folder,
    )
    table = pa.Table.from_batches(list(read(folder / "capture.pcap")), SCHEMA).combine_chunks()
    shutil.rmtree(folder)
    return list(table.to_batches(max_chunksize=poll))


def cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of the whole process and what the work gave."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def commits(folder: Path, batches: list[pa.RecordBatch], segment: int, **options: Any) -> tuple[Journal, Any]:
    journal = Journal(folder, **options)
    segments, wall, spent = [], [], 0.0
    for batch in batches:
        began = time.process_time()
        journal.append("eth0", batch, {"offset": journal.next_row})
        if journal.pending_rows >= segment:
            clock = time.perf_counter()
            segments.append(journal.commit(0))
            wall.append(time.perf_counter() - clock)
        spent += time.process_time() - began
    return journal, (segments, wall, spent)


def whole(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    batches = traffic(folder / "sim", options.packets, options.poll)
    commits(folder / "warm", batches[:4], options.poll)
    journal, (segments, wall, spent) = commits(folder / "journal", batches, options.segment)
    rows = journal.next_row
    per_commit = max(1, options.commit // options.segment)
    history = History(folder / "history", level=options.level)
    appends, appended = [], 0.0
    for at in range(0, len(segments), per_commit):
        clock = time.perf_counter()
        used, _ = cpu(partial(history.append, segments[at : at + per_commit]))
        appended += used
        appends.append(time.perf_counter() - clock)
    segments.clear()
    batches.clear()
    from_disk = History(folder / "history2", level=options.level)
    disk, _ = cpu(lambda: from_disk.append(journal.segments()))
    replay, _ = cpu(lambda: sum(b.num_rows for s in journal.segments() for _, b in s.batches()))
    recover, _ = cpu(lambda: Journal(folder / "journal"))
    full, found = cpu(lambda: sum(b.num_rows for b in history.read(*EVER)))
    assert found == rows
    few, _ = cpu(lambda: sum(b.num_rows for b in history.read(*EVER, ("ts", "src", "dst_port"))))
    start = min(file.ts_min for file in history.files()) * 1000
    window, inside = cpu(lambda: sum(b.num_rows for b in history.read(start, start + 10**9)))
    verify, report = cpu(history.verify)
    assert report.whole, report.problems
    sql = "SELECT dst_port, count(*) AS n, count(DISTINCT src) AS s FROM packets GROUP BY ALL ORDER BY n DESC LIMIT 10"
    query, _ = cpu(lambda: history.query(sql).read_all())
    stored = sum(file.size for file in history.files())

    def ns(seconds: float, of: int = rows) -> float:
        return round(seconds / of * 1e9, 1)

    return {
        "rows": rows,
        "journal_commit_ns": ns(spent),
        "journal_bytes": round(journal.nbytes / rows, 2),
        "journal_commit_wall_ms_p50_p95": np.round(np.percentile(wall, [50, 95]) * 1e3, 1).tolist(),
        "journal_recover_ns": ns(recover),
        "journal_replay_ns": ns(replay),
        "history_append_ns": ns(appended),
        "history_append_from_disk_ns": ns(disk),
        "history_bytes": round(stored / rows, 2),
        "history_append_wall_ms": np.round(np.array(appends) * 1e3).tolist(),
        "journal_and_history_ns": ns(spent + appended),
        "history_read_ns": ns(full),
        "history_read_3_columns_ns": ns(few),
        "one_second_window": {"rows": inside, "cpu_ms": round(window * 1e3, 1)},
        "verify_ns": ns(verify),
        "query_ports_ns": ns(query),
        "peak_rss_mb_of_a_fresh_process": {
            job: fresh(job, folder) for job in ("nothing", "append", "read", "verify")
        },
        "load": os.getloadavg()[0],
    }


def fresh(job: str, folder: Path) -> int:
    """Peak memory in MB of a process that does one job with the store."""
    done = subprocess.run(
        [sys.executable, __file__, "--job", job, str(folder)], check=True, stdout=subprocess.PIPE
    )
    return int(done.stdout)


def run_job(job: str, folder: Path) -> None:
    history = History(folder / "history")
    if job == "append":
        History(folder / "history-fresh").append(Journal(folder / "journal").segments())
    elif job == "read":
        for _ in history.read(*EVER):
            pass
    elif job == "verify":
        history.verify()
    # ru_maxrss would still be that of the process that started this one
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(int(peak[1]) // 1024 if peak else 0)


def small_files(folder: Path, packets: int) -> dict[str, Any]:
    """Compaction: a quiet telescope, 300 packets/s with a commit a minute."""
    batches = traffic(folder / "sim2", packets, 18_000)
    journal, history = Journal(folder / "journal3"), History(folder / "history3")
    costs = []
    for batch in batches:
        journal.append("eth0", batch, {})
        journal.commit(0)
        costs.append(cpu(lambda: history.append(journal.segments(history.last_segment)))[0])
    append = sum(costs)
    spent, done = cpu(history.compact)
    return {
        "files": [done.files_before, done.files_after],
        "append_ns": round(append / journal.next_row * 1e9, 1),
        "compact_ns": round(spent / done.rows * 1e9, 1),
        "bytes": [round(n / done.rows, 2) for n in (done.bytes_before, done.bytes_after)],
    }


def encodings(folder: Path, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    batches = traffic(folder / "sim", options.packets, options.poll)
    for codec in (None, "lz4", "zstd"):
        journal, (_, _, spent) = commits(folder / f"journal-{codec}", batches, options.segment, codec=codec)
        replay, rows = cpu(lambda: sum(b.num_rows for s in journal.segments() for _, b in s.batches()))  # noqa: B023
        yield {
            "journal codec": codec,
            "write_ns": round(spent / rows * 1e9, 1),
            "replay_ns": round(replay / rows * 1e9, 1),
            "bytes": round(journal.nbytes / rows, 2),
        }
    spent, stored = cpu(lambda: [to_stored(batch, 0) for batch in batches])
    table = pa.Table.from_batches(stored).slice(0, options.commit).combine_chunks()
    table = table.set_column(0, "row", pa.array(np.arange(table.num_rows)))
    yield {"cast to signed": round(spent / sum(b.num_rows for b in batches) * 1e9, 1)}
    ours = history_files.ENCODING
    split = ("tcp_seq", "dst", "src_port", "ip_id")
    trials: dict[str, dict[str, Any]] = {
        "as shipped": {"compression_level": 1, **ours},
        "pyarrow's defaults, zstd-1": {"compression_level": 1},
        "as shipped, zstd -3": {"compression_level": -3, **ours},
        "as shipped, zstd 3": {"compression_level": 3, **ours},
        "as shipped, zstd 6": {"compression_level": 6, **ours},
        "lz4": {**ours, "compression": "lz4"},
        "random columns byte-stream-split": {
            **ours,
            "compression_level": 1,
            "column_encoding": {**ours["column_encoding"], **dict.fromkeys(split, "BYTE_STREAM_SPLIT")},
        },
    }
    for name, settings in trials.items():
        path = folder / "trial.parquet"
        arguments = {"compression": "zstd", **settings}

        def write(arguments: dict[str, Any] = arguments, path: Path = path) -> None:
            with pq.ParquetWriter(path, STORED, **arguments) as out:
                out.write_table(table, row_group_size=history_files.ROW_GROUP)

        best = min(cpu(write)[0] for _ in range(2))
        seconds, rows = cpu(lambda path=path: sum(b.num_rows for b in pq.ParquetFile(path).iter_batches()))  # type: ignore[misc]
        yield {
            "history": name,
            "write_ns": round(best / rows * 1e9, 1),
            "read_ns": round(seconds / rows * 1e9, 1),
            "bytes": round(path.stat().st_size / rows, 2),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packets", type=int, default=1_200_000)
    parser.add_argument("--poll", type=int, default=5_000, help="rows that a sensor hands over at once")
    parser.add_argument("--segment", type=int, default=50_000, help="rows of a journal segment")
    parser.add_argument("--commit", type=int, default=600_000, help="rows of a history commit")
    parser.add_argument("--level", type=int, default=1, help="zstd level of the history")
    parser.add_argument("--encodings", action="store_true")
    parser.add_argument("--job", nargs=2, metavar=("JOB", "STORE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        run_job(options.job[0], Path(options.job[1]))
        return
    with tempfile.TemporaryDirectory() as name:
        if options.encodings:
            for line in encodings(Path(name), options):
                print(json.dumps(line), flush=True)
        else:
            result = whole(Path(name), options)
            result["small_files"] = small_files(Path(name), options.packets)
            print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
