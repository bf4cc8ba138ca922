"""What ``livenet.edges`` costs: CPU seconds and peak memory for a day of contacts, and for a log of text if one is given.

    python benchmarks/livenet/edges.py [--contacts 10000000] [--batch 30000] [--edges 8000000] [--lists FILE.parquet]

The day is made here, hour by hour (its cost is not counted): terminals with a heavy tail, a few thousand popular hosts
that everybody asks for, and a long tail of hosts that few ask for, which gives about 6 million edges for 10^7 contacts.
The engine is driven as the runner drives it, in tiles of an hour through ``run.windows``. The table shows the three parts
of its work apart. Peak memory is that of the whole process, interpreter and generator included.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from andon.detect.livenet.edges import engine
from andon.records.contact import CONTACT, WORDS
from andon.records.contract import Context, Site
from andon.records.kinds import CONTACT as KIND
from andon.records.kinds import marked
from andon.run.windows import EngineWindows

HOUR = 3_600_000_000_000
START = 1_767_225_600_000_000_000  # 2026-01-01
TERMINALS, HOSTS, POPULAR, AGENTS = 20_000, 640_000, 3_000, 300


def _words(codes: np.ndarray, texts: pa.Array) -> pa.Array:
    used, inverse = np.unique(codes, return_inverse=True)
    return pa.DictionaryArray.from_arrays(pa.array(inverse.astype(np.int32)), texts.take(pa.array(used)))


def day(contacts: int, size: int, seed: int = 1) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """(batch, times) of a day."""
    rng = np.random.default_rng(seed)
    terminals = pa.array([f"user{n:05d}" for n in range(TERMINALS)])
    addresses = pa.array([f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(TERMINALS)])
    hosts = pa.array(
        [f"www{n % 7}.site{n % 250_000}.{('example', 'co.jp', 'com')[n % 3]}" for n in range(HOSTS)]
    )
    servers = pa.array([f"198.18.{n >> 8 & 255}.{n & 255}" for n in range(HOSTS)])
    agents = pa.array([f"Agent/{n}" for n in range(AGENTS)])
    agent_of = (rng.random(TERMINALS) ** 3 * AGENTS).astype(np.int64)
    for hour in range(24):
        left = contacts * (hour + 1) // 24 - contacts * hour // 24
        ts = np.sort(rng.integers(START + hour * HOUR, START + (hour + 1) * HOUR, left))
        for begin in range(0, left, size):
            when = ts[begin : begin + size]
            n = len(when)
            terminal = (rng.random(n) ** 1.5 * TERMINALS).astype(np.int64)
            popular = (rng.random(n) ** 9 * POPULAR).astype(np.int64)
            host = np.where(rng.random(n) < 0.75, popular, rng.integers(0, HOSTS, n))
            fixed = {
                name: pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([text]))
                for name, text in (
                    ("user", ""),
                    ("via", "tunnel"),
                    ("scheme", "https"),
                    ("method", "CONNECT"),
                    ("action", "TCP_TUNNEL"),
                    ("source", "squid"),
                )  # fmt: skip
            }
            columns = fixed | {
                "ts": pa.array(when).cast(pa.timestamp("ns", tz="UTC")),
                "terminal": _words(terminal, terminals),
                "address": _words(terminal, addresses),
                "host": _words(host, hosts),
                "port": pa.array(np.full(n, 443, np.int32)),
                "server": _words(host, servers),
                "path": pa.array([""] * n),
                "status": pa.array(np.full(n, 200, np.int32)),
                "refused": pa.array(rng.random(n) < 0.01),
                "bytes_in": pa.array(rng.integers(200, 1 << 20, n)),
                "bytes_out": pa.array(rng.integers(200, 1 << 12, n)),
                "duration": pa.array(np.full(n, -1, np.int64)),
                "referer": pa.nulls(n, pa.string()),
                "agent": _words(agent_of[terminal], agents),
                "mime": pa.nulls(n, WORDS),
                "location": pa.nulls(n, pa.string()),
                "category": pa.nulls(n, WORDS),
            }
            made = pa.RecordBatch.from_arrays([columns[field.name] for field in CONTACT], schema=CONTACT)
            yield marked(made, KIND), when


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def measure(contacts: int, size: int, edges: int, reputation: pa.Table | None) -> None:
    begin = time.process_time()
    made = engine(Site(reputation=reputation, settings={"livenet.edges.edges": edges}))
    prepare = time.process_time() - begin
    for batch, when in day(20_000, size, seed=2):  # compile
        windows = EngineWindows(made)
        windows.add(batch, when)
        windows.close_until(None)
        for span, start, end, summary in windows.take_closed(None):
            made.conclude(summary, None, Context(span=span, start=start, end=end))
    windows = EngineWindows(made)
    summarise = merge = 0.0
    base = _peak()
    for batch, when in day(contacts, size):
        begin = time.process_time()
        windows.add(batch, when)
        summarise += time.process_time() - begin
        begin = time.process_time()
        windows.close_until(int(when[-1]) - 60_000_000_000)
        merge += time.process_time() - begin
    begin = time.process_time()
    windows.close_until(None)
    merge += time.process_time() - begin
    for span, start, end, summary in windows.take_closed(None):
        summed = _peak()
        begin = time.process_time()
        outcome = made.conclude(summary, None, Context(span=span, start=start, end=end))
        conclude = time.process_time() - begin
        coverage = outcome.tables["coverage"].drop_columns("memory_began").to_pylist()[0]
        print(f"contacts {coverage['contacts']:,}  edges {coverage['edges']:,}  level {coverage['level']}")
        print(f"{'part':<12}{'CPU s':>8}")
        for part, cost in (
            ("lists", prepare),
            ("summarise", summarise),
            ("merge", merge),
            ("conclude", conclude),
        ):
            print(f"{part:<12}{cost:8.2f}")
        print(f"{'all':<12}{prepare + summarise + merge + conclude:8.2f}")
        print(f"peak memory GB: before {base:.2f}, summary {summed:.2f}, concluded {_peak():.2f}")
        held = {name: table.nbytes / 1e6 for name, table in outcome.tables.items()}
        print("tables MB:", ", ".join(f"{name} {size:.0f}" for name, size in held.items()))
        begin = time.process_time()
        size = len(summary.to_bytes())
        print(f"summary as bytes: {size / 1e6:.0f} MB, {time.process_time() - begin:.2f} CPU s")
        size = len(outcome.carry.to_bytes()) if outcome.carry is not None else 0
        print(f"memory as bytes: {size / 1e6:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--contacts", type=int, default=10_000_000)
    parser.add_argument("--batch", type=int, default=30_000)
    parser.add_argument("--edges", type=int, default=8_000_000)
    parser.add_argument("--lists", help="records.reputation as Parquet")
    given = parser.parse_args()
    measure(given.contacts, given.batch, given.edges, pq.read_table(given.lists) if given.lists else None)


if __name__ == "__main__":
    main()
