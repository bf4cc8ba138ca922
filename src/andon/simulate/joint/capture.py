"""The packets of a stretch of a scenario as a capture, made by the machinery of ``simulate internet``.

A bot's packets keep its family's relation in every header; bots of families without one have an operating system's
stack. Sources are the addresses that the devices have at the time, so a bot changes its address in mid-capture. Around
them is the noise of ``simulate.internet``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np

from andon.records.contract import SECOND
from andon.simulate.internet import InternetConfig
from andon.simulate.internet import session as s
from andon.simulate.internet.addresses import Sources, space
from andon.simulate.internet.builder import Builder, Group, fill
from andon.simulate.internet.capture import write_population
from andon.simulate.internet.noise import add_noise
from andon.simulate.internet.population import Population
from andon.simulate.internet.session import SESSION
from andon.simulate.internet.tools import TOOLS

from .families import Family
from .infections import Infections
from .leases import World
from .scenario import DAY, Scenario

TELESCOPE: Final = ("203.0.112.0/22",)
A_DAY: Final = 400.0  # packets of a bot at the telescope, median: enough to tell a relation in a few hours
NOISE: Final = 0.5
_STACK: Final = "linux-3"


def write_capture(
    scenario: Scenario, families: Sequence[Family], world: World, cases: Infections, length: int, path: Path
) -> int:
    """Write ``length`` ns from the time on at which most devices are infected; gives the number of packets."""
    begin = busiest(scenario, cases, length)
    rng = scenario.rng("capture")
    rows, relations, builder_pool = _bots(scenario, families, world, cases, begin, begin + length, rng)
    packets = int(rows["n"].sum())
    noise = round(packets * NOISE / (1 - NOISE))
    config = InternetConfig(
        seed=scenario.seed, packets=packets + noise, start=datetime.fromtimestamp(begin // SECOND, UTC),
        duration=length / SECOND, telescope=TELESCOPE, families=(), noise=1.0,
    )  # fmt: skip
    where = space(config.blocks)
    b = Builder(config, where, Sources(np.random.default_rng([scenario.seed, 0]), config.blocks))
    for f in families:
        rows["ports_off"][builder_pool == f.number], rows["ports_len"][builder_pool == f.number] = (
            b.pool.weighted(
                tuple(
                    (port, max(1, round(20 * weight)))
                    for port, weight in zip(f.ports, f.port_weights, strict=True)
                )
            )
        )
    groups = [
        Group(f.name, "botnet", "attack", f.expression, "", "raw" if f.expression else _STACK)
        for f in families
    ]
    rows["truth"] = b.truth.add(rows["src"], groups, builder_pool, np.ones(len(rows)))
    rows["dst_off"], rows["dst_len"] = 0, where.size
    b.chunks.append(rows)
    add_noise(b, noise)
    sessions = np.concatenate(b.chunks)
    sessions = sessions[np.argsort(sessions["start"], kind="stable")]
    people = Population(
        config, where, sessions, b.pool.array(), b.truth, relations, b.events, np.zeros(0, np.int64)
    )
    with path.open("wb", buffering=0) as file:
        return write_population(people, file)[0]


def busiest(scenario: Scenario, cases: Infections, length: int) -> int:
    """Beginning (a whole hour, ns) of the stretch in which most devices are infected."""
    starts = np.arange(scenario.begin, max(scenario.end - length, scenario.begin) + 1, DAY // 24)
    begun = np.searchsorted(np.sort(cases.begin), starts + length // 2)
    over = np.searchsorted(np.sort(cases.end), starts + length // 2)
    return int(starts[np.argmax(begun - over)])


def _bots(
    scenario: Scenario, families: Sequence[Family], world: World, cases: Infections, begin: int, end: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, list[str], np.ndarray]:  # fmt: skip
    """(sessions, relations, family of each session): one for each lease that an infection spans."""
    live = np.flatnonzero((cases.begin < end) & (cases.end > begin))
    low = world.lease(cases.device[live], np.maximum(cases.begin[live], begin))
    high = world.lease(cases.device[live], np.minimum(cases.end[live], end) - 1)
    each = high - low + 1
    case = np.repeat(live, each)
    lease = np.repeat(low - np.concatenate([[0], np.cumsum(each)[:-1]]), each) + np.arange(each.sum())
    family = cases.family[case]
    tool = np.array(["raw" if families[f].expression else _STACK for f in family.tolist()])
    rows = np.zeros(len(case), SESSION)
    for name in np.unique(tool):
        mine = np.flatnonzero(tool == name)
        part = rows[mine]
        fill(part, TOOLS[str(name)], rng)
        rows[mine] = part
    relations = [f.expression for f in families if f.expression]
    places = {f.number: i for i, f in enumerate(g for g in families if g.expression)}
    for number, place in places.items():
        mine = np.flatnonzero(family == number)
        rows["relation"][mine], rows["relation_id"][mine] = s.OTHER, place
    rows["retries"] = 0
    rows["key"] = rng.integers(0, 2**64, len(rows), dtype=np.uint64)
    rows["src"] = world.address[lease]
    rows["start"] = np.maximum(np.maximum(cases.begin[case], world.begin[lease]), begin)
    rows["end"] = np.minimum(np.minimum(cases.end[case], world.end[lease]), end)
    rate = A_DAY * np.exp(rng.normal(0.0, 0.8, world.infected))[cases.device[case]]
    lasts = np.maximum(rows["end"] - rows["start"], 0)
    rows["n"] = rng.poisson(rate * lasts / DAY)
    kept = (rows["n"] > 0) & (lasts > SECOND)
    return rows[kept], relations, family[kept]
