"""Who attacks: campaigns with their hosts, victims, entry, beacons; malicious pages met without an infection; strays.

A campaign is *spear* (one department), *drive-by* (anybody who browses, risk-loving users first) or *single* (one
terminal). Each victim contacts about 45 % of the campaign's hosts, the first of them as a beacon.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from . import lines, paths
from . import people as folk
from . import sites as where
from .automatic import C2, Streams, path_of
from .chains import DRIVE_BY, MOST_HOPS, SOCIAL, Chains
from .people import WORKER, People
from .scenario import DAY, SECOND, Scenario
from .sites import Sites

SPEAR, DRIVE, SINGLE, CAMERA = range(4)
KINDS: Final = ("spear-phishing", "drive-by", "single", "camera")
FAMILIES: Final = tuple(f"family-{letter}" for letter in "abcdefghijklmnop")
SHARED: Final = 0.45


@dataclass(frozen=True)
class Outline:
    """What is decided before there are hosts: kind, number of hosts and of victims of each campaign."""

    kind: np.ndarray
    hosts: np.ndarray
    victims: np.ndarray
    exposing: int  # malicious hosts of nobody's campaign

    @property
    def malicious(self) -> int:
        return int(self.hosts.sum()) + self.exposing


def outline(scenario: Scenario) -> Outline:
    rng, many = scenario.rng("outline"), scenario.attacks
    kind = rng.choice([SPEAR, DRIVE, SINGLE], many, p=[0.35, 0.4, 0.25]).astype(np.int8)
    kind[:3] = [SPEAR, DRIVE, SINGLE][: len(kind)]
    most = max(3, min(30, scenario.terminals // 25))
    victims = np.where(kind == SINGLE, 1, np.minimum(2 + rng.geometric(0.16, many), most))
    hosts = np.where(kind == SINGLE, rng.integers(2, 5, many), rng.integers(5, 15, many))
    if scenario.camera:
        kind, victims, hosts = np.r_[kind, CAMERA].astype(np.int8), np.r_[victims, 1], np.r_[hosts, 2]
    weeks = 1 + scenario.days / 7
    return Outline(kind, hosts, victims, int(4 + scenario.exposure * scenario.terminals * weeks / 2.5))


@dataclass(frozen=True)
class Plan:
    """Everything bad that happens. By malicious host (from the first of them on): ``host_campaign``, ``black``,
    ``since`` (day; of black ones), ``family``. By terminal: ``campaign``, ``infected`` (ms, -1), ``cleaned``. The
    rest: ``streams`` (C2), ``chains`` (malicious ones), ``contacts`` (single lines), ``landings`` (host, campaign),
    ``mailed`` (host, day), ``exfiltration`` (campaign)."""

    kind: np.ndarray
    host_campaign: np.ndarray
    black: np.ndarray
    since: np.ndarray
    family: np.ndarray
    campaign: np.ndarray
    infected: np.ndarray
    cleaned: np.ndarray
    streams: Streams
    chains: Chains
    contacts: np.ndarray
    landings: np.ndarray
    mailed: np.ndarray
    leaks: np.ndarray


def moments(
    scenario: Scenario, who: People, terminal: np.ndarray, day: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Times (ms) on days at which their users are at work; a weekend is put off to Monday where there is one left."""
    terminal, day = np.asarray(terminal), np.asarray(day, np.int64)
    weekday = (scenario.begin // DAY + day + 3) % 7
    resting = (weekday >= 5) & (who.weekend[who.department[terminal]] < 0.5) & (who.role[terminal] == WORKER)
    later = day + np.where(resting, 7 - weekday, 0)
    day = np.where(later < scenario.days, later, np.maximum(day - np.where(resting, weekday - 4, 0), 0))
    opens = who.opens[who.department[terminal]]
    moved = (opens + who.changes[who.department[terminal]]) % DAY
    changed = (scenario.shift_change >= 0) & (day >= scenario.shift_change)
    at = np.where(changed, moved, opens) + rng.random(len(day)) * who.works[who.department[terminal]]
    return np.asarray(np.minimum(day * DAY + at.astype(np.int64), scenario.length - 600 * SECOND))


def plan(scenario: Scenario, who: People, dest: Sites, of: Outline) -> Plan:
    rng = scenario.rng("plan")
    first, total = dest.ranges[where.MALICIOUS]
    host_campaign = np.r_[np.repeat(np.arange(len(of.kind)), of.hosts), np.full(of.exposing, -1)]
    share = rng.beta(6.0, 6.0 * (1 - scenario.black) / max(scenario.black, 1e-3), len(of.kind) + 1)
    share[-1] = min(scenario.black + 0.1, 1.0)
    share[:-1][rng.random(len(of.kind)) < 0.08] = 0.0  # of one campaign in twelve the lists know nothing
    black = rng.random(total) < share[host_campaign]
    for c in np.nonzero((share[:-1] > 0) & (of.hosts > 4))[0].tolist() if scenario.black else []:
        mine = np.nonzero(host_campaign == c)[0]
        if not black[mine].any():
            black[rng.choice(mine)] = True
    # Entries of hosts that are in use are young: on the mean a month old, some made while the scenario runs.
    since = max(scenario.days // 2, 1) - 1 - rng.exponential(30, total).astype(np.int64)
    campaign = np.full(who.count, -1)
    infected, cleaned = np.full(who.count, -1, np.int64), np.full(who.count, scenario.length, np.int64)
    streams, chains, contacts, landings, mailed = [], [], [], [], []
    ordinary = np.concatenate([dest.of(where.NICHE), dest.of(where.PERSONAL), dest.of(where.TAIL)])
    for c, kind in enumerate(of.kind.tolist()):
        mine = first + np.nonzero(host_campaign == c)[0]
        start = 0 if rng.random() < 0.3 else int(rng.integers(0, max(1, int(scenario.days * 0.8))))
        victim = _victims(scenario, who, kind, int(of.victims[c]), campaign, rng)
        day = np.minimum(
            start + (rng.exponential(1.5, len(victim)) * (kind != SINGLE)).astype(np.int64), scenario.days - 1
        )
        day = np.maximum(day, who.joined[victim])
        when = moments(scenario, who, victim, day, rng)
        if start == 0:
            old = rng.random(len(victim)) < 0.5  # infected before the log begins
            when[old & (who.joined[victim] == 0)] = 0
        campaign[victim], infected[victim] = c, when
        gone = rng.random(len(victim)) < 0.2
        cleaned[victim[gone]] = np.minimum(
            when[gone] + (rng.exponential(10, gone.sum()) * DAY).astype(np.int64) + DAY, scenario.length
        )
        c2 = mine[: max(1, len(mine) // 3)]
        if kind == DRIVE:
            lands = rng.choice(ordinary, 3, replace=False)
        elif kind == SPEAR:
            lands = (
                dest.ranges[where.NICHE][0]
                + who.department[victim[0]] * where.NICHES
                + rng.choice(where.NICHES, 3, replace=False)
            )
        else:
            lands = rng.choice(ordinary, 1)
        if kind != CAMERA:
            landings += [(int(h), c) for h in lands]
        if kind == SPEAR:
            mailed += [(int(h), start) for h in mine[-2:]]
        entered = when > 0
        if kind != CAMERA and entered.any():
            chains.append(_entries(kind, victim[entered], when[entered], c, lands, mine, dest, rng))
        used = rng.random((len(victim), len(mine))) < SHARED
        beacon = rng.integers(0, len(c2), len(victim))
        used[np.arange(len(victim)), beacon] = True
        streams.append(_c2(victim, c2[beacon], when, cleaned[victim], c, kind, who, dest, rng))
        contacts.append(_visits(scenario, who, dest, victim, mine, used, infected, cleaned, rng))
    chains.append(_exposures(scenario, who, dest, first + np.nonzero(host_campaign == -1)[0], ordinary, rng))
    contacts.append(_strays(scenario, who, dest, campaign, first, black, host_campaign, rng))
    leaks = np.nonzero((rng.random(len(of.kind)) < 0.3) & (of.kind != CAMERA))[0]
    return Plan(
        of.kind, host_campaign, black, since, rng.integers(0, len(FAMILIES), len(of.kind) + 1)[host_campaign],
        campaign, infected, cleaned, Streams.join(streams) if streams else _c2(
            np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int64), -1, DRIVE, who,
            dest, rng), Chains.join(chains), np.concatenate(contacts),
        np.array(landings, np.int64).reshape(-1, 2), np.array(mailed, np.int64).reshape(-1, 2), leaks,
    )  # fmt: skip


def _victims(
    scenario: Scenario, who: People, kind: int, many: int, campaign: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    if kind == CAMERA:
        return who.of_role(folk.CAMERA)
    free = (campaign < 0) & (who.role == WORKER)
    if kind == SPEAR:
        size = np.bincount(who.department[free], minlength=who.departments)
        department = int(rng.choice(who.departments, p=size / size.sum()))
        free &= who.department == department
        weight = (0.5 + who.risk)[free]
    else:
        weight = (who.risk * who.activity)[free]
    places = np.nonzero(free)[0]
    return np.sort(rng.choice(places, min(many, len(places)), replace=False, p=weight / weight.sum()))


def _entries(
    kind: int, victim: np.ndarray, when: np.ndarray, campaign: int, lands: np.ndarray, mine: np.ndarray, dest: Sites,
    rng: np.random.Generator,
) -> Chains:  # fmt: skip
    """How each victim was infected: over a compromised page, or (spear phishing) over a link."""
    social = (rng.random(len(victim)) < 0.3) if kind == DRIVE else np.full(len(victim), kind == SPEAR)
    return _chains(victim, when, np.full(len(victim), campaign), np.where(social, SOCIAL, DRIVE_BY).astype(np.int8),
                   rng.choice(lands, len(victim)), mine, dest, rng)  # fmt: skip


def _chains(
    victim: np.ndarray, when: np.ndarray, campaign: np.ndarray, kind: np.ndarray, lands: np.ndarray, bad: np.ndarray,
    dest: Sites, rng: np.random.Generator,
) -> Chains:  # fmt: skip
    n = len(victim)
    hosts = np.full((n, MOST_HOPS), -1, np.int32)
    social = kind == SOCIAL
    short = dest.ranges[where.SHORTENER][0] + rng.integers(0, dest.ranges[where.SHORTENER][1], n)
    advert = dest.ranges[where.CDN][0] + rng.integers(0, dest.ranges[where.CDN][1], n)
    hosts[:, 0] = np.where(social, np.where(rng.random(n) < 0.6, short, advert), lands)
    final = rng.choice(bad, n) if len(bad) else advert
    through = rng.integers(1, 3, n)  # hops in between
    for i in range(1, 3):
        between = np.where(
            social & (i == 1) & (rng.random(n) < 0.5), advert, rng.choice(bad, n) if len(bad) else advert
        )
        hosts[:, i] = np.where(i <= through, between, -1)
    place = through + 1
    hosts[np.arange(n), place] = final
    hosts[np.arange(n), place + 1] = final
    return Chains(victim, when, kind, campaign, hosts)


def _c2(
    victim: np.ndarray, host: np.ndarray, begin: np.ndarray, end: np.ndarray, campaign: int, kind: int, who: People,
    dest: Sites, rng: np.random.Generator,
) -> Streams:  # fmt: skip
    """Beacons: 30 s to 6 h, jitter to half the period; of one campaign alike."""
    n = len(victim)
    period = np.exp(rng.uniform(np.log(30), np.log(6 * 3600))) * rng.choice([1.0, 1.0, 2.0], n)
    agent = who.agent[victim]
    if rng.random() < 0.5:
        agent = np.full(n, rng.choice([folk.REQUESTS, folk.CURL, folk.WINHTTP, folk.NO_AGENT]))
    if kind == CAMERA:
        agent, period = np.full(n, folk.CAMERA_AGENT), np.full(n, 300.0)
    return Streams(
        victim, host, path_of(dest, host), (np.minimum(period, 6 * 3600) * SECOND).astype(np.int64),
        np.full(n, rng.uniform(0, 0.5)), np.full(n, rng.random() < 0.6), np.full(n, rng.integers(80, 3000)),
        np.full(n, rng.random() < 0.5), agent.astype(np.int16), begin, end, np.full(n, C2, np.int8),
        np.full(n, campaign),
    )  # fmt: skip


def _visits(
    scenario: Scenario, who: People, dest: Sites, victim: np.ndarray, hosts: np.ndarray, used: np.ndarray,
    infected: np.ndarray, cleaned: np.ndarray, rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Contacts of infected terminals with the campaign's other hosts, now and then while the infection lasts."""
    owner, which = np.nonzero(used)
    terminal = victim[owner]
    lasts = (cleaned - infected)[terminal] / DAY
    many = 1 + rng.poisson(0.8 * np.minimum(lasts, 20))
    row = np.repeat(np.arange(len(owner)), many)
    terminal, host = terminal[row], hosts[which[row]]
    at = infected[terminal] + (rng.random(len(row)) * (cleaned - infected)[terminal]).astype(np.int64)
    when = np.maximum(moments(scenario, who, terminal, at // DAY, rng), infected[terminal] + 60 * SECOND)
    return single(who, dest, terminal, host, np.minimum(when, scenario.length - 600 * SECOND), rng)


def single(
    who: People,
    dest: Sites,
    terminal: np.ndarray,
    host: np.ndarray,
    when: np.ndarray,
    rng: np.random.Generator,
) -> np.ndarray:
    """One line for each."""
    made = lines.lines(len(terminal))
    made["ts"], made["terminal"], made["host"], made["agent"] = when, terminal, host, who.agent[terminal]
    made["path"] = np.where(dest.odd[host], path_of(dest, host), paths.PAGE[0] + host % paths.PAGE[1])
    made["method"] = np.where(rng.random(len(made)) < 0.25, lines.POST, lines.GET)
    return lines.finish(made, dest.via, lines.A_PAGE, rng)


def _exposures(
    scenario: Scenario,
    who: People,
    dest: Sites,
    bad: np.ndarray,
    ordinary: np.ndarray,
    rng: np.random.Generator,
) -> Chains:
    """Malicious pages met without an infection: by risk-loving users more often, and in departments one of whose sites
    is compromised for a week."""
    weeks = -(-scenario.days // 7)
    active = (who.risk * (who.activity / 90) ** 0.7) * (who.role == WORKER)
    rate = np.outer(scenario.exposure * active * 0.75, np.ones(weeks))
    hit = rng.random((who.departments, weeks)) < 0.05
    rate += (
        scenario.exposure
        * 5
        * hit[who.department]
        * (who.role == WORKER)[:, None]
        * np.minimum(active, 2)[:, None]
    )
    terminal, week = np.nonzero((rng.poisson(rate) > 0) & (who.joined[:, None] <= 7 * np.arange(weeks)))
    day = np.minimum(7 * week + rng.integers(0, 5, len(week)), scenario.days - 1)
    when = moments(scenario, who, terminal, day, rng)
    local = hit[who.department[terminal], week] & (rng.random(len(week)) < 0.8)
    niche = dest.ranges[where.NICHE][0] + who.department[terminal] * where.NICHES + week % where.NICHES
    lands = np.where(local, niche, rng.choice(ordinary, len(week)))
    kind = np.where(local | (rng.random(len(week)) < 0.45), DRIVE_BY, SOCIAL).astype(np.int8)
    # Hosts live for some weeks: who is exposed in the same week meets the same few.
    pool = np.maximum(len(bad) // max(weeks, 1), 2)
    made = _chains(terminal, when, np.full(len(week), -1), kind, lands, bad, dest, rng)
    if len(bad):
        place = (
            week * pool
            + (np.where(local, who.department[terminal], rng.integers(0, 1 << 20, len(week))) % pool)
        ) % len(bad)
        # The page was met; what it would have brought was not fetched.
        made.hosts[np.arange(len(made)), (made.hosts >= 0).sum(axis=1) - 1] = -1
        malicious = (made.hosts >= 0) & (dest.kind[np.maximum(made.hosts, 0)] == where.MALICIOUS)
        made.hosts[:] = np.where(malicious, bad[place][:, None], made.hosts)
    return made


def _strays(
    scenario: Scenario, who: People, dest: Sites, campaign: np.ndarray, first: int, black: np.ndarray,
    host_campaign: np.ndarray, rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Clean terminals at malicious hosts (three in ten of these get one), at black-listed ones, and, with ``poison``,
    many clean ones that were made to fetch one."""
    clean = np.nonzero((campaign < 0) & (who.role == WORKER))[0]
    if not len(clean):
        return lines.lines(0)
    hosts = [first + np.nonzero((rng.random(len(black)) < 0.3) & (host_campaign >= 0))[0]]
    listed, many = dest.ranges[where.LISTED]
    hosts.append(listed + rng.integers(0, many, rng.poisson(scenario.stray * len(clean))))
    if scenario.poison:
        known = first + np.nonzero(black)[0]
        hosts.append(rng.choice(known[:3] if len(known) else [listed], max(1, len(clean) // 10)))
    host = np.concatenate(hosts)
    terminal = rng.choice(clean, len(host))
    day = rng.integers(0, scenario.days, len(host))
    day = np.maximum(day, who.joined[terminal])
    return single(who, dest, terminal, host, moments(scenario, who, terminal, day, rng), rng)
