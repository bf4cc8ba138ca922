"""Which botnets and decoys a scenario has, and when: drawn once per seed, in numbers that follow its days.

Sizes are what the telescope sees, 20 to 2,000 sources, log-uniform, whatever its size: so that a /24 and a /16 are
asked the same question against backgrounds that differ thirty-fold. Half of the wake-ups use a port of the tail, the
others a port of middling popularity; small botnets hide in 23, 445 and 80.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ..internet.family import Ports
from . import decoys
from .botnets import Botnet, Stage
from .decoys import Decoy
from .scenario import DAY, HOUR, Scenario
from .services import tail_ports

MINUTE: Final = HOUR // 60
BUSY: Final = (23, 445, 80)
MIDDLING: Final = (
    8443, 37215, 5900, 3306, 21, 8888, 52869, 8728, 9200, 5432, 2222, 8291, 60001, 8000, 5038, 2375, 27017, 49152, 9000,
    10000, 7547, 81, 4899,
)  # fmt: skip
_TOOLS: Final = ("mirai-random-seq", "connect", "raw", "mirai", "hajime")
# Events per day after the calm days: (kind, a day, at least).
_BOTNETS: Final = (
    ("wake-up", 1.0, 2), ("small-botnet", 0.7, 1), ("fast-worm", 0.3, 1), ("slow-worm", 0.25, 0), ("passing", 0.3, 1),
)  # fmt: skip
_DECOYS: Final = (
    ("step", 0.6, 1),
    ("carpet", 0.3, 1),
    ("reflection", 0.3, 1),
    ("all", 0.3, 1),
    ("block", 0.4, 1),
)


@dataclass(frozen=True)
class Plan:
    botnets: tuple[Botnet, ...]
    decoys: tuple[Decoy, ...]


def plan(scenario: Scenario) -> Plan:
    """The plan of a scenario; empty if it is quiet."""
    if scenario.quiet:
        return Plan((), ())
    rng = np.random.default_rng([scenario.seed, 10])
    ports = _Ports(scenario, rng)
    standing = _campaigns(scenario, rng, ports)
    return Plan((*standing, *_waves(scenario, rng, ports)), _false(scenario, rng, ports))


class _Ports:
    """Ports for events: each quiet or middling port once, the busy ones in turn."""

    def __init__(self, scenario: Scenario, rng: np.random.Generator) -> None:
        order = np.argsort(-np.bincount(tail_ports(scenario), minlength=65536), kind="stable")[:40000]
        taken = {*BUSY, *MIDDLING, 2323, 5555, 22, 443, 8080, 3389, 1433, 6379, 0}
        self._quiet = [p for p in rng.permutation(order).tolist() if p not in taken]
        self._middling = rng.permutation(np.array(MIDDLING)).tolist()
        self._busy = 0

    def quiet(self) -> int:
        return int(self._quiet.pop())

    def middling(self) -> int:
        return int(self._middling.pop()) if self._middling else self.quiet()

    def busy(self) -> int:
        self._busy += 1
        return BUSY[self._busy % len(BUSY)]


def _times(scenario: Scenario, count: int, room: int, rng: np.random.Generator) -> list[int]:
    """``count`` times spread over the days after the calm ones, whole seconds, at least ``room`` ns before the end."""
    begin = scenario.calm_ns
    length = max(scenario.end_ns - room - begin, HOUR)
    edges = (np.arange(count) + rng.random(count)) / max(count, 1)
    return [begin + int(x * length) // 1_000_000_000 * 1_000_000_000 for x in rng.permutation(edges)]


def _count(scenario: Scenario, a_day: float, least: int) -> int:
    return max(least, round(a_day * (scenario.end_ns - scenario.calm_ns) / DAY))


def _size(rng: np.random.Generator, low: int = 20, high: int = 2000) -> int:
    return round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))


def pace(scenario: Scenario) -> float:
    """Median packets of a bot per day: at 200 packets/s over the Internet a /16 hears 264, a /20 16; a smaller
    telescope is given bots that are heard twelve times a day, for fewer would not show an identity."""
    return max(12.0, 0.004 * scenario.addresses)


def _waves(scenario: Scenario, rng: np.random.Generator, ports: _Ports) -> list[Botnet]:
    found = []
    for kind, a_day, least in _BOTNETS:
        count = _count(scenario, a_day, least)
        if kind == "slow-worm" and scenario.end_ns - scenario.calm_ns < 3 * DAY:
            continue
        for i, at in enumerate(_times(scenario, count, 3 * HOUR, rng)):
            tool = str(rng.choice(np.array(_TOOLS)))
            wave, growth, size, ends = int(rng.uniform(1, 30) * MINUTE), False, _size(rng), 0
            chosen = ports.quiet() if i % 2 else ports.middling()
            ends = at + int(rng.uniform(0.5, 3) * DAY)
            if kind == "small-botnet":
                chosen, size, wave = ports.busy(), _size(rng, 20, 800), int(rng.uniform(2, 60) * MINUTE)
            elif kind == "fast-worm":
                wave, growth, size = int(rng.uniform(20, 240) * MINUTE), True, _size(rng, 100, 2000)
            elif kind == "slow-worm":
                wave, growth, size = int(rng.uniform(2, 3) * DAY), True, _size(rng, 300, 2000)
                at = min(at, scenario.end_ns - wave)
                ends = scenario.end_ns
            elif kind == "passing":  # gone within hours: its stop is as sudden as its start
                ends = at + int(rng.uniform(2, 8) * HOUR)
            made: Ports = ((chosen, 1),)
            if kind == "wake-up" and i % 3 == 0:
                made = ((chosen, 3), (ports.quiet(), 1))
            a_bot = pace(scenario) * (6.0 if kind == "passing" else 1.0)
            found.append(
                Botnet(
                    f"{kind}-{i}", "wake-up" if kind == "passing" else kind, at, min(ends, scenario.end_ns), size, wave,
                    (Stage(at, made, tool),), growth, 0.3, a_bot, int(rng.uniform(1, 20) * MINUTE),
                )
            )  # fmt: skip
    return found


def _campaigns(scenario: Scenario, rng: np.random.Generator, ports: _Ports) -> list[Botnet]:
    """Botnets that are followed over days: there from the start or born, changing ports or tool, pausing, dying."""
    begin, end, calm = scenario.start_ns, scenario.end_ns, scenario.calm_ns
    length = end - calm

    def when(share: float) -> int:
        return (calm + int((share + rng.uniform(-0.04, 0.04)) * length)) // 1_000_000_000 * 1_000_000_000

    def made(name: str, size: int, stages: tuple[Stage, ...], ends: int = end, kind: str = "") -> Botnet:
        at = stages[0].at
        wave = HOUR if kind else 0
        return Botnet(
            name, kind, at, ends, size, wave, stages, False, float(rng.uniform(0.1, 0.4)), pace(scenario),
            10 * MINUTE, True,
        )  # fmt: skip

    a, b = ports.quiet(), ports.quiet()
    lineage = (
        Stage(begin, ((23, 1),), "mirai"),
        Stage(when(0.3), ((23, 9), (2323, 1)), "mirai"),
        Stage(when(0.7), ((23, 6), (2323, 2), (5555, 2)), "mirai"),
    )
    router = (Stage(begin, ((a, 1),), "raw"), Stage(when(0.5), ((a, 2), (b, 1)), "raw"))
    rows = [made("lineage-telnet", 250, lineage), made("lineage-router", 120, router)]
    rows.append(
        made("dying", _size(rng, 80, 400), (Stage(begin, ((ports.middling(), 1),), "connect"),), when(0.6))
    )
    if length >= 2 * DAY:
        p, q, r = ports.quiet(), ports.middling(), ports.quiet()
        rest = when(0.55)
        rows += [
            # Antonakakis et al. 2017: Mirai doubled every 75 minutes in its first 20 hours.
            replace(
                made("early-mirai", 1200, (Stage(when(0.45), ((23, 9), (2323, 1)), "mirai"),), kind="fast-worm"),
                wave=12 * HOUR, growth=True,
            ),
            made("born", _size(rng, 80, 400), (Stage(when(0.2), ((p, 1),), "mirai"),), kind="wake-up"),
            made(
                "pausing", 200,
                (
                    Stage(begin, ((q, 1),), "hajime"),
                    Stage(rest, ((q, 1),), "hajime", False),
                    Stage(rest + min(2 * DAY, length // 6), ((q, 1),), "hajime"),
                ),
            ),
            made(
                "turning", 200,
                (
                    Stage(begin, ((r, 3), (80, 1)), "mirai"),
                    Stage(when(0.4), ((r, 3), (80, 1)), "mirai-random-seq"),
                    Stage(when(0.8), ((r, 1), (ports.quiet(), 1)), "mirai-random-seq"),
                ),
            ),
        ]  # fmt: skip
    return rows


def _false(scenario: Scenario, rng: np.random.Generator, ports: _Ports) -> tuple[Decoy, ...]:
    found: list[Decoy] = []
    for way, a_day, least in _DECOYS:
        if way == "block" and len(scenario.blocks) < 2:
            continue
        for i, at in enumerate(_times(scenario, _count(scenario, a_day, least), 3 * HOUR, rng)):
            kind = {
                "step": decoys.SURVEY,
                "carpet": decoys.BACKSCATTER,
                "reflection": decoys.BACKSCATTER,
            }.get(way, decoys.REBOOT)
            lasts = int(rng.uniform(20, 90) * MINUTE)
            name = f"{kind}-{way}-{i}"
            if way == "step":
                chosen = tuple(ports.quiet() for _ in range(int(rng.integers(1, 5))))
                found.append(Decoy(name, kind, way, at, at + 3 * lasts, chosen, int(rng.integers(60, 400))))
            elif way in ("carpet", "reflection"):
                service = int(rng.choice([80, 443, 22] if way == "carpet" else [53, 123, 1900]))
                protocol = 6 if way == "carpet" else 17
                size = _size(rng, 100, 1500)
                found.append(
                    Decoy(name, kind, way, at, at + lasts, (ports.quiet(),), size, service, protocol)
                )
            elif way == "all":
                found.append(Decoy(name, kind, way, at, at + int(rng.uniform(3, 20) * MINUTE)))
            else:
                block = int(rng.integers(0, len(scenario.blocks)))
                found.append(Decoy(name, kind, way, at, at + lasts, block=block))
    return tuple(found)
