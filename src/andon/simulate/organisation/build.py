"""A scenario day by day and block by block, as lines in the order in which a proxy writes them, and into a folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import sites as where
from .automatic import Streams, calls, gateways, telemetry, updates
from .browse import Pages, burst, pages
from .campaigns import Outline, Plan, outline, plan
from .chains import Chains, Hops, benign, hops
from .flows import Wrong, wrong
from .lines import LINE
from .paths import Paths, paths
from .people import People, Shift, people, shift
from .scenario import DAY, Scenario
from .sites import Sites, sites

BLOCK = 25_000  # pages expanded at a time: about 150,000 lines
LISTED = 400  # black-listed hosts that only strays, gateways and scanners touch


@dataclass
class World:
    """A scenario with everything decided that does not depend on the day."""

    scenario: Scenario
    who: People = field(init=False)
    dest: Sites = field(init=False)
    pool: Paths = field(init=False)
    plan: Plan = field(init=False)
    streams: Streams = field(init=False)
    outline: Outline = field(init=False)
    wrong: Wrong = field(init=False)

    def __post_init__(self) -> None:
        scenario = self.scenario
        self.who, self.outline = people(scenario), outline(scenario)
        self.dest = sites(scenario, self.who, self.outline.malicious, LISTED)
        self.pool = paths(scenario.rng("paths"))
        self.plan = plan(scenario, self.who, self.dest, self.outline)
        self.wrong = wrong(scenario, self.who, self.dest, self.plan)
        self.streams = Streams.join([telemetry(scenario, self.who, self.dest), self.plan.streams])

    def fresh(self, day: int) -> np.ndarray:
        """Malicious hosts in the mails of a day."""
        return np.asarray(self.plan.mailed[self.plan.mailed[:, 1] == day, 0])


@dataclass(frozen=True)
class Day:
    """What happens on a day, before pages become lines. ``rest``: all other lines, in time order. ``bad`` and ``good``:
    redirect chains (malicious ones, benign ones) with their lines."""

    number: int
    on: Shift
    pages: Pages
    rest: np.ndarray
    bad: tuple[Chains, Hops]
    good: tuple[Chains, Hops]


def happenings(world: World, day: int) -> Day:
    """A day."""
    scenario, who, dest = world.scenario, world.who, world.dest
    on = shift(scenario, who, day)
    read = pages(scenario, who, dest, on, day)
    begin, end = day * DAY, (day + 1) * DAY
    entered = world.plan.chains
    entered = entered.where((entered.ts >= begin) & (entered.ts < end))
    led = benign(scenario, dest, read, day)
    bad = hops(scenario, who, dest, entered, "bad", day)
    good = hops(scenario, who, dest, led, "good", day)
    contacts = np.concatenate([world.plan.contacts, world.wrong.lines])
    parts = [
        calls(world.streams, on, dest, day, scenario.rng("calls", day)),
        updates(scenario, who, dest, on, day),
        gateways(scenario, who, dest, world.fresh(day), day),
        contacts[(contacts["ts"] >= begin) & (contacts["ts"] < end)],
        bad.lines,
        good.lines,
    ]
    rest = np.concatenate(parts)
    rest = rest[(rest["ts"] >= 0) & (rest["ts"] < scenario.length)]
    return Day(day, on, read, rest[np.argsort(rest["ts"], kind="stable")], (entered, bad), (led, good))


def blocks(world: World, days: Iterator[Day]) -> Iterator[np.ndarray]:
    """Lines of the whole scenario in blocks, by the time of their end; no block holds lines of two days."""
    held = np.empty(0, LINE)
    seed = world.scenario.seed * 1009
    for day in days:
        count, taken, midnight = len(day.pages.ts), 0, (day.number + 1) * DAY
        for first in range(0, max(count, 1), BLOCK):
            last = min(first + BLOCK, count)
            upto = midnight if last >= count else min(midnight, int(day.pages.ts[last]))
            due = len(day.rest) if last >= count else int(np.searchsorted(day.rest["ts"], upto))
            made = [
                held,
                burst(seed + 31 * day.number, world.dest, world.who, day.pages, first, last),
                day.rest[taken:due],
            ]
            taken = due
            together = np.concatenate(made)
            ends = together["ts"] + together["elapsed"]
            order = np.argsort(ends, kind="stable")
            cut = int(np.searchsorted(ends[order], upto))
            held = together[order[cut:]]
            yield from _by_day(together[order[:cut]])
    # What ends after the end of the scenario is not in its log, as with any log that is cut.
    ends = held["ts"] + held["elapsed"]
    yield from _by_day(held[ends < world.scenario.length])


def _by_day(block: np.ndarray) -> Iterator[np.ndarray]:
    if not len(block):
        return
    day = (block["ts"] + block["elapsed"]) // DAY
    cuts = np.nonzero(np.diff(day))[0] + 1
    yield from np.split(block, cuts.tolist())


def lists(world: World, out: Path) -> None:
    """``lists/black.csv`` (value, type, family, date) and ``lists/white.csv`` (rank, domain)."""
    from .lists import write_lists

    write_lists(world.scenario, world.dest, world.plan, out)


def kinds(world: World) -> np.ndarray:
    """Name of the kind of each host, as the truth has it."""
    names = np.array(where.KINDS)[world.dest.kind].astype("U16")
    names[world.plan.landings[:, 0]] = "compromised"
    return np.asarray(names)
