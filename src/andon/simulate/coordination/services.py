"""What a telescope hears on an ordinary day, as a table of services with their sources per day and daily cycle.

Ports are those that darknet reports name every year; their shares, cycles and drifts are assumptions of the right
order, drawn once per seed. What counts for a detector is kept honest: shares fall off like a power law down to all
65,536 ports, every port has its own amplitude and phase over the day and its own dip at week-ends, rates wander
(more than Poisson noise, see ``Rates``), and some ports grow by themselves over days.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ..internet.family import Ports
from .scenario import DAY, HOUR, Scenario

QUANTUM: Final = HOUR // 6  # rates are constant for ten minutes
TAIL: Final[Ports] = ((0, 1),)  # stands for "every source has its own port, drawn from the tail"


@dataclass(frozen=True)
class Service:
    """``weight``: share of new sources. ``tools``: names of ``internet.tools`` with weights; "os" is the mixture of
    operating systems. ``largest``: most packets per dark address that a visit sends. ``hours``: median length of a
    visit. ``aimed``: every source sends to one address only."""

    name: str
    ports: Ports
    weight: float
    tools: tuple[tuple[str, int], ...]
    largest: float = 12.0
    hours: float = 0.3
    aimed: bool = False


_SCAN = (("os", 3), ("connect", 3), ("masscan", 1), ("mirai-random-seq", 2))
_BOT = (("mirai", 5), ("mirai-random-seq", 2), ("os", 2), ("connect", 1))
_OLD = (("os", 8), ("connect", 1))
_TCP: Final = (
    (23, 200, _BOT), (445, 85, _OLD), (22, 70, _SCAN), (80, 60, _SCAN), (443, 52, _SCAN), (3389, 40, _SCAN),
    (8080, 38, _SCAN), (5555, 30, _BOT), (1433, 27, _OLD), (6379, 18, _SCAN), (2323, 12, _BOT), (81, 11, _BOT),
    (8443, 10, _SCAN), (7547, 9, _BOT), (37215, 8, _BOT), (5900, 8, _SCAN), (3306, 7, _SCAN), (21, 7, _SCAN),
    (25, 6, _SCAN), (8888, 5, _SCAN), (52869, 5, _BOT), (8728, 4, _SCAN), (9200, 4, _SCAN), (139, 4, _OLD),
    (5432, 4, _SCAN), (2222, 4, _SCAN), (8291, 3, _SCAN), (60001, 3, _BOT), (135, 3, _OLD), (8000, 3, _SCAN),
    (5038, 3, _SCAN), (2375, 2, _SCAN), (27017, 2, _SCAN), (110, 2, _OLD), (143, 2, _OLD), (49152, 2, _BOT),
    (9000, 2, _SCAN), (4899, 2, _OLD), (1723, 2, _OLD), (10000, 2, _SCAN), (111, 1, _SCAN),
)  # fmt: skip
_UDP: Final = (
    (53, 18), (123, 14), (161, 9), (1900, 9), (5060, 14), (389, 5), (11211, 4), (137, 4), (3702, 3), (5683, 2),
    (5353, 2), (19, 1), (69, 1), (500, 2), (1434, 1), (3283, 1), (6881, 6), (41794, 1),
)  # fmt: skip
SINCE_MIRAI: Final = frozenset({2323, 5555, 7547, 37215, 52869, 60001, 81, 8291, 49152})


def services(scenario: Scenario) -> tuple[Service, ...]:
    """The table for a scenario."""
    late = SINCE_MIRAI if scenario.before_mirai else frozenset()
    seen: set[int] = set()
    rows = []
    for port, weight, tools in _TCP:
        if port not in late and port not in seen:
            seen.add(port)
            rows.append(Service(f"tcp/{port}", ((port, 1),), weight, tools))
    rows += [Service(f"udp/{port}", ((port, 1),), weight, (("udp", 1),), hours=0.2) for port, weight in _UDP]
    if not scenario.before_mirai:
        rows.append(Service("telnet-pair", ((23, 9), (2323, 1)), 60, (("mirai", 1),)))
        rows.append(
            Service("iot-set", ((23, 4), (2323, 2), (5555, 1), (7547, 1), (37215, 1)), 15, (("mozi", 1),))
        )
    rows += [
        Service("web-set", tuple((p, 1) for p in (80, 443, 8080, 8000, 8443, 8888)), 30, _SCAN, hours=1.0),
        Service("windows-set", ((445, 5), (139, 2), (3389, 1), (1433, 1)), 12, _OLD),
        Service("login-set", ((22, 4), (2222, 1), (23, 1)), 15, _SCAN, hours=1.0),
        Service("tail-tcp", TAIL, 130, _SCAN, largest=2.0),
        Service("tail-udp", TAIL, 40, (("udp", 1),), largest=1.0),
        Service("burst", TAIL, 4, (("connect", 1), ("masscan", 1)), largest=40.0, hours=0.1),
        Service("aimed-tcp", TAIL, 10, _OLD, largest=0.5, hours=6.0, aimed=True),
        Service("aimed-udp", TAIL, 12, (("udp", 1),), largest=0.5, hours=6.0, aimed=True),
        Service("echo", ((0, 1),), 25, (("echo", 1),), largest=3.0),
        Service("answers", TAIL, 14, (("synack", 5), ("rst", 3), ("unreachable", 1)), largest=2.0, hours=0.5),
    ]  # fmt: skip
    return tuple(rows)


def tail_ports(scenario: Scenario) -> np.ndarray:
    """Ports of the tail (uint16, 2^22 entries to choose from with equal chance): Zipf with exponent 0.7 over a random
    order of all 65,535 ports, so that the tenth is some hundred times as popular as the median."""
    order = 1 + np.random.default_rng([scenario.seed, 11]).permutation(65535)
    share = 1.0 / (np.arange(65535) + 30.0) ** 0.7
    edges = np.round(np.cumsum(share) / share.sum() * (1 << 22)).astype(np.int64)
    return np.repeat(order.astype(np.uint16), np.diff(edges, prepend=0))


class Rates:
    """Relative rate of every service over time: cycle, week-end, drift, wandering.

    ``at(quantum)`` gives float64 (services,), mean about 1; ``quantum`` counts ten minutes since 1970. Wandering is
    log-normal with a sigma of 4 to 12 % per hour (interpolated), so counts are over-dispersed; drift is a slow wave of
    up to +-25 % over 6 to 20 days; one service in twelve also doubles or triples over two to five days ("flash").
    """

    def __init__(self, scenario: Scenario, table: tuple[Service, ...]) -> None:
        rng = np.random.default_rng([scenario.seed, 12])
        n = len(table)
        self._seed = scenario.seed
        self._n = n
        self._begin = scenario.start_ns
        bots = np.array([tools is _BOT for tools in (row.tools for row in table)])
        self.amplitude = np.where(bots, rng.uniform(0.1, 0.35, n), rng.uniform(0.0, 0.5, n))
        self._phase = rng.uniform(0, 24, n)
        self._weekend = rng.uniform(0, 0.3, n)
        self.sigma = rng.uniform(0.04, 0.12, n)
        self._wave = rng.uniform(0.0, 0.25, n)
        self._period = rng.uniform(6, 20, n)
        self._shift = rng.uniform(0, 2 * np.pi, n)
        flash = rng.random(n) < 1 / 12
        self._flash = np.where(flash, np.log(rng.uniform(2, 3, n)), 0.0)
        self._flash_at = rng.uniform(0.2, 0.9, n) * scenario.days
        self._flash_days = rng.uniform(2, 5, n)

    def _knot(self, hour: int) -> np.ndarray:
        found: np.ndarray = np.random.default_rng([self._seed, 13, hour]).normal(0, 1, self._n) * self.sigma
        return found

    def at(self, quantum: int) -> np.ndarray:
        t = quantum * QUANTUM + QUANTUM // 2
        hours = t / HOUR
        days = (t - self._begin) / DAY
        whole = int(hours)
        part = hours - whole
        wander = (1 - part) * self._knot(whole) + part * self._knot(whole + 1)
        # 1970-01-01 was a Thursday: Saturday and Sunday are days 2 and 3 of the epoch's week.
        weekend = 1.0 if int(t // DAY) % 7 in (2, 3) else 0.0
        drift = self._wave * np.sin(2 * np.pi * days / self._period + self._shift)
        drift = drift + self._flash / (1 + np.exp(-(days - self._flash_at) * 6 / self._flash_days))
        cycle = 1 + self.amplitude * np.cos(2 * np.pi * (hours - self._phase) / 24)
        found: np.ndarray = cycle * (1 - self._weekend * weekend) * np.exp(drift + wander)
        return found
