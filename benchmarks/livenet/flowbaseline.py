"""Flow baselines: planted anomalies found against false alerts per terminal and month, beside two simpler baselines.

    .venv/bin/python benchmarks/livenet/flowbaseline.py planted [SEED]   # a generated organisation over 42 days
    .venv/bin/python benchmarks/livenet/flowbaseline.py remcos           # ANDON_DATA/livenet/zeek/ctusme11_conn
    .venv/bin/python benchmarks/livenet/flowbaseline.py speed            # flows per CPU second
    .venv/bin/python benchmarks/livenet/flowbaseline.py scale            # many terminals

Days 0..6 are learned from; days 21..25 are holidays (one terminal in ten is there); on day 28 a department changes
its shift; on day 32 another gets a new program. Anomalies are planted from day 14 on, each on a terminal and day of
its own. The simpler baselines see flows, bytes out, distinct others and unanswered flows of each terminal and hour:
one z-score over all terminals' past hours, and one of each terminal's own (Welford's mean and variance, then
exponentially weighted), both with the threshold that gives as many false alerts as ours on the same days.
"""

from __future__ import annotations

import gzip
import os
import resource
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from andon.detect.livenet.flowbaseline import FlowBaseline
from andon.observe.jsonlines import Skipped
from andon.observe.sensors import sniff
from andon.records.contract import Context, Site
from andon.records.flow import FLOW
from andon.records.kinds import FLOW as KIND
from andon.records.kinds import kind_of, marked

DAY, HOUR = 86_400, 3_600
START = 20_002 * DAY  # a Monday
DAYS, FIRST = 42, 14
HOLIDAYS = range(21, 26)
SHIFT_DAY, PROGRAM_DAY = 28, 32
TERMINALS = 200
FIELDS = ("ts", "terminal", "dst", "port", "service", "answered", "out", "back")
SERVICES = ("", "ssl", "dns", "smb", "imap", "ssh")
Part = tuple[np.ndarray, ...]
# kind, size: flows, bytes or targets
PLANTED = (
    ("exfiltration in an hour", 30e6), ("exfiltration in an hour", 200e6), ("exfiltration in an hour", 2e9),
    ("exfiltration over a day", 50e6), ("exfiltration over a day", 200e6), ("exfiltration over a day", 1e9),
    ("horizontal scan", 30), ("horizontal scan", 200), ("vertical scan", 50), ("vertical scan", 1000),
    ("new service", 5), ("new service", 50),
    ("flows of a known service", 5), ("flows of a known service", 20),
)  # fmt: skip


class Organisation:
    """Departments of 20 terminals with hours of their own; the last twenty terminals are servers."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = np.random.default_rng(seed)
        self.department = np.arange(TERMINALS) // 20
        self.address = [f"10.1.{d}.{20 + n % 20}" for n, d in enumerate(self.department.tolist())]
        self.server = self.department == TERMINALS // 20 - 1
        self.begin = np.array([7.5, 8, 8, 9, 8, 22, 8, 14, 8.5, 0])[self.department] + rng.normal(
            0, 0.5, TERMINALS
        )
        self.length = np.where(self.server, 24, rng.normal(9, 0.7, TERMINALS))
        self.busy = np.exp(rng.normal(0, 0.7, TERMINALS))
        # flows an hour of work by service: web, dns, smb, imap, ssh
        self.rates = np.array([10, 6, 2, 1, 0.3]) * np.exp(rng.normal(0, 0.5, (TERMINALS, 5)))
        self.rates[:, 4] *= rng.random(TERMINALS) < 0.15
        self.bytes = np.exp(rng.normal(np.log(6000), 0.5, TERMINALS))
        self.sites = [rng.integers(0, 4000, rng.integers(15, 80)) for _ in range(TERMINALS)]

    def day(self, day: int) -> Part:
        """A day without anything wrong, as columns."""
        rng, parts = self.rng, []
        for t in range(TERMINALS):
            away = rng.random() < (0.9 if day in HOLIDAYS else 0.06)
            weekend = day % 7 >= 5
            if not self.server[t] and (away or (weekend and rng.random() < 0.92)):
                continue
            begin = (
                self.begin[t]
                + (8 if self.department[t] == 2 and day >= SHIFT_DAY else 0)
                + rng.normal(0, 0.3)
            )
            length = self.length[t] * (0.4 if weekend and not self.server[t] else 1)
            today = self.busy[t] * np.exp(rng.normal(0, 0.35))
            for hour in range(24):
                on = 1.0 if self.server[t] else np.clip(min(hour + 1 - begin, begin + length - hour), 0, 1)
                if begin + length > 24 and hour < begin + length - 24:
                    on = 1.0
                if on <= 0 or (not self.server[t] and 12 <= hour < 13 and rng.random() < 0.5):
                    continue
                parts.append(self._hour(t, day, hour, on * today))
            if rng.random() < 0.01:  # somebody sends a large file
                at = int((begin + rng.uniform(0, length)) % 24)
                parts.append(
                    self._flows(
                        t, day, at, 1, 0, 443, 1, rng.integers(0, 4000, 1), np.exp(rng.uniform(15, 18, 1))
                    )
                )
            if rng.random() < 0.004:  # somebody tries something new
                port, service = ((22, 5), (5222, 0), (8080, 0), (1935, 0), (5060, 0))[rng.integers(0, 5)]
                at = int((begin + rng.uniform(0, length)) % 24)
                parts.append(
                    self._flows(t, day, at, rng.integers(1, 20), 0, port, service, rng.integers(0, 4000, 1))
                )
            if self.server[t]:  # backup to the outside, every night
                many = 20
                size = np.exp(rng.normal(np.log(4e7), 0.3, many))
                parts.append(self._flows(t, day, 2, many, 0, 443, 1, np.full(many, 4000 + t), size))
        return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))

    def _hour(self, t: int, day: int, hour: int, scale: float) -> Part:
        rng = self.rng
        mean = self.rates[t] * scale * rng.gamma(2.5, 1 / 2.5, 5)
        parts = []
        for (port, service), many in zip(
            ((443, 1), (53, 2), (445, 3), (993, 4), (22, 5)), rng.poisson(mean), strict=True
        ):
            if port in (53, 445, 22):
                where = -1 - rng.integers(0, 4 if port != 445 else 6, many)
            else:
                own = self.sites[t]
                where = np.where(rng.random(many) < 0.9, rng.choice(own, many), rng.integers(0, 4000, many))
            parts.append(self._flows(t, day, hour, many, 0, port, service, where))
        lost = rng.poisson(0.3 * scale)
        parts.append(self._flows(t, day, hour, lost, 1, 445, 0, -1 - rng.integers(0, 10, lost)))
        if self.department[t] == 4 and day >= PROGRAM_DAY:
            many = rng.poisson(6 * scale)
            parts.append(self._flows(t, day, hour, many, 0, 8883, 0, np.full(many, 3999)))
        return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))

    def _flows(
        self, t: int, day: int, hour: int, many: int, lost: int, port: Any, service: int, where: np.ndarray,
        out: np.ndarray | None = None,
    ) -> Part:  # fmt: skip
        """``where``: number of a site outside, or -1 - n for a server inside, or -1000 - n for any address inside."""
        rng = self.rng
        if out is None:
            out = np.exp(rng.normal(np.log(self.bytes[t]), 1.5, many)) * (0 if lost else 1)
        ts = START + day * DAY + hour * HOUR + np.sort(rng.uniform(0, HOUR, many))
        full = np.full
        return (
            ts, full(many, t), np.broadcast_to(where, many).copy(), np.broadcast_to(port, many).copy(),
            full(many, service),
            full(many, not lost), out, np.exp(rng.normal(9.5, 1.5, many)) * (0 if lost else 1),
        )  # fmt: skip

    def wrong(self, kind: str, size: float, t: int, day: int) -> Part:
        rng = self.rng
        hour = int((self.begin[t] + rng.uniform(1, 7)) % 24)
        if kind == "exfiltration in an hour":
            return self._flows(t, day, hour, 4, 0, 443, 1, np.full(4, 5000 + t), np.full(4, size / 4))
        if kind == "exfiltration over a day":
            hours = [int((self.begin[t] + h) % 24) for h in range(8)]
            parts = [
                self._flows(t, day, h, 12, 0, 443, 1, np.full(12, 5000 + t), np.full(12, size / 96))
                for h in hours
            ]
            return tuple(np.concatenate(columns) for columns in zip(*parts, strict=True))
        if kind == "horizontal scan":
            return self._flows(t, day, hour, int(size), 1, 445, 0, -1000 - rng.permutation(4000)[: int(size)])
        if kind == "vertical scan":
            return self._flows(
                t, day, hour, int(size), 1, rng.permutation(9000)[: int(size)], 0, np.full(int(size), -1001)
            )
        if kind == "new service":
            return self._flows(t, day, hour, int(size), 0, 4444, 0, np.full(int(size), 5000 + t))
        many = int(size * 10 * self.busy[t])  # so many times the flows of an hour of work
        return self._flows(t, day, hour, many, 0, 443, 1, rng.choice(self.sites[t], many))

    def batch(self, columns: Part) -> pa.RecordBatch:
        columns = tuple(c[np.argsort(columns[0], kind="stable")] for c in columns)
        ts, t, where, port, service, answered, out, back = columns
        many = len(ts)
        names, at = np.unique(where, return_inverse=True)
        texts = [
            f"203.0.{n // 250}.{n % 250 + 1}"
            if n >= 0
            else f"10.1.200.{-n}"
            if n > -1000
            else f"10.1.{(-n - 1000) // 250}.{(-n - 1000) % 250 + 1}"
            for n in names.tolist()
        ]
        zero = np.zeros(many, np.int64)
        made = {
            "ts": pa.array((ts * 1e9).astype(np.int64)).cast(pa.timestamp("ns", tz="UTC")), "duration": zero,
            "terminal": words(t, self.address), "src": words(t, self.address), "dst": words(at, texts),
            "src_port": pa.array(zero + 50_000, pa.int32()), "dst_port": pa.array(port.astype(np.int32)),
            "protocol": words(zero, ["tcp"]), "service": words(service, list(SERVICES)), "state": words(zero, ["SF"]),
            "answered": pa.array(answered.astype(bool)), "bytes_out": out.astype(np.int64),
            "bytes_in": back.astype(np.int64), "packets_out": zero + 5, "packets_in": zero + 5,
            "source": words(zero, ["zeek-conn"]),
        }  # fmt: skip
        return marked(
            pa.RecordBatch.from_arrays(
                [pa.array(v) if isinstance(v, np.ndarray) else v for v in made.values()], schema=FLOW
            ),
            KIND,
        )


def words(codes: np.ndarray, values: list[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(values))


def hourly(columns: Part) -> np.ndarray:
    """(terminals, 24, 4) flows, bytes out, distinct others, unanswered, for the simpler baselines."""
    ts, t, where, _, _, answered, out, _ = columns
    hour = ((ts - START) % DAY // HOUR).astype(int)
    made = np.zeros((TERMINALS, 24, 4))
    np.add.at(made[:, :, 0], (t, hour), 1)
    np.add.at(made[:, :, 1], (t, hour), out * (where >= 0))
    pairs = np.unique(np.column_stack([t, hour, where]), axis=0)
    np.add.at(made[:, :, 2], (pairs[:, 0], pairs[:, 1]), 1)
    np.add.at(made[:, :, 3], (t, hour), ~answered.astype(bool))
    return made


class Simple:
    """z-scores of hours: of all terminals together, and of each terminal by itself. Both learn from every hour with
    flows."""

    def __init__(self) -> None:
        self.all = [np.zeros(4), np.zeros(4), 0.0]
        self.mean, self.square = np.zeros((TERMINALS, 4)), np.zeros((TERMINALS, 4))
        self.seen = np.zeros(TERMINALS)

    def day(self, hours: np.ndarray, planted: np.ndarray) -> tuple[np.ndarray, ...]:
        """(terminals,) highest z of the day, of all and of its own; the same with what is planted. The clean day is
        learned."""
        together = [self._together(each) for each in (hours, planted)]
        flat = hours[hours[:, :, 0] > 0]
        self.all = [
            self.all[0] + flat.sum(axis=0),
            self.all[1] + (flat**2).sum(axis=0),
            self.all[2] + len(flat),
        ]
        own = [np.zeros(TERMINALS), np.zeros(TERMINALS)]
        for hour in range(24):
            spread = np.maximum(np.sqrt(np.maximum(self.square, 1e-9)), np.array([1, 1e4, 1, 1]))
            for n, each in enumerate((hours, planted)):
                z = ((each[:, hour] - self.mean) / spread).max(axis=1)
                known = (each[:, hour, 0] > 0) & (self.seen > 20)
                own[n] = np.where(known, np.maximum(own[n], z), own[n])
            on = hours[:, hour, 0] > 0
            step = np.where(on, np.maximum(1 / (self.seen + 1), 0.01), 0)[:, None]
            off = hours[:, hour] - self.mean
            self.mean = self.mean + step * off
            self.square = (1 - step) * (self.square + step * off**2)
            self.seen += on
        return together[0], own[0], together[1], own[1]

    def _together(self, hours: np.ndarray) -> np.ndarray:
        mean = self.all[0] / max(self.all[2], 1)
        spread = np.sqrt(np.maximum(self.all[1] / max(self.all[2], 1) - mean**2, 1e-9))
        z: np.ndarray = np.where(hours[:, :, :1] > 0, (hours - mean) / spread, 0).max(axis=(1, 2))
        return z


def concluded(engine: FlowBaseline, batch: pa.RecordBatch, day: int, carry: Any) -> Any:
    summary = engine.empty()
    for at in range(0, batch.num_rows, 65_536):
        summary = engine.summarise(batch.slice(at, 65_536), summary)
    context: Context[Any] = Context("1d", (START + day * DAY) * 10**9, (START + (day + 1) * DAY) * 10**9)
    return engine.conclude(summary, carry, context)


def planted(seed: int = 1) -> None:
    organisation = Organisation(seed)
    rng = np.random.default_rng(seed + 100)
    engine, carry, simple = FlowBaseline(Site()), None, Simple()
    who = rng.permutation(np.flatnonzero(~organisation.server & ~np.isin(organisation.department, (2, 4))))
    free = [(t, d) for d in range(FIRST, DAYS) if d not in HOLIDAYS and d % 7 < 5 for t in who.tolist()]
    chosen = [free[i] for i in rng.permutation(len(free))]
    plan: dict[int, list[tuple[int, str, float]]] = defaultdict(list)
    used: set[int] = set()
    last: dict[int, int] = {}
    for kind, size in PLANTED:
        left = 8
        for t, d in chosen:
            if left and (t, d) not in used and abs(last.get(t, -99) - d) >= 5:
                plan[d].append((t, kind, size))
                used.add((t, d))  # type: ignore[arg-type]
                last[t] = d
                left -= 1
    names = {address: n for n, address in enumerate(organisation.address)}
    found: Counter[tuple[str, float]] = Counter()
    wanted: Counter[tuple[str, float]] = Counter()
    scores: dict[int, tuple[np.ndarray, ...]] = {}
    hit: dict[str, Counter[tuple[str, float]]] = {"all": Counter(), "own": Counter()}
    false, terminal_days, events, drifts = 0, 0, [], []
    false_by: Counter[str] = Counter()
    phase: Counter[str] = Counter()
    cpu, flows = 0.0, 0
    for day in range(DAYS):
        clean = organisation.day(day)
        wrong = [organisation.wrong(kind, size, t, day) for t, kind, size in plan[day]]
        both = tuple(np.concatenate([c, *(w[n] for w in wrong)]) for n, c in enumerate(clean))
        flows += len(clean[0])
        begin = time.process_time()
        outcome = concluded(engine, organisation.batch(clean), day, carry)
        cpu += time.process_time() - begin
        # What is planted is judged with the same memory and leaves none: attacks are rare, and 112 of them are not.
        attacked = concluded(engine, organisation.batch(both), day, carry) if wrong else outcome
        carry = outcome.carry
        scores[day] = simple.day(hourly(clean), hourly(both))
        for finding in outcome.findings:
            if finding.subject[0] == "ipv4-addr" and day >= FIRST:
                t = names[finding.subject[1]]
                false += 1
                false_by[finding.attributes["metrics"][0]] += 1
                changed = organisation.department[t] == 2 and day >= SHIFT_DAY
                program = organisation.department[t] == 4 and day >= PROGRAM_DAY
                phase[
                    "holidays"
                    if day in HOLIDAYS
                    else "changed shift"
                    if changed
                    else "new program"
                    if program
                    else "usual"
                ] += 1
                if os.environ.get("SHOW"):
                    print(day, finding.statement[:300])
            elif finding.subject[0] == "peers":
                events.append((day, finding.title))
            elif finding.subject[0] == "drift":
                drifts.append((day, finding.attributes["terminals"]))
        alerts = {names[f.subject[1]] for f in attacked.findings if f.subject[0] == "ipv4-addr"}
        if day >= FIRST:
            terminal_days += len(np.unique(clean[1]))
            for t, kind, size in plan[day]:
                wanted[kind, size] += 1
                found[kind, size] += t in alerts
    # The simpler ones at as many false alerts as ours.
    for n, name in enumerate(("all", "own")):
        bar = np.sort(np.concatenate([scores[d][n] for d in range(FIRST, DAYS)]))[-max(false, 1)]
        for d in range(FIRST, DAYS):
            for t, kind, size in plan[d]:
                hit[name][kind, size] += scores[d][2 + n][t] > bar
    print(
        f"{TERMINALS} terminals, {DAYS} days, {flows:,} flows, {cpu:.1f} CPU s; "
        f"carry {len(carry.to_bytes()) / 1e6:.1f} MB"
    )
    print("| planted | size | found | global z | own z | of |\n|---|---|---|---|---|---|")
    for kind, size in PLANTED:
        key = (kind, size)
        text = (
            f"{size / 1e6:.0f} MB" if size > 1e5 else f"{size:g}" + (" x" if kind.startswith("flows") else "")
        )
        print(f"| {kind} | {text} | {found[key]} | {hit['all'][key]} | {hit['own'][key]} | {wanted[key]} |")
    print(
        f"found {found.total()} of {wanted.total()} (global z {hit['all'].total()}, own z {hit['own'].total()})"
    )
    print(
        f"false alerts {false} in {terminal_days:,} days of terminals: {30 * false / terminal_days:.3f} "
        f"per terminal and month; "
        f"by metric {dict(false_by)}; when {dict(phase)}"
    )
    print(f"events of peers: {events}\ndrifts: {drifts}")


def remcos() -> None:
    """The first 5,000 packets of a Windows 7 with RemcosRAT: flows by label, and what is said of each host."""
    path = (
        Path(os.environ.get("ANDON_DATA", "../shared/data"))
        / "livenet"
        / "zeek"
        / "ctusme11_conn.log.labeled.gz"
    )
    labels: Counter[str] = Counter()
    by_host: dict[str, Counter[str]] = defaultdict(Counter)
    with gzip.open(path, "rt", errors="replace") as lines:
        fields: list[str] = []
        for line in lines:
            if line.startswith("#fields"):
                fields = line.split()[1:]
            elif not line.startswith("#") and fields:
                row = dict(zip(fields, line.rstrip("\n").replace("\t", " ").split(), strict=False))
                label = row.get("label", "?")
                labels[label] += 1
                by_host[row["id.orig_h"]][label] += 1
    print(f"labels of flows {dict(labels)}; hosts {len(by_host)}")
    for host, counts in sorted(by_host.items(), key=lambda item: -item[1].total())[:8]:
        print(f"  {host}: {dict(counts)}")
    engine, days = FlowBaseline(Site()), {}
    for batch in read_flows(path):
        ns = batch.column("ts").view(pa.int64()).to_numpy()
        for day in np.unique(ns // (DAY * 10**9)).tolist():
            part = marked(batch.filter(pa.array(ns // (DAY * 10**9) == day)), KIND)
            days[day] = engine.summarise(part, days.get(day) or engine.empty())
    carry = None
    for day, summary in sorted(days.items()):
        context: Context[Any] = Context("1d", day * DAY * 10**9, (day + 1) * DAY * 10**9)
        outcome = engine.conclude(summary, carry, context)
        carry = outcome.carry
        print(f"day {day}: {summary.day.flows} flows, {outcome.tables['terminals'].num_rows} terminals")
        for finding in outcome.findings:
            print(f"  {finding.severity}: {finding.title}. {finding.statement}")
        for row in outcome.tables["hours"].drop_columns(["hour"]).slice(0, 5).to_pylist():
            print(f"  {row}")


def read_flows(path: Path) -> Iterator[pa.RecordBatch]:
    sensor = sniff(path)
    assert sensor is not None
    for batch in sensor.read(path, Skipped()):
        if kind_of(batch) == KIND:
            yield batch


def speed() -> None:
    organisation = Organisation(5)
    engine = FlowBaseline(Site())
    parts = [organisation.day(day) for day in range(5)]
    whole = tuple(np.concatenate([np.tile(part[n], 12) for part in parts]) for n in range(8))
    spread = (START + (whole[0] - START) % DAY, *whole[1:])
    batch = organisation.batch(spread)
    concluded(engine, batch.slice(0, 1000), 0, None)
    begin = time.process_time()
    summary = engine.empty()
    for at in range(0, batch.num_rows, 65_536):
        summary = engine.summarise(batch.slice(at, 65_536), summary)
    data = summary.to_bytes()
    used = time.process_time() - begin
    print(
        f"{batch.num_rows:,} flows: {used:.2f} CPU s, {batch.num_rows / used:,.0f} a second; {len(data) / 1e6:.1f} MB"
    )


def scale(terminals: int = 8000, flows: int = 1_500_000) -> None:
    """Flows at random, of eight services and ten hours: as many rows as so many flows can make."""
    rng = np.random.default_rng(1)
    who, zero = rng.integers(0, terminals, flows), np.zeros(flows, np.int64)
    address = [f"10.{1 + n // 250}.{n % 250}.9" for n in range(terminals)]
    others = [f"203.{n // 65536}.{n // 256 % 256}.{n % 256}" for n in range(60_000)]
    ts = np.sort(rng.integers(8, 18, flows)) * HOUR + START
    made = {
        "ts": pa.array(ts * 10**9).cast(pa.timestamp("ns", tz="UTC")), "duration": zero,
        "terminal": words(who, address), "src": words(who, address),
        "dst": words(rng.integers(0, 60_000, flows), others), "src_port": pa.array(zero, pa.int32()),
        "dst_port": pa.array(8000 + rng.integers(0, 8, flows), pa.int32()),
        "protocol": words(zero, ["tcp"]), "service": words(zero, [""]), "state": words(zero, ["SF"]),
        "answered": pa.array(np.ones(flows, np.bool_)), "bytes_out": rng.integers(0, 10_000, flows), "bytes_in": zero,
        "packets_out": zero, "packets_in": zero, "source": words(zero, ["zeek-conn"]),
    }  # fmt: skip
    columns = [pa.array(values) if isinstance(values, np.ndarray) else values for values in made.values()]
    batch = marked(pa.RecordBatch.from_arrays(columns, schema=FLOW), KIND)
    engine = FlowBaseline(Site())
    engine.summarise(batch.slice(0, 1000), engine.empty())
    begin = time.process_time()
    summary = engine.empty()
    for at in range(0, flows, 65_536):
        summary = engine.summarise(batch.slice(at, 65_536), summary)
    data, middle = summary.to_bytes(), time.process_time()
    outcome = engine.conclude(summary, None, Context("1d", START * 10**9, (START + DAY) * 10**9))
    end = time.process_time()
    print(
        f"{flows:,} flows of {terminals:,} terminals, {summary.day.rows.size:,} rows: {middle - begin:.1f} CPU s and "
        f"{len(data) / 1e6:.0f} MB to summarise, {end - middle:.1f} to conclude; carry "
        f"{len(outcome.carry.to_bytes()) / 1e6 if outcome.carry else 0:.0f} MB; peak "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB"
    )


if __name__ == "__main__":
    {"planted": planted, "remcos": remcos, "speed": speed, "scale": scale}[sys.argv[1]](
        *map(int, sys.argv[2:])
    )
