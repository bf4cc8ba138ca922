"""What the telescope sees: one row a probe (time, source, port, fingerprint), as ``darknet_sources.parquet`` holds it.

Besides the families' own probes there are foreign packets of the same devices, unrelated and spoofed sources that show
a family's fingerprint, ordinary background, survey scanners (ZMap, Masscan and others) and ordinary servers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from .catalogue import NOISE_PORTS, SURVEY_PORTS
from .families import Family
from .infections import Infections
from .leases import FIRST, World
from .scenario import DAY, Scenario

SERVERS: Final = 0xC6120000  # 198.18.0.0/15: loaders, servers, surveys
SURVEY: Final = 0xC6130000  # 198.19.0.0/16
SPREAD: Final = 1.1  # sigma of log probes a day
_TOOLS: Final = ("ZMAP", "MASSCAN", "")


@dataclass(frozen=True)
class Sightings:
    """Rows in order of time. ``family``: -1 where no family sent it; ``mark``: place in ``names``, 0 for none."""

    ts: np.ndarray  # ns
    src: np.ndarray  # uint32
    port: np.ndarray  # int32
    mark: np.ndarray
    device: np.ndarray  # -1 where no infected device sent it
    family: np.ndarray
    names: tuple[str, ...]


def sightings(scenario: Scenario, families: Sequence[Family], world: World, cases: Infections) -> Sightings:
    """Draw them."""
    rng = scenario.rng("sightings")
    names = ("", *_TOOLS[:2], *sorted({f.fingerprint for f in families if f.fingerprint}))
    mark_of = np.array([names.index(f.fingerprint) for f in families])
    own = _own(rng, scenario, families, world, cases, mark_of)
    share = scenario.drawn["contamination"]
    parts = [
        own,
        _foreign(rng, world, cases, round(share * len(own[0]))),
        _strangers(rng, scenario, families, mark_of, round(share * len(own[0]))),
        _background(rng, scenario),
        _surveys(rng, scenario, names),
    ]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    ts, src, port, mark, device, family = (column[order] for column in columns)
    inside = (ts >= scenario.begin) & (ts < scenario.end)
    return Sightings(
        ts[inside], src[inside].astype(np.uint32), port[inside].astype(np.int32), mark[inside], device[inside],
        family[inside], names,
    )  # fmt: skip


_Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _own(
    rng: np.random.Generator, scenario: Scenario, families: Sequence[Family], world: World, cases: Infections,
    mark_of: np.ndarray,
) -> _Columns:  # fmt: skip
    """Probes of infected devices. A device's rate is its own (log-normal): most are dim, a few bright."""
    a_day = np.array([f.probes for f in families])[cases.family]
    rate = a_day * np.exp(rng.normal(0.0, SPREAD, len(cases.device)))
    count = rng.poisson(rate * (cases.end - cases.begin) / DAY)
    case = np.repeat(np.arange(len(count)), count)
    ts = cases.begin[case] + (rng.random(len(case)) * (cases.end - cases.begin)[case]).astype(np.int64)
    device, family = cases.device[case], cases.family[case]
    port = np.zeros(len(case), np.int32)
    for f in families:
        mine = np.flatnonzero(family == f.number)
        port[mine] = rng.choice(f.ports, len(mine), p=f.port_weights)
    mark = mark_of[family]
    mark[rng.random(len(mark)) >= scenario.drawn["detection"]] = 0
    return ts, world.at(device, ts), port, mark, device, family


def _foreign(rng: np.random.Generator, world: World, cases: Infections, count: int) -> _Columns:
    """Packets of the infected devices, or of others behind their address, that no family has sent."""
    case = rng.integers(0, len(cases.device), count)
    ts = cases.begin[case] + (rng.random(count) * (cases.end - cases.begin)[case]).astype(np.int64)
    none = np.full(count, -1)
    return (
        ts,
        world.at(cases.device[case], ts),
        rng.choice(NOISE_PORTS, count),
        np.zeros(count, np.int64),
        none,
        none,
    )


def _strangers(
    rng: np.random.Generator, scenario: Scenario, families: Sequence[Family], mark_of: np.ndarray, count: int
) -> _Columns:
    """Sources that have nothing to do with a family and show its fingerprint: half of them spoofed, one packet each,
    the others hosts that go on for a while."""
    which = rng.integers(0, len(families), count)
    spoofed = rng.random(count) < 0.5
    hosts = FIRST + rng.integers(0, 1 << 22, max(1, count // 8))
    src = np.where(
        spoofed, FIRST + rng.integers(0, 1 << 22, count), hosts[rng.integers(0, len(hosts), count)]
    )
    ts = scenario.begin + (rng.random(count) * (scenario.end - scenario.begin)).astype(np.int64)
    longest = max(len(f.ports) for f in families)
    ports = np.array([(f.ports * longest)[:longest] for f in families])
    none = np.full(count, -1)
    return ts, src, ports[which, rng.integers(0, longest, count)], mark_of[which], none, none


def _background(rng: np.random.Generator, scenario: Scenario) -> _Columns:
    """Ordinary sources of the same address space: a few packets to the usual ports."""
    hosts = round(1.2 * scenario.devices * min(1.0, scenario.days / 21 + 0.2))
    each = rng.geometric(0.4, hosts)
    src = np.repeat(FIRST + rng.integers(0, 1 << 22, hosts), each)
    first = scenario.begin + rng.random(hosts) * (scenario.end - scenario.begin)
    ts = (np.repeat(first, each) + rng.exponential(DAY / 24, len(src))).astype(np.int64)
    none = np.full(len(src), -1)
    share = 1.0 / np.arange(1, len(NOISE_PORTS) + 1)
    port = rng.choice(NOISE_PORTS, len(src), p=share / share.sum())
    return ts, src, port, np.zeros(len(src), np.int64), none, none


def survey_addresses(scenario: Scenario) -> np.ndarray:
    """Addresses of survey scanners, twelve each in a /24 of their organisation (uint32)."""
    rng = scenario.rng("surveys")
    organisations = int(rng.integers(5, 13))
    networks = SURVEY + (rng.choice(256, organisations, replace=False) << 8)
    found: np.ndarray = (networks[:, None] + rng.integers(1, 255, (organisations, 12))).astype(np.uint32)
    return np.unique(found)


def server_addresses(scenario: Scenario) -> np.ndarray:
    """Servers that probe now and then, and log in at honeypots with common passwords (uint32)."""
    rng = scenario.rng("servers")
    return np.unique((SERVERS + rng.integers(0, 1 << 16, 90)).astype(np.uint32))


def _surveys(rng: np.random.Generator, scenario: Scenario, names: tuple[str, ...]) -> _Columns:
    surveys, servers = survey_addresses(scenario), server_addresses(scenario)
    a_day = np.concatenate([np.full(len(surveys), 4.0), np.full(len(servers), 2.0)])
    src = np.concatenate([surveys, servers])
    tool = np.array([names.index(t) for t in _TOOLS])[
        np.concatenate([(surveys >> np.uint32(8)) % 3, np.full(len(servers), 2)]).astype(np.int64)
    ]
    each = rng.poisson(a_day * (scenario.end - scenario.begin) / DAY)
    who = np.repeat(np.arange(len(src)), each)
    ts = scenario.begin + (rng.random(len(who)) * (scenario.end - scenario.begin)).astype(np.int64)
    none = np.full(len(who), -1)
    return ts, src[who], rng.choice(SURVEY_PORTS, len(who)), tool[who], none, none
