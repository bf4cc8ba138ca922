"""What DAEDALUS costs: CPU per packet, per conclusion and per alert, bytes per entry. Run it from the repository:

PYTHONPATH=src:tests/daedalus python tests/daedalus/measure_daedalus.py
"""

from __future__ import annotations

from collections.abc import Callable
from time import process_time

import numpy as np
import pyarrow as pa
from daedalus_traffic import DARK, HOUR, RELATIONS, SPAN, START, dark, mirai, packets, v6

from andon.detect.darknet.daedalus import Daedalus
from andon.records.contract import Context, Organisation, Site

ROWS = 65_536
FIRST = 100 << 24
ORGANISATIONS = tuple(
    Organisation(f"o{k}", (f"{100 + k // 200}.{k % 200}.0.0/16", f"2001:db8:{k:x}::/48")) for k in range(226)
)
ENGINE = Daedalus(
    Site(
        telescope=DARK,
        organisations=ORGANISATIONS,
        relations=RELATIONS,
        settings={"darknet.daedalus.alerts": 1 << 20},
    )
)
READ = list(ENGINE.columns)


def seconds(work: Callable[[], object], times: int, rounds: int = 5) -> float:
    """CPU seconds of one call: the best of some rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = process_time()
        for _ in range(times):
            work()
        best = min(best, (process_time() - start) / times)
    return best


def batch(share: float) -> pa.RecordBatch:
    """Packets of which this share comes from members, spread over their organisations."""
    rng = np.random.default_rng(1)
    src = rng.integers(110 << 24, 220 << 24, ROWS)
    mine = rng.random(ROWS) < share
    hosts = FIRST + (rng.integers(0, 200, ROWS) << 16) + rng.integers(0, 4, ROWS)
    ts = START + np.sort(rng.integers(0, SPAN, ROWS))
    return packets(ts, np.where(mine, hosts, src), rng.choice(dark(4096), ROWS)).select(READ)


def per_packet() -> None:
    cases = {f"{share:.2%} matching": batch(share) for share in (0, 0.0001, 0.01, 0.1)}
    cases["IPv6, 0% matching"] = packets(
        np.full(ROWS, START), v6("2001:db9::1"), v6("2001:db8:dead::1")
    ).select(READ)
    for name, given in cases.items():
        summary = ENGINE.empty()
        cost = seconds(lambda given=given, summary=summary: ENGINE.summarise(given, summary), 40)
        print(f"{name}: {cost / ROWS * 1e9:.2f} ns a packet, {summary.nbytes:,} bytes")


def context(number: int) -> Context:
    return Context("2s", START + number * SPAN, START + (number + 1) * SPAN)


def per_host(hosts: int) -> None:
    carry, told, number = None, 0, 0
    began = process_time()
    for at in range(0, hosts, 1000):
        n = np.arange(at, min(hosts, at + 1000))
        heard = mirai(
            START + number * SPAN + np.arange(len(n)),
            FIRST + ((n % 200) << 16) + n // 200,
            np.resize(dark(4096), len(n)),
        )
        outcome = ENGINE.conclude(
            ENGINE.summarise(heard.select(READ), ENGINE.empty()), carry, context(number)
        )
        carry, told, number = outcome.carry, told + len(outcome.findings), number + 1
    new = process_time() - began
    one = ENGINE.summarise(mirai(START + number * SPAN, FIRST, dark(1)[0]).select(READ), ENGINE.empty())
    idle = seconds(lambda: ENGINE.conclude(ENGINE.empty(), carry, context(number)), 100)

    def heard_and_saved() -> bytes:
        saved: bytes = ENGINE.conclude(one, carry, context(number)).carry.to_bytes()
        return saved

    active = seconds(heard_and_saved, 20)
    late = START + 80 * HOUR
    closed = seconds(
        lambda: ENGINE.conclude(ENGINE.empty(), carry, Context("2s", late, late + SPAN)).findings, 1, 2
    )
    print(
        f"{hosts:,} hosts: new {new / hosts * 1e6:.0f} us each ({told:,} told), idle span {idle * 1e6:.0f} us, "
        f"span with one host and its carry's bytes {active * 1e3:.1f} ms, closed {closed / hosts * 1e6:.0f} us each, "
        f"{len(carry.to_bytes()) / hosts:.0f} bytes each"
    )


if __name__ == "__main__":
    per_packet()
    for count in (100, 1000, 16_000):
        per_host(count)
