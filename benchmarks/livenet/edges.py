"""What ``livenet.edges`` costs: CPU seconds and peak memory for a day of contacts, or for a log of text.

    python benchmarks/livenet/edges.py [--contacts 10000000] [--batch 30000] [--edges 8000000] [--black FILE]
    python benchmarks/livenet/edges.py --log access.log.zst [--black FILE]

The day is made here, hour by hour (its cost is not counted): terminals with a heavy tail, a few thousand popular hosts
that everybody asks for, and a long tail of hosts that few ask for, which gives about 6 million edges for 10^7 contacts.
The engine is driven as the runner drives it, in tiles of an hour through ``run.windows``. The table shows the parts of
its work apart; contacts are sorted when a tile closes, so most of the work is under "merge". Peak memory is that of
the whole process, interpreter, generator and the reading of lists included.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from andon.detect.livenet.edges import engine
from andon.observe.jsonlines import Skipped
from andon.observe.logs import Options, records
from andon.observe.reputation import reputation
from andon.records.contact import CONTACT, WORDS
from andon.records.contract import Context, Site
from andon.records.kinds import CONTACT as KIND
from andon.records.kinds import marked
from andon.run.windows import EngineWindows

HOUR = 3_600_000_000_000
START = 1_767_225_600_000_000_000  # 2026-01-01
FIXED = {
    "user": "",
    "via": "tunnel",
    "scheme": "https",
    "method": "CONNECT",
    "action": "TCP_TUNNEL",
    "source": "squid",
}
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
                for name, text in FIXED.items()
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


def of_log(path: str) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """(batch, times) of a log of text."""
    for kind, batch in records(path, Options(), Skipped()):
        if kind == KIND:
            yield batch, batch.column("ts").view(pa.int64()).to_numpy()


def measure(given: Iterator[tuple[pa.RecordBatch, np.ndarray]], edges: int, lists: pa.Table | None) -> None:
    begin = time.process_time()
    made = engine(Site(reputation=lists, settings={"livenet.edges.edges": edges}))
    prepare = time.process_time() - begin
    for batch, when in day(20_000, 30_000, seed=2):  # compile
        windows = EngineWindows(made)
        windows.add(batch, when)
        windows.close_until(None)
        for span, start, end, summary in windows.take_closed(None):
            made.conclude(summary, None, Context(span=span, start=start, end=end))
    windows = EngineWindows(made)
    summarise = merge = 0.0
    base = _peak()
    for batch, when in given:
        begin = time.process_time()
        windows.add(batch, when)
        summarise += time.process_time() - begin
        begin = time.process_time()
        windows.close_until(int(when[-1]) - 600_000_000_000)
        merge += time.process_time() - begin
    begin = time.process_time()
    windows.close_until(None)
    merge += time.process_time() - begin
    carry, conclude, summed = None, 0.0, _peak()
    for span, start, end, summary in windows.take_closed(None):
        begin = time.process_time()
        outcome = made.conclude(summary, carry, Context(span=span, start=start, end=end))
        conclude += time.process_time() - begin
        carry = outcome.carry
        said = outcome.tables["coverage"].drop_columns("memory_began").to_pylist()[0]
        held = ", ".join(f"{name} {table.nbytes / 1e6:.0f}" for name, table in outcome.tables.items())
        print(
            f"contacts {said['contacts']:,}, edges {said['edges']:,}, level {said['level']}; tables MB: {held}"
        )
    parts = {"lists": prepare, "summarise": summarise, "merge": merge, "conclude": conclude}
    for part, cost in (*parts.items(), ("all", sum(parts.values()))):
        print(f"{part:<10}{cost:8.2f} CPU s")
    print(f"peak memory GB: before {base:.2f}, summary {summed:.2f}, concluded {_peak():.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--contacts", type=int, default=10_000_000)
    parser.add_argument("--batch", type=int, default=30_000)
    parser.add_argument("--edges", type=int, default=8_000_000)
    parser.add_argument("--log", help="measure this log instead; reading it is not counted")
    parser.add_argument("--black", help="a black list, or one that says its colours itself")
    said = parser.parse_args()
    lists = None
    if said.black:
        begin = time.process_time()
        lists, _ = reputation(said.black, "black")
        print(f"{lists.num_rows:,} entries of the list read in {time.process_time() - begin:.2f} CPU s")
    measure(of_log(said.log) if said.log else day(said.contacts, said.batch), said.edges, lists)


if __name__ == "__main__":
    main()
