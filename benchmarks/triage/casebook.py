"""What alerts, episodes and cases cost in the casebook: rows per CPU second, and a page of each list among many.

    python benchmarks/triage/casebook.py [--alerts 1000000] [--folder DIR] [--url postgresql://...] [--pages 60]

Prints one JSON object a line. CPU seconds are those of this process (SQLite runs inside it; a PostgreSQL server's are
not in them). Pages of 50 are timed in CPU seconds and with the wall clock, half from the top and half from somewhere
inside; the machine's load is printed beside them. With ``--bar`` it ends with 1 if a bar of issue size is missed:
10,000 alerts per CPU second, and a page's 95th percentile of 100 ms of CPU.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from andon.records.alert import ALERT
from andon.records.case import LEVELS, Case
from andon.records.triage import EPISODES, episode_id
from andon.store.casebook import AlertFilter, Casebook, CaseFilter, EpisodeFilter

SECOND = 1_000_000_000
SPAN = 30 * 86_400 * SECOND
HOSTS, RULES, SOURCES, USERS = 3_000, 400, 300_000, 500
PRODUCTS = ("suricata", "wazuh", "aminer")
BATCH = 20_000
RATE_BAR, PAGE_BAR = 10_000, 100.0
_RAW = '{"timestamp":"2026-01-31T12:00:00.000000+0000","event_type":"alert","alert":{"action":"allowed","gid":1}}'


def words(values: list[str], codes: np.ndarray) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(values, pa.string()))


class Traffic:
    """Alerts in the order of time: few hosts and rules are most of them, sources have a long tail."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.hosts = [f"host{number:04d}.corp.example" for number in range(HOSTS)]
        self.addresses = [f"10.{number >> 8 & 255}.{number & 255}.7" for number in range(HOSTS)]
        self.sources = [
            "",
            *(f"{n % 211 + 11}.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in range(1, SOURCES)),
        ]
        self.users = ["", *(f"user{number}" for number in range(1, USERS))]

    def batch(self, at: int, count: int) -> pa.RecordBatch:
        draw = np.random.default_rng(at)
        ts = at * (SPAN // self.total) + np.sort(draw.integers(0, count * (SPAN // self.total), count))
        host = (HOSTS * draw.random(count) ** 4).astype(np.int32)
        # A rule speaks of a part of the hosts only, so that there are pairs that never meet.
        rule = ((RULES * draw.random(count) ** 3).astype(np.int32) + host * 7) % RULES // 8 * 8 + host % 8
        source = (SOURCES * draw.random(count) ** 3).astype(np.int32)
        user = np.where(draw.random(count) < 0.8, 0, draw.integers(0, USERS, count))
        titles = [f"ET SCAN something was seen, rule {number}" for number in range(RULES)]
        made = {
            "ts": pa.array(ts, pa.timestamp("ns", tz="UTC")),
            "product": words(list(PRODUCTS), rule % 3),
            "rule": words([f"{2_000_000 + number}" for number in range(RULES)], rule),
            "title": words(titles, rule),
            "severity": pa.array(np.where(rule % 97 == 0, 5, 1 + rule % 4), pa.int8()),
            "category": words(["attempted-recon", "web,attack", "ids"], rule % 3),
            "host": words(self.hosts, host),
            "address": words(self.addresses, host),
            "user": words(self.users, user),
            "src": words(self.sources, source),
            "src_port": pa.array(draw.integers(1024, 65536, count), pa.int32()),
            "dst": words(self.addresses, host),
            "dst_port": pa.array(draw.integers(0, 1024, count), pa.int32()),
            "protocol": words(["tcp", "udp"], rule % 2),
            "disposition": pa.array(np.zeros(count), pa.int8()),
            "count": pa.array(np.ones(count), pa.int64()),
            "uid": pa.array([f"{at:x}.{number:x}" for number in range(count)]),
            "position": pa.array(np.arange(at, at + count)),
            "raw": pa.array([_RAW] * count),
            "source": words(["eve"], np.zeros(count, np.int32)),
        }
        empty = words([""], np.zeros(count, np.int32))
        return pa.RecordBatch.from_arrays(
            [
                made.get(field.name, empty if pa.types.is_dictionary(field.type) else pa.array([""] * count))
                for field in ALERT
            ],
            schema=ALERT,
        )


def report(**values: object) -> None:
    print(json.dumps({**values, "load": round(os.getloadavg()[0], 1)}), flush=True)


def fill(book: Casebook, traffic: Traffic) -> float:
    """All alerts that are not there yet; how many per CPU second."""
    cpu, wall, since = 0.0, 0.0, 0.0
    there = book.alerts.count() // BATCH * BATCH
    for at in range(there, traffic.total, BATCH):
        batch = traffic.batch(at, min(BATCH, traffic.total - at))
        begin, clock = time.process_time(), time.monotonic()
        added = book.alerts.add(batch)
        assert added == batch.num_rows or at == there, "alerts were lost or stored twice"
        cpu, wall = cpu + time.process_time() - begin, wall + time.monotonic() - clock
        done = at + batch.num_rows
        if done % 1_000_000 == 0:
            report(alerts=done, of_the_last_million_per_cpu_second=round(1_000_000 / (cpu - since)))
            since = cpu
    if there >= traffic.total:
        return math.inf
    rate = (traffic.total - there) / cpu
    stored = {
        "alerts": traffic.total,
        "per_cpu_second": round(rate),
        "per_second": round((traffic.total - there) / wall),
    }
    report(what="alerts stored", **stored)
    batch = traffic.batch((traffic.total - 1) // BATCH * BATCH, (traffic.total - 1) % BATCH + 1)
    begin = time.process_time()
    assert book.alerts.add(batch) == 0
    report(
        what="the same delivered again", per_cpu_second=round(batch.num_rows / (time.process_time() - begin))
    )
    return rate


def fill_episodes(book: Casebook, traffic: Traffic, count: int) -> None:
    cpu = 0.0
    for at in range(0, count, 5_000):
        rows = []
        for number in range(at, min(at + 5_000, count)):
            mixed = number * 2654435761 % 2**32
            first = number * (SPAN // count)
            host, product, rule = (
                traffic.hosts[mixed % HOSTS],
                PRODUCTS[mixed % 3],
                f"{2_000_000 + mixed % RULES}",
            )
            rows.append(
                {
                    **{field.name: [] if pa.types.is_list(field.type) else 0 for field in EPISODES},
                    "id": episode_id("", host, product, rule, first),
                    "site": "",
                    "host": host,
                    "address": traffic.addresses[mixed % HOSTS],
                    "product": product,
                    "rule": rule,
                    "title": "ET SCAN something was seen",
                    "severity": 1 + mixed % 4,
                    "category": "web",
                    "first": first,
                    "last": first + 60 * SECOND,
                    "alerts": 20,
                    "over": True,
                    "sources": [traffic.sources[1 + mixed % (SOURCES - 1)]],
                    "disposition": 0,
                    "score": 0.5,
                    "probability": 0.1,
                    "rank": 1,
                    "tier": "inspect" if mixed % 100 == 0 else "audit" if mixed % 100 == 1 else "screened",
                    "why_tier": "below",
                    "reasons": ["few hosts have it", "new on this host"],
                    "weights": [0.7, 0.4],
                    "features": [0.0] * 24,
                    "model": "first-seen",
                    "audit_probability": 0.01,
                }
            )
        columns = [pa.array([row[field.name] for row in rows], field.type) for field in EPISODES]
        table = pa.Table.from_arrays(columns, schema=EPISODES)
        begin = time.process_time()
        book.episodes.put(table, now=0)
        cpu += time.process_time() - begin
    report(what="episodes stored", episodes=count, per_cpu_second=round(count / cpu))


def fill_cases(book: Casebook, traffic: Traffic, count: int) -> None:
    cpu = 0.0
    for at in range(0, count, 500):
        begin = time.process_time()
        with book.work("casework", 1) as work:
            for number in range(at, min(at + 500, count)):
                mixed = number * 2654435761 % 2**32
                seen = number * (SPAN // count)
                host = mixed % HOSTS
                work.cases.create(
                    Case(
                        f"{mixed:08x}{number:016x}",
                        0,
                        "open" if mixed % 10 == 0 else "closed",
                        ("act", "inspect", "audit", "screened")[min(mixed // 7 % 20, 3)],
                        ("", *LEVELS)[mixed // 11 % 6],
                        mixed % 100_003 / 100.0,
                        f"{traffic.hosts[host]}: something odd, number {number}",
                        "A few hundred characters of plain words with figures and units. " * 4,
                        (("hostname", traffic.hosts[host]), ("ipv4-addr", traffic.addresses[host])),
                        seen,
                        seen + 600 * SECOND,
                        seen,
                        seen,
                        assignee=f"analyst{mixed % 9}" if mixed % 3 == 0 else "",
                        items=tuple(("episode", f"{number:016x}{k:08x}") for k in range(3)),
                        judgement={"verification": {"decision": "inspect", "checks": []}},
                    )
                )
        cpu += time.process_time() - begin
    report(what="cases made, 500 a transaction", cases=count, per_cpu_second=round(count / cpu))


def alert_filters(traffic: Traffic) -> dict[str, AlertFilter]:
    busy, quiet = traffic.hosts[0], traffic.hosts[-3]
    middle = SPAN // 2
    return {
        "all": AlertFilter(),
        "busiest host": AlertFilter(host=busy),
        "a quiet host": AlertFilter(host=quiet),
        "one rule": AlertFilter(rule="2000000"),
        "a host and a rule": AlertFilter(host=busy, rule="2000000"),
        "a host and a rule that never meet": AlertFilter(host=busy, rule="2000003"),
        "one product": AlertFilter(product="wazuh"),
        "severity critical": AlertFilter(severity=5),
        "severity fatal (none)": AlertFilter(severity=6),
        "high or worse of one product, a day": AlertFilter(
            product="aminer", severity=4, since=middle, until=middle + 86_400 * SECOND
        ),
        "busiest source": AlertFilter(source=traffic.sources[1]),
        "a rare source": AlertFilter(source=traffic.sources[-5]),
        "busiest source and a quiet host": AlertFilter(source=traffic.sources[1], host=quiet),
        "a source and a destination": AlertFilter(
            source=traffic.sources[2], destination=traffic.addresses[0]
        ),
        "busiest source and a rule": AlertFilter(source=traffic.sources[1], rule="2000008"),
        "a user": AlertFilter(user="user7"),
        "entity: an address of ours": AlertFilter(entity=traffic.addresses[0]),
        "entity: a source": AlertFilter(entity=traffic.sources[3]),
        "a minute": AlertFilter(since=middle, until=middle + 60 * SECOND),
    }


CASE_FILTERS = {
    "the queue": CaseFilter(),
    "closed": CaseFilter(state="closed"),
    "any state": CaseFilter(state=""),
    "to act on": CaseFilter(tier="act"),
    "high or worse": CaseFilter(level="high"),
    "an analyst's": CaseFilter(assignee="analyst4"),
    "nobody's": CaseFilter(assignee=""),
    "one host": CaseFilter(host="host0007.corp.example", state=""),
    "one entity": CaseFilter(entity="10.0.9.7", state=""),
    "since and until": CaseFilter(since=SPAN // 2, until=SPAN // 2 + 86_400 * SECOND),
    "a word that many have": CaseFilter(text="odd"),
    "a word that none has": CaseFilter(text="gyokuro", state=""),
    "act, critical, an analyst's": CaseFilter(tier="act", level="critical", assignee="analyst4"),
}


def timed(name: str, times: int, ask: Callable[[int], int]) -> float:
    """95th percentile of CPU ms."""
    cpu, wall, rows = [], [], 0
    for number in range(times):
        begin, clock = time.process_time(), time.perf_counter()
        rows = max(rows, ask(number))
        cpu.append(1e3 * (time.process_time() - begin))
        wall.append(1e3 * (time.perf_counter() - clock))
    cpu.sort()
    wall.sort()
    at = min(times - 1, int(0.95 * times))
    report(
        page=name,
        rows=rows,
        cpu_p50_ms=round(cpu[times // 2], 1),
        cpu_p95_ms=round(cpu[at], 1),
        wall_p95_ms=round(wall[at], 1),
    )
    return cpu[at]


def pages(book: Casebook, traffic: Traffic, times: int) -> float:
    """The worst 95th percentile, CPU ms."""
    worst = 0.0
    for name, wanted in alert_filters(traffic).items():

        def alerts(number: int, wanted: AlertFilter = wanted) -> int:
            before = None if number % 2 else (SPAN * (number + 1) // (times + 1), 2**62)
            return int(book.alerts.page(wanted, 50, before).num_rows)

        worst = max(worst, timed(f"alerts: {name}", times, alerts))
    for name, chosen in CASE_FILTERS.items():

        def cases(number: int, chosen: CaseFilter = chosen) -> int:
            before = None if number % 2 else (1000.0 * (number + 1) / (times + 1), 2**62, "~")
            return len(book.cases.page(chosen, before, 50))

        worst = max(worst, timed(f"cases: {name}", times, cases))
    for tier in ("inspect", "screened"):
        worst = max(
            worst,
            timed(
                f"episodes: {tier}",
                times,
                lambda n, t=tier: book.episodes.page(EpisodeFilter(tier=t)).num_rows,
            ),
        )
    worst = max(
        worst,
        timed(
            "the alerts of an episode",
            times,
            lambda n: book.alerts.of_episode(book.episodes.page(limit=1)["id"][0].as_py()).num_rows + 1,
        ),
    )
    timed("count by host and rule", times, lambda n: book.alerts.count(AlertFilter(host=traffic.hosts[0])))
    return worst


def places(given: str, folder: str | None) -> Iterator[str]:
    """Where the casebook goes, and away with it afterwards unless the place was given."""
    if given:
        if "://" not in given:
            Path(given).mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory(dir=folder) as made:
        yield made


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--alerts", type=int, default=1_000_000)
    parser.add_argument("--episodes", type=int, default=0, help="by default a twentieth of the alerts")
    parser.add_argument("--cases", type=int, default=0, help="by default a hundredth of the alerts")
    parser.add_argument("--pages", type=int, default=60)
    parser.add_argument("--folder", default=None, help="where a temporary store is made")
    parser.add_argument("--store", default="", help="a store that is kept; what is in it is not made again")
    parser.add_argument("--url", default="")
    parser.add_argument("--bar", action="store_true")
    options = parser.parse_args()
    for place in places(options.url or options.store, options.folder):
        with Casebook(place) as book:
            book.migrate()
            traffic = Traffic(options.alerts)
            rate = fill(book, traffic)
            if not book.episodes.count():
                fill_episodes(book, traffic, options.episodes or options.alerts // 20)
            if not book.cases.counts():
                fill_cases(book, traffic, options.cases or options.alerts // 100)
            worst = pages(book, traffic, options.pages)
            file = Path(place) / "casebook.db"
            report(
                bytes=file.stat().st_size if file.is_file() else None,
                worst_page_p95_cpu_ms=round(worst, 1),
                alerts_per_cpu_second=round(rate) if rate < math.inf else None,
                peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                cpu_seconds=round(time.process_time()),
            )
        if options.bar and (rate < RATE_BAR or worst >= PAGE_BAR):
            sys.exit("a bar is missed")


if __name__ == "__main__":
    main()
