"""Flows inside the organisation, and what is wrong among them.

Workers talk to directory, file, mail, print and time servers while they work; some back up at night. *Anomalies*, each
in the truth: an infected terminal sweeps the inside (``internal-scan``), uses a service it never used
(``new-service``) or sends mail in bulk (``spam``), or sends away much (``exfiltration``, which is in the proxy's lines
too); a camera scans the Internet (``internet-scan``). *Not* anomalies: the vulnerability scanner's sweeps, users who
upload to a popular site, shifts that change, holidays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa

from . import lines
from . import people as folk
from . import sites as where
from .campaigns import CAMERA, Plan, moments, single
from .people import People, Shift
from .scenario import DAY, HOUR, SECOND, Scenario
from .sites import Sites

TCP, UDP = 0, 1
STATES: Final = ("SF", "S0", "REJ", "S1", "RSTO")
SF, S0, REJ = 0, 1, 2
SERVICES: Final = ("-", "dns", "krb_tcp", "smb", "ssl", "http", "ntp", "rdp", "ssh", "smtp", "ldap")
FLOW: Final = np.dtype(
    [
        ("ts", "<i8"), ("duration", "<i8"), ("terminal", "<i4"), ("dst", "<u4"), ("sport", "<i4"), ("dport", "<i4"),
        ("protocol", "u1"), ("service", "u1"), ("state", "u1"), ("out", "<i8"), ("back", "<i8"),
    ]
)  # fmt: skip
_SERVERS: Final = 0x0A0A0000  # 10.10.0.0/16
# (flows a working day, port, protocol, service, servers, median bytes out, median bytes in, first server)
_USUAL: Final = (
    (18.0, 53, UDP, 1, 2, 60, 180, 10),
    (5.0, 88, TCP, 2, 2, 1500, 1600, 20),
    (3.0, 389, TCP, 10, 2, 900, 4000, 20),
    (9.0, 445, TCP, 3, 0, 9_000, 60_000, 100),  # 0: the department's own
    (14.0, 993, TCP, 4, 2, 2500, 14_000, 30),
    (1.2, 9100, TCP, 0, 0, 120_000, 900, 600),
    (3.0, 123, UDP, 6, 1, 76, 76, 10),
    (4.0, 443, TCP, 4, 3, 3000, 25_000, 40),
)
SCAN, NEW, SPAM, LEAK, PROBE = "internal-scan", "new-service", "spam", "exfiltration", "internet-scan"


@dataclass
class Anomaly:
    terminal: int
    kind: str
    begin: int
    end: int
    port: int
    campaign: int
    flows: int = 0
    sent: int = 0
    destinations: list[int] = field(default_factory=list)  # uint32, at most 16 examples


@dataclass(frozen=True)
class Wrong:
    """Planned anomalies: their ``flows`` in time order, the ``lines`` of the proxy that belong to them, and what is
    true."""

    flows: np.ndarray
    lines: np.ndarray
    truth: list[Anomaly]


def usual(scenario: Scenario, who: People, on: Shift, day: int) -> np.ndarray:
    """Inside flows of a day, in time order."""
    rng, parts = scenario.rng("flows", day), []
    length = on.end - on.begin
    for rate, port, protocol, service, servers, out, back, first in _USUAL:
        habit = np.random.default_rng([scenario.seed, port]).lognormal(-0.3, 0.8, who.count)
        many = rng.poisson(rate * habit * on.share)
        terminal = np.repeat(np.arange(who.count), many)
        made = np.zeros(len(terminal), FLOW)
        made["terminal"] = terminal
        made["ts"] = on.begin[terminal] + (rng.random(len(terminal)) * length[terminal]).astype(np.int64)
        which = rng.integers(0, servers, len(terminal)) if servers else who.department[terminal]
        made["dst"] = _SERVERS + first + which
        made["dport"], made["protocol"], made["service"] = port, protocol, service
        made["out"] = out * rng.lognormal(0, 1.0, len(terminal))
        made["back"] = back * rng.lognormal(0, 1.2, len(terminal))
        made["state"] = np.where(rng.random(len(terminal)) < 0.985, SF, S0)
        parts.append(made)
    saved = np.nonzero(
        who.always_on & (who.role == folk.WORKER) & (who.joined <= day) & (rng.random(who.count) < 0.9)
    )[0]
    made = np.zeros(len(saved), FLOW)
    made["terminal"], made["dst"], made["dport"] = saved, _SERVERS + 50, 873
    made["ts"] = day * DAY + 2 * HOUR + rng.integers(0, HOUR, len(saved))
    made["out"], made["back"] = rng.lognormal(19.5, 0.5, len(saved)), 40_000
    parts.append(made)
    ports, evening = [22, 80, 443, 445, 3389], day * DAY + 20 * HOUR
    due = [t for t in who.of_role(folk.SCANNER).tolist() if (day + t) % 2]
    parts += [_sweep(terminal, evening, 90 * 60 * SECOND, 1500, ports, who, rng) for terminal in due]
    together = np.concatenate(parts)
    together = together[(together["ts"] >= 0) & (together["ts"] < scenario.length)]
    closed = together["state"] != SF
    together["out"][closed] = together["back"][closed] = 0
    together["duration"] = np.where(
        closed, 0, 20 + together["back"] // 4000 + rng.integers(0, 2000, len(together))
    )
    together["sport"] = rng.integers(32_768, 60_999, len(together))
    return together[np.argsort(together["ts"], kind="stable")]


def wrong(scenario: Scenario, who: People, dest: Sites, plan: Plan) -> Wrong:
    """What infected terminals do inside, and what they send away; and large uploads that are nothing."""
    rng = scenario.rng("wrong")
    flows, sent, truth = [np.zeros(0, FLOW)], [lines.lines(0)], []
    first = dest.ranges[where.MALICIOUS][0]
    for c, kind in enumerate(plan.kind.tolist()):
        victims = np.nonzero((plan.campaign == c) & (plan.infected < scenario.length - HOUR))[0]
        if not len(victims):
            continue
        for what, chance in ((SCAN, 0.4), (NEW, 0.35), (SPAM, 0.12), (LEAK, float(c in plan.leaks))):
            if kind == CAMERA or rng.random() >= chance:
                continue
            terminal = int(rng.choice(victims))
            day = int(rng.integers(max(int(plan.infected[terminal]), 0) // DAY, scenario.days))
            begin = int(moments(scenario, who, np.array([terminal]), np.array([day]), rng)[0])
            begin = min(max(begin, int(plan.infected[terminal]) + 600 * SECOND), scenario.length - HOUR // 2)
            one = Anomaly(terminal, what, begin, begin, 0, c)
            if what == LEAK:
                host = first + int(rng.choice(np.nonzero(plan.host_campaign == c)[0]))
                many = int(rng.integers(3, 20))
                when = begin + np.sort(rng.integers(0, HOUR // 2, many))
                made = single(who, dest, np.full(many, terminal), np.full(many, host), when, rng)
                made["method"] = np.where(made["method"] == lines.CONNECT, lines.CONNECT, lines.POST)
                made["sent"] = rng.lognormal(17.7, 0.7, many).clip(2e6, 1.5e9)
                made["status"] = np.where(made["method"] == lines.CONNECT, lines.TUNNEL, lines.OK)
                made["elapsed"] = made["sent"] // 40_000
                sent.append(made)
                one.port, one.destinations = 443, [int(dest.server[host])]
                one.flows, one.sent, one.end = many, int(made["sent"].sum()), int(when[-1])
            else:
                piece = _act(what, terminal, begin, who, rng)
                piece = piece[piece["ts"] < scenario.length]
                if not len(piece):
                    continue
                flows.append(piece)
                _described(one, piece)
            truth.append(one)
        if kind == CAMERA:
            piece = _probes(int(victims[0]), max(int(plan.infected[victims[0]]), 0), scenario.length, rng)
            flows.append(piece)
            truth.append(_described(Anomaly(int(victims[0]), PROBE, 0, 0, 23, c), piece))
    sent.append(_uploads(scenario, who, dest, rng))
    together = np.concatenate(flows)
    together["sport"] = rng.integers(32_768, 60_999, len(together))
    together = together[together["ts"] < scenario.length]
    return Wrong(together[np.argsort(together["ts"], kind="stable")], np.concatenate(sent), truth)


def _described(one: Anomaly, piece: np.ndarray) -> Anomaly:
    one.begin, one.end = int(piece["ts"].min()), int(piece["ts"].max())
    one.flows, one.sent, one.port = (
        len(piece),
        int(piece["out"].sum()),
        int(np.bincount(piece["dport"]).argmax()),
    )
    one.destinations = np.unique(piece["dst"])[:16].tolist()
    return one


def _act(what: str, terminal: int, begin: int, who: People, rng: np.random.Generator) -> np.ndarray:
    if what == SCAN:
        ports = [[445], [3389], [22], [445, 135]][int(rng.integers(4))]
        return _sweep(
            terminal,
            begin,
            int(rng.integers(2, 40)) * 60 * SECOND,
            int(rng.integers(120, 1500)),
            ports,
            who,
            rng,
        )
    if what == NEW:
        many = int(rng.integers(8, 60))
        made = np.zeros(many, FLOW)
        made["dport"] = int(rng.choice([4444, 5900, 3389, 22, 6667, 8531]))
        made["dst"] = rng.choice(_inside(who, rng, 3), many)
        made["out"], made["back"] = rng.lognormal(9.5, 1, many), rng.lognormal(10, 1, many)
        made["ts"] = begin + np.sort(rng.integers(0, 3 * HOUR, many))
        made["duration"] = rng.integers(1000, 600_000, many)
    else:
        many = int(rng.integers(200, 1200))
        made = np.zeros(many, FLOW)
        made["dport"], made["service"] = 25, 9
        made["dst"] = 0xC6120000 + rng.integers(1, 1 << 17, many)
        made["out"], made["back"] = rng.lognormal(8.3, 0.5, many), 600
        made["ts"] = begin + np.sort(rng.integers(0, 2 * HOUR, many))
        made["duration"] = rng.integers(300, 6000, many)
    made["terminal"] = terminal
    return made


def _inside(who: People, rng: np.random.Generator, many: int) -> np.ndarray:
    """Addresses of terminals' ranges."""
    department = rng.integers(0, who.departments, many)
    return (
        0x0A000000
        + ((20 + department % 200) << 16)
        + (rng.integers(0, 2, many) << 8)
        + rng.integers(2, 252, many)
    )


def _sweep(
    terminal: int, begin: int, length: int, many: int, ports: list[int], who: People, rng: np.random.Generator
) -> np.ndarray:
    made = np.zeros(many, FLOW)
    made["terminal"] = terminal
    made["ts"] = begin + np.sort(rng.integers(0, length, many))
    made["dst"], made["dport"] = _inside(who, rng, many), rng.choice(ports, many)
    made["state"] = rng.choice([S0, REJ, SF], many, p=[0.7, 0.22, 0.08])
    there = made["state"] == SF
    made["out"][there], made["back"][there] = 800, 1200
    made["duration"][there] = 300
    return made


def _probes(terminal: int, begin: int, end: int, rng: np.random.Generator) -> np.ndarray:
    """An infected camera at the Internet: about 30 addresses a minute on 23 and 2323, TCP."""
    many = max(int((end - begin) / (60 * SECOND) * 30), 1)
    made = np.zeros(many, FLOW)
    made["terminal"] = terminal
    made["ts"] = begin + np.sort(rng.integers(0, max(end - begin, 1), many))
    made["dst"] = rng.integers(1 << 24, 223 << 24, many)
    made["dport"] = np.where(rng.random(many) < 0.9, 23, 2323)
    made["state"] = np.where(rng.random(many) < 0.97, S0, REJ)
    return made


def _uploads(scenario: Scenario, who: People, dest: Sites, rng: np.random.Generator) -> np.ndarray:
    """One worker in 150 a day sends up to a gigabyte to a popular site: no anomaly, though it looks like one."""
    workers = who.of_role(folk.WORKER)
    usually = rng.choice(workers, max(1, len(workers) // 20), replace=False)
    many = rng.poisson(len(workers) * scenario.days / 150)
    terminal = rng.choice(usually, many)
    day = np.maximum(rng.integers(0, scenario.days, many), who.joined[terminal])
    host = dest.of(where.WEB)[rng.integers(0, 40, many)]
    made = single(who, dest, terminal, host, moments(scenario, who, terminal, day, rng), rng)
    made["sent"] = rng.lognormal(17.5, 1, many).clip(1e6, 1.2e9)
    made["elapsed"] = made["sent"] // 60_000
    return made


def anomaly_table(scenario: Scenario, names: list[str], who: People, truth: list[Anomaly]) -> pa.Table:
    """The truth: terminal, address on the first day of it, kind, begin, end, port, flows, bytes sent, some
    destinations."""
    time = pa.timestamp("ns", tz="UTC")
    columns: dict[str, Any] = {
        "terminal": pa.array([names[a.terminal] for a in truth], pa.string()),
        "address": pa.array([who.addresses(a.begin // DAY)[a.terminal] for a in truth], pa.string()),
        "kind": pa.array([a.kind for a in truth], pa.string()),
        "begin": pa.array([(scenario.begin + a.begin) * 1_000_000 for a in truth], time),
        "end": pa.array([(scenario.begin + a.end) * 1_000_000 for a in truth], time),
        "port": pa.array([a.port for a in truth], pa.int32()),
        "flows": pa.array([a.flows for a in truth], pa.int64()),
        "bytes_out": pa.array([a.sent for a in truth], pa.int64()),
        "destinations": pa.array(
            [where.dotted(np.array(a.destinations, np.uint32)).tolist() for a in truth], pa.list_(pa.string())
        ),
        "campaign": pa.array([a.campaign for a in truth], pa.int64()),
    }
    return pa.table(columns)
