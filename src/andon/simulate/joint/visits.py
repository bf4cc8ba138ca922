"""Who visits the honeypots when, as whom, and what comes of it: bots, loaders, surveys, others.

A bot tries the pairs of its list; where it gets in it shows its token, and a *loader* of the family, which never scans,
comes with the same pair and brings the payload (Mirai's report server). Web families send their exploit at once.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from andon.records.contract import SECOND

from . import catalogue as c
from .families import Family
from .infections import Infections
from .leases import World
from .scenario import DAY, Scenario
from .sightings import server_addresses, survey_addresses

BOT, LOADER, SURVEY, OTHER = "bot", "loader", "survey", "other"
ENTERS: Final = 0.3  # chance that a bot's list has what a honeypot accepts
REPORTED: Final = 0.6  # chance that a loader follows
IMITATORS: Final = 2  # people who type a family's token without being its bots


@dataclass(frozen=True)
class Visit:
    """One session. ``at`` is true time (ns). ``device`` -1 and ``family`` None where there is none; ``plays`` is the
    family whose behaviour it shows: the same, except where the truth is that nothing may be linked."""

    at: int
    src: int
    service: str
    role: str
    sensor: int
    device: int
    family: Family | None
    plays: Family | None
    login: tuple[str, str] | None  # the pair that was accepted


def visits(scenario: Scenario, families: Sequence[Family], world: World, cases: Infections) -> list[Visit]:
    """All sessions in order of time."""
    rng = scenario.rng("visits")
    draw = random.Random(f"{scenario.seed} visits")
    made = _bots(scenario, rng, draw, families, world, cases)
    if scenario.null == "rename":
        made = _renamed(draw, families, made)
    made += [v for bot in made if (v := _loader(scenario, draw, bot)) is not None]
    made += _strangers(scenario, draw, families)
    made.sort(key=lambda v: (v.at, v.src))
    return made


def _bots(
    scenario: Scenario, rng: np.random.Generator, draw: random.Random, families: Sequence[Family], world: World,
    cases: Infections,
) -> list[Visit]:  # fmt: skip
    services = {f.number: f.services for f in families}
    a_day = np.array([f.visits * bool(f.services) for f in families])[cases.family] * scenario.sensors
    spread = np.exp(rng.normal(0.0, 0.6, len(cases.device)))
    count = rng.poisson(a_day * spread * (cases.end - cases.begin) / DAY)
    case = np.repeat(np.arange(len(count)), count)
    ts = cases.begin[case] + (rng.random(len(case)) * (cases.end - cases.begin)[case]).astype(np.int64)
    src = world.at(cases.device[case], ts)
    sensor = rng.integers(0, scenario.sensors, len(case))
    made = []
    for i, at, address, host in zip(case.tolist(), ts.tolist(), src.tolist(), sensor.tolist(), strict=True):
        family = families[int(cases.family[i])]
        service = draw.choice(services[family.number])
        made.append(
            _entered(draw, Visit(at, address, service, BOT, host, int(cases.device[i]), family, family, None))
        )
    return made


def _entered(draw: random.Random, visit: Visit) -> Visit:
    """The visit with the pair that was accepted, if one was."""
    family = visit.plays
    shell = visit.service in (c.COWRIE_TELNET, c.COWRIE_SSH)
    login = draw.choice(family.creds) if family and shell and draw.random() < ENTERS else None
    return replace(visit, login=login)


def _renamed(draw: random.Random, families: Sequence[Family], made: list[Visit]) -> list[Visit]:
    """Every visit shows a family drawn at random among those that use its kind of honeypot, whoever it comes from."""
    by_service: dict[str, list[Family]] = {}
    for f in families:
        for service in f.services:
            by_service.setdefault(service, []).append(f)
    services = [v.service for v in made]
    draw.shuffle(services)
    return [
        _entered(draw, replace(v, service=service, plays=draw.choice(by_service[service])))
        for v, service in zip(made, services, strict=True)
    ]


def _loader(scenario: Scenario, draw: random.Random, bot: Visit) -> Visit | None:
    if bot.login is None or bot.plays is None or draw.random() >= REPORTED:
        return None
    minutes = draw.expovariate(1 / 12) if draw.random() < 0.7 else draw.uniform(30, 900)
    at = bot.at + int((0.5 + minutes) * 60 * SECOND) // 1000 * 1000
    if at >= scenario.end:
        return None
    src = _number(draw.choice(bot.plays.loaders))
    family = bot.family if bot.plays is bot.family else bot.plays
    return Visit(at, src, bot.service, LOADER, bot.sensor, -1, family, bot.plays, bot.login)


def _strangers(scenario: Scenario, draw: random.Random, families: Sequence[Family]) -> list[Visit]:
    surveys, servers = survey_addresses(scenario).tolist(), server_addresses(scenario).tolist()
    shells = (c.COWRIE_TELNET, c.COWRIE_SSH)

    def at() -> int:
        return scenario.begin + int(draw.random() * (scenario.end - scenario.begin)) // 1000 * 1000

    per_day = scenario.sensors * scenario.days
    host = range(scenario.sensors)
    made = [
        Visit(at(), draw.choice(surveys), draw.choice((*shells, c.TANNER)), SURVEY, draw.choice(host), -1, None, None,
              None)
        for _ in range(round(35 * per_day**0.9))
    ]  # fmt: skip
    for _ in range(round(80 * per_day**0.9)):
        pair = (draw.choice(c.COMMON_USERS), draw.choice(c.COMMON_PASSWORDS))
        kind = draw.choice((*shells, c.COWRIE_SSH, c.TANNER, c.HERALDING))
        accepted = pair if kind in shells and draw.random() < 0.08 else None
        src = draw.choice(servers) if draw.random() < 0.4 else 0xC6120000 + draw.randrange(1 << 17)
        made.append(Visit(at(), src, kind, OTHER, draw.choice(host), -1, None, None, accepted))
    talkers = [f for f in families if set(f.services) & set(shells)]
    if talkers:
        copied = draw.choice(talkers)
        for src in draw.sample(servers, min(IMITATORS, len(servers))):
            made += [
                Visit(at(), src, draw.choice(shells), OTHER, draw.choice(host), -1, None, copied,
                      (draw.choice(c.COMMON_USERS), draw.choice(c.COMMON_PASSWORDS)))
                for _ in range(draw.randrange(1, 5))
            ]  # fmt: skip
    return made


def _number(text: str) -> int:
    a, b, d, e = (int(part) for part in text.split("."))
    return a << 24 | b << 16 | d << 8 | e
