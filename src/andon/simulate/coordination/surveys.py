"""Survey organisations: a few /24 each, all addresses in step, every day at the same hour, every port alike.

They send most of a telescope's packets and little of its news: whoever looks at packets sees them first. Each has a
list of ports that it keeps, or (the widest) a new part of all 65,536 every day, so that its known addresses keep
turning up at ports where they have not been.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ..internet.addresses import Sources
from ..internet.apportion import apportion
from ..internet.session import SESSION
from .background import SURVEYED
from .bank import Bank, calm
from .scenario import DAY, HOUR, Scenario

_TOOLS: Final = ("masscan", "zmap", "zmap-old", "connect", "linux-5", "masscan-old")
_WIDE: Final = 3000  # organisations with more ports a day than this take new ones every day
_ORGANISATIONS: Final = 16


@dataclass(frozen=True)
class Organisation:
    """``listed``: its ports; ``ports``: (offset, length) of them in the pool. If they are more than it probes in a day
    it takes ``a_day`` of them after the other."""

    name: str
    sources: np.ndarray
    tool: int
    listed: np.ndarray
    ports: tuple[int, int]
    a_day: int  # ports it probes in a day
    passes: float  # packets per port and dark address in a day
    begins: int  # ns after midnight
    lasts: int  # ns


class Surveys:
    """Sessions of all survey organisations, day by day."""

    def __init__(self, scenario: Scenario, bank: Bank) -> None:
        self.scenario, self.bank = scenario, bank
        rng = np.random.default_rng([scenario.seed, 4])
        blocks = Sources(np.random.default_rng([scenario.seed, 5]), scenario.blocks)
        favourites = np.array(
            [22, 80, 443, 21, 23, 25, 3389, 8080, 445, 3306, 5900, 6379, 9200, 27017, 5432, 8443]
        )
        breadth = np.geomspace(8, 8000, _ORGANISATIONS).astype(int)
        weight = breadth**0.6
        budget = scenario.rate * 86400 * SURVEYED * weight / weight.sum()  # packets per dark address and day
        found = []
        for i, width in enumerate(breadth.tolist()):
            sources = np.concatenate(
                [blocks.draw_block(int(rng.integers(8, 60))) for _ in range(int(rng.integers(1, 4)))]
            )
            if width > _WIDE:
                chosen = rng.permutation(65535) + 1
            else:
                rest = rng.permutation(65535)[: width + 16] + 1
                chosen = np.array(list(dict.fromkeys([*favourites.tolist(), *rest.tolist()]))[:width])
            place = bank.pool.add(chosen)
            tool = int(bank.tools(((_TOOLS[i % len(_TOOLS)], 1),), 1)[0])
            begins = int(rng.integers(0, 24)) * HOUR + int(rng.integers(0, 60)) * (HOUR // 60)
            lasts = int(rng.integers(2, 20)) * HOUR
            found.append(
                Organisation(
                    f"survey-{i}",
                    sources,
                    tool,
                    chosen,
                    place,
                    width,
                    float(budget[i]) / width,
                    begins,
                    lasts,
                )
            )
        self.organisations = tuple(found)

    def day(self, midnight: int) -> np.ndarray:
        """Sessions that begin on the day from ``midnight`` (ns) on."""
        number = midnight // DAY
        rng = np.random.default_rng([self.scenario.seed, 6, number])
        n = self.scenario.addresses
        parts = []
        for who in self.organisations:
            count = len(who.sources)
            rows = self.bank.rows(np.full(count, who.tool), who.sources, rng)
            rows["dst_len"] = n
            rows["ports_off"], rows["ports_len"] = who.ports
            if who.a_day < who.ports[1]:
                places = who.ports[1] // who.a_day
                rows["ports_off"] = who.ports[0] + number % places * who.a_day
                rows["ports_len"] = who.a_day
            rows["n"] = apportion(np.ones(count), round(who.passes * who.a_day * n), rng)
            rows["start"] = midnight + who.begins + rng.integers(0, HOUR // 60, count)
            rows["end"] = rows["start"] + who.lasts
            calm(rows)
            parts.append(rows[rows["n"] > 0])
        return np.concatenate(parts) if parts else np.zeros(0, SESSION)

    def news(self, who: Organisation, port: int, starts: np.ndarray, length: int) -> np.ndarray:
        """Expected number of its addresses that reach ``port`` for the first time in spans of ``length`` (ns)."""
        places = np.flatnonzero(who.listed == port)
        found = np.zeros(len(starts))
        if not len(places):
            return found
        parts = max(len(who.listed) // who.a_day, 1)
        a_source = who.passes * self.scenario.addresses / len(who.sources)  # packets to the port on one day
        first = self.scenario.start_ns // DAY * DAY
        for midnight in range(first - DAY, self.scenario.end_ns, DAY):
            begin = midnight + who.begins
            touched = np.clip(
                np.minimum(starts + length, begin + who.lasts) - np.maximum(starts, begin), 0, None
            )
            if not touched.any():
                continue
            if midnight // DAY % parts not in places // who.a_day:
                continue
            # Chance to be new at some moment of the day: no packet before, the next one within the span.
            gone = np.clip((starts - max(begin, self.scenario.start_ns)) / who.lasts, 0, 1)
            for day in range(first - DAY, midnight, DAY):
                if day // DAY % parts in places // who.a_day:
                    gone += np.clip((day + who.begins + who.lasts - self.scenario.start_ns) / who.lasts, 0, 1)
            found += len(who.sources) * np.exp(-a_source * gone) * -np.expm1(-a_source * touched / who.lasts)
        return found

    def hour(self, hour: int) -> np.ndarray:
        """Sessions that begin in an hour (counted since 1970)."""
        rows = self.day(hour // 24 * DAY)
        kept: np.ndarray = rows[rows["start"] // HOUR == hour]
        return kept

    def before(self, begin: int) -> np.ndarray:
        """What is left at ``begin`` of the surveys that run."""
        rows = np.concatenate([self.day(begin // DAY * DAY - DAY), self.day(begin // DAY * DAY)])
        rows = rows[(rows["start"] < begin) & (rows["end"] > begin)]
        left = (rows["end"] - begin) / (rows["end"] - rows["start"])
        rows["n"] = np.random.default_rng([self.scenario.seed, 7]).binomial(rows["n"], left)
        rows["start"] = begin
        kept: np.ndarray = rows[rows["n"] > 0]
        return kept
