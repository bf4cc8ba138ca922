"""What the casebook costs: transactions and findings per CPU second, and a page of a list among many findings.

    python benchmarks/casebook/run.py [--findings 1000000] [--folder DIR] [--url postgresql://...]

Prints one JSON object a line. CPU seconds are those of this process (SQLite runs inside it); pages are timed with the
wall clock, 200 of each kind, and the machine's load is printed beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from andon.records.finding import KINDS, SEVERITIES, Check, Entity, Evidence, Finding
from andon.store.casebook import Casebook, Conclusion, Filter, Message

SECOND = 1_000_000_000
TEN_MINUTES = 600 * SECOND
KIND_NAMES = tuple(KINDS)


def finding(number: int, entities: int) -> Finding:
    """A finding like those of a live telescope: a statement, one check, some sources."""
    start = number // 200 * TEN_MINUTES
    mixed = number * 2654435761 % 2**32
    return Finding(
        engine=f"darknet.engine{mixed % 7}",
        engine_version=1,
        kind=KIND_NAMES[mixed % len(KIND_NAMES)],
        title=f"Finding {number}: a scanner of port {mixed % 65536}",
        statement="A few hundred characters of plain words with figures and units. " * 4,
        confidence=0.97,
        calibration="measured on simulated traffic",
        window=(start, start + TEN_MINUTES),
        subject=("fingerprint", f"tcp.seq == ip.dst ^ {mixed % 5000}"),
        first_seen=start + mixed % TEN_MINUTES,
        last_seen=start + mixed % TEN_MINUTES,
        count=mixed % 10_000,
        entities=tuple(
            Entity("ipv4-addr", f"{mixed >> 8 & 255}.{mixed & 255}.{k}.{(mixed >> 16) % 256}", 9)
            for k in range(entities)
        ),
        evidence=(
            Evidence("packets with it", Check("tcp.seq == ip.dst", 0.1, expression="tcp", expected=5)),
        ),
        severity=SEVERITIES[
            0 if mixed % 100 < 60 else 1 if mixed % 100 < 90 else 2 if mixed % 100 < 99 else 3
        ],
    )


def report(**values: object) -> None:
    print(json.dumps({**values, "load": round(os.getloadavg()[0], 1)}), flush=True)


def transactions(book: Casebook) -> None:
    """One conclusion a transaction: 20 findings of 10 entities, a carry, a table, one message."""
    count = 300
    made = [
        Conclusion(
            f"darknet.engine{number % 7}",
            1,
            "10min",
            number // 7 * TEN_MINUTES,
            (number // 7 + 1) * TEN_MINUTES,
            number,
            tuple(finding(10_000_000 + number * 20 + k, 10) for k in range(20)),
            "c" * 64,
            (("sources", f"tables/{number}.parquet", "d" * 64, 100),),
            (Message(f"m{number}", "soc", "alert", "s", "t", {}),),
            clock=number,
        )
        for number in range(count)
    ]
    cpu, wall = time.process_time(), time.monotonic()
    for conclusion in made:
        book.conclude(conclusion)
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    report(
        what="conclusions of 20 findings, 10 entities each, a carry, a table, a message",
        transactions_per_cpu_second=round(count / cpu),
        findings_per_cpu_second=round(count * 20 / cpu),
        transactions_per_second=round(count / wall),
    )
    cpu, wall = time.process_time(), time.monotonic()
    for conclusion in made:
        book.conclude(conclusion)
    cpu = time.process_time() - cpu
    report(what="the same replayed", transactions_per_cpu_second=round(count / cpu))
    cpu, wall = time.process_time(), time.monotonic()
    for number in range(1000):
        book.record(messages=(Message(f"n{number}", "noc", "alert", "s", "t", {}),), clock=number)
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    report(
        what="transactions of one message",
        transactions_per_cpu_second=round(1000 / cpu),
        transactions_per_second=round(1000 / wall),
    )


def fill(book: Casebook, count: int, entities: int) -> None:
    """``count`` findings, 1,000 a transaction."""
    cpu = 0.0
    for at in range(0, count, 1000):
        new = [finding(number, entities) for number in range(at, min(at + 1000, count))]
        begin = time.process_time()
        book.record(new, clock=at)
        cpu += time.process_time() - begin
    report(
        what=f"findings of {entities} entities, 1,000 a transaction",
        findings=count,
        findings_per_cpu_second=round(count / cpu),
    )


FILTERS = {
    "all": Filter(),
    "severity high or worse (1 %)": Filter(severity="high"),
    "severity critical (none)": Filter(severity="critical"),
    "one kind": Filter(kinds=("census",)),
    "three kinds, medium or worse": Filter(kinds=KIND_NAMES[:3], severity="medium"),
    "one engine": Filter(engines=("darknet.engine3",)),
    "a kind and an engine": Filter(kinds=("census",), engines=("darknet.engine3",)),
    "a kind and an engine that never meet": Filter(kinds=("census",), engines=("darknet.engine99",)),
    "one entity": Filter(entity="7.7.1.7"),
    "one series": Filter(series=finding(777, 0).series),
    "since and until": Filter(since=10 * TEN_MINUTES, until=3000 * TEN_MINUTES),
    "kind, since and until": Filter(kinds=("census",), since=10 * TEN_MINUTES, until=3000 * TEN_MINUTES),
}


def pages(book: Casebook) -> None:
    """200 pages of 50 of each kind of list, half from the top, half from somewhere inside."""
    newest = next(iter(book.findings(limit=1)))
    for name, filter in FILTERS.items():
        took = []
        for number in range(200):
            before = None if number % 2 else (newest.last_seen * (number + 1) // 201, 2**62)
            begin = time.perf_counter()
            found = list(book.findings(filter, limit=50, before=before))
            took.append(time.perf_counter() - begin)
        took.sort()
        report(page=name, rows=len(found), p50_ms=round(took[100] * 1e3, 1), p95_ms=round(took[190] * 1e3, 1))


def places(given: str, folder: str | None) -> Iterator[str]:
    """Where the casebook goes, and away with it afterwards."""
    if given:
        yield given
        return
    with tempfile.TemporaryDirectory(dir=folder) as made:
        yield made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--findings", type=int, default=1_000_000)
    parser.add_argument("--entities", type=int, default=3)
    parser.add_argument("--folder", default=None)
    parser.add_argument("--url", default="")
    options = parser.parse_args()
    for place in places(options.url, options.folder):
        with Casebook(place) as book:
            book.migrate()
            transactions(book)
            fill(book, options.findings, options.entities)
            pages(book)
            file = Path(place) / "casebook.db"
            report(
                bytes=file.stat().st_size if file.is_file() else None,
                peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            )


if __name__ == "__main__":
    main()
