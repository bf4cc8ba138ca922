"""From day to day: units of today assigned to campaigns of before, and what that means for each.

The assignment is the one with the largest sum of evidence among accepted pairs (Kuhn and Munkres, through SciPy's
``linear_sum_assignment``), so one campaign takes one unit and a unit goes where it fits best, not where it was
looked at first. Units that fit nowhere are births; campaigns without a unit are quiet, then dead.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from andon.detect.darknet.campaigns import changes, seen
from andon.detect.darknet.campaigns.changes import BIRTH, DEATH, FIRST, PAUSE, RESUME, Event
from andon.detect.darknet.campaigns.evidence import Score, judge, likeness, overlap
from andon.detect.darknet.campaigns.memory import ACTIVE, COURSE, DEAD, QUIET, RING, Campaign, Memory
from andon.detect.darknet.campaigns.profile import header_of
from andon.detect.darknet.campaigns.units import MOST_NETWORKS, MOST_PORTS, SAMPLE, Unit, top
from andon.detect.darknet.campaigns.usual import Today, Usual

DAY_NS = 86_400_000_000_000
_MOST_CANDIDATES = 24  # units looked at closely for a campaign
_CANDIDATE = 0.25  # likeness of ports
_AVERAGING = 0.3  # weight of today in the averaged mix
_LEAST_EXPECTED = 5  # sources that a sample has to be able to show before their absence says anything
_DRAWN_EACH = 6
_LEAST_KNOWN_DAYS = 3  # before what is there from the first day on can change
_SECOND_HALF = 0.5  # share of a unit's sources that were a campaign's the last time


@dataclass(frozen=True)
class Day:
    """Of the day: start in ns, sources kept, one source in so many, hours with traffic (24 bools), sources by cell and
    what is usual of these (None, empty: not counted)."""

    start: int
    sources: int
    one_in: int
    observed: np.ndarray
    today: Today | None = None
    usual: Usual = field(default_factory=Usual.empty)

    @property
    def share(self) -> float:
        """Of the day that was observed."""
        return float(self.observed.mean())


@dataclass(frozen=True)
class Told:
    """A campaign after the day; ``before`` is None for a birth, ``unit`` None on a quiet day. ``related``: other
    campaigns it may have split from or gone into, with reasons."""

    campaign: Campaign
    before: Campaign | None
    unit: Unit | None
    events: tuple[Event, ...]
    score: Score | None = None
    related: tuple[str, ...] = ()


def advance(
    memory: Memory, units: Sequence[Unit], day: Day, death_days: int, least: int, given: bool = False
) -> tuple[Memory, list[Told]]:
    """The memory after the day, and each campaign that is not dead or died today. Days
    on which nothing at all was heard are not observed and say nothing. ``given``: units carry their identity
    (``known``) and nothing is assigned."""
    past = list(memory.campaigns)
    pairs, scores = _identity(past, units) if given else _assign(past, units, day)
    told: list[Told] = []
    taken = set(pairs.values())
    joined = {} if given else _in_transition(past, units, pairs, scores)
    taken |= {n for parts in joined.values() for n in parts}
    for number, campaign in enumerate(past):
        if number in pairs:
            unit = combined([units[pairs[number]], *(units[n] for n in joined.get(number, ()))])
            told.append(_continued(campaign, unit, day, scores.get((number, pairs[number]))))
        elif (quiet := _quiet(campaign, day, death_days)) is not None:
            told.append(replace(quiet, related=_gone_into(campaign, past, units, pairs)))
    names = {campaign.name for campaign in past}
    for n, unit in enumerate(units):
        if n in taken or unit.size < least or not (unit.novel or memory.days == 0):
            continue
        campaign = _born(unit, day, memory.days == 0, names)
        names.add(campaign.name)
        kind = FIRST if memory.days == 0 else BIRTH
        text = "there on the first day observed" if memory.days == 0 else f"new: {_volume(unit, day)}"
        related = _split_from(unit, past, units, pairs, scores, n)
        told.append(Told(campaign, None, unit, (Event(kind, text),), None, related))
    kept = [t.campaign for t in told if not (t.campaign.state == DEAD and t.campaign.quiet > changes.FORGET)]
    kept.sort(key=lambda c: (c.born, c.name))
    after = replace(memory, campaigns=tuple(kept), days=memory.days + 1)
    return after, [t for t in told if t.campaign.state != DEAD or t.events]


def _identity(
    past: Sequence[Campaign], units: Sequence[Unit]
) -> tuple[dict[int, int], dict[tuple[int, int], Score]]:
    return {u.known: n for n, u in enumerate(units) if 0 <= u.known < len(past)}, {}


def _assign(
    past: Sequence[Campaign], units: Sequence[Unit], day: Day
) -> tuple[dict[int, int], dict[tuple[int, int], Score]]:
    if not past or not units:
        return {}, {}
    from scipy.optimize import linear_sum_assignment

    names = Counter(unit.label for unit in units)
    names_before = Counter(campaign.label for campaign in past if campaign.state != DEAD)
    scores: dict[tuple[int, int], Score] = {}
    table = np.zeros((len(past), len(units)))
    for i, j in _candidates(past, units):
        campaign, unit = past[i], units[j]
        shared = names[unit.label] > 1 or names_before[unit.label] > 1
        score = judge(campaign, unit, day.sources, shared, campaign.quiet)
        scores[i, j] = score
        if score.accepted and _may_be(campaign, unit, day, score):
            table[i, j] = score.total + (0.5 if unit.known == i else 0.0)
    rows, columns = linear_sum_assignment(table, maximize=True)
    pairs = {int(i): int(j) for i, j in zip(rows, columns, strict=True) if table[i, j] > 0}
    return pairs, scores


def _may_be(campaign: Campaign, unit: Unit, day: Day, score: Score) -> bool:
    """Whether counts and common sources allow what likeness says."""
    if not campaign.acted and header_of(campaign.klass) != header_of(unit.klass) and score.sources < 1:
        return False  # a crowd does not change its header from one day to the next
    return day.one_in > 1 or seen.goes_on(campaign, unit, day.today, day.share)


def _candidates(past: Sequence[Campaign], units: Sequence[Unit]) -> list[tuple[int, int]]:
    """Pairs worth a closer look: like ports, a common name, a common header class, or common sources."""
    codes = np.unique(
        np.concatenate([*(c.ports[0] for c in past), *(u.ports[0] for u in units), np.zeros(0, int)])
    )
    before, now = (
        np.zeros((len(past), len(codes)), np.float32),
        np.zeros((len(units), len(codes)), np.float32),
    )
    for rows, mixes in ((before, [c.ports for c in past]), (now, [u.ports for u in units])):
        for n, (ports, shares) in enumerate(mixes):
            rows[n, np.searchsorted(codes, ports)] = np.sqrt(shares)
    alike = before @ now.T
    owners: dict[int, list[int]] = {}
    for n, unit in enumerate(units):
        for hashed in unit.sample.tolist():
            owners.setdefault(hashed, []).append(n)
    labels = np.array([unit.label for unit in units], object)
    classes = np.array([unit.klass for unit in units])
    out = []
    for i, campaign in enumerate(past):
        value = alike[i].astype(float)
        if campaign.label:
            value += 0.5 * (labels == campaign.label)
        value += 0.3 * (classes == campaign.klass)
        for n, times in Counter(n for h in campaign.sample.tolist() for n in owners.get(h, ())).items():
            value[n] += 0.5 if times >= 2 else 0.0
        worth = np.flatnonzero(value >= _CANDIDATE)
        worth = worth[np.argsort(-value[worth], kind="stable")][:_MOST_CANDIDATES]
        out += [(i, int(j)) for j in worth]
    return out


def _in_transition(
    past: Sequence[Campaign],
    units: Sequence[Unit],
    pairs: dict[int, int],
    scores: dict[tuple[int, int], Score],
) -> dict[int, list[int]]:
    """Units without a campaign that are a campaign's second half on the day on which it turns (its bots take other
    ports or another header one after the other): half of their sources were its own the last time."""
    found: dict[int, list[int]] = {}
    taken = set(pairs.values())
    for n, unit in enumerate(units):
        best = (0.0, -1)
        for i in pairs if n not in taken and unit.block < 0 else ():
            score = scores.get((i, n))
            if score is None or not score.accepted or unit.size > 2 * past[i].size:
                continue
            _, share = overlap(past[i].sample, unit.sample, past[i].size, unit.size)
            best = max(best, (share, i))
        if best[0] >= _SECOND_HALF:
            found.setdefault(best[1], []).append(n)
    return found


def combined(parts: Sequence[Unit]) -> Unit:
    """Several units of a day as one; what is only said of one (header, name, cells) is that of the largest."""
    if len(parts) == 1:
        return parts[0]
    largest = max(parts, key=lambda u: u.size)
    size = sum(u.size for u in parts)

    def mixed(mixes: Sequence[tuple[np.ndarray, np.ndarray]], most: int) -> tuple[np.ndarray, np.ndarray]:
        codes = np.unique(np.concatenate([codes for codes, _ in mixes]))
        shares = np.zeros(len(codes))
        for unit, (own, share) in zip(parts, mixes, strict=True):
            shares[np.searchsorted(codes, own)] += share * (unit.size / size)
        best = np.sort(np.lexsort((codes, -shares))[:most])
        return codes[best], shares[best]

    return replace(
        largest,
        sources=np.sort(np.concatenate([u.sources for u in parts])),
        packets=sum(u.packets for u in parts),
        ports=mixed([u.ports for u in parts], MOST_PORTS),
        hours=np.sum([u.hours for u in parts], axis=0),
        networks=mixed([u.networks for u in parts], MOST_NETWORKS),
        sample=np.unique(np.concatenate([u.sample for u in parts]))[:SAMPLE],
    )


def _continued(campaign: Campaign, unit: Unit, day: Day, score: Score | None) -> Told:
    events = []
    sources = unit.size * day.one_in
    if campaign.quiet >= changes.pause_after(campaign) and (
        changes.is_expected(campaign) or campaign.state == DEAD
    ):
        again = " after it was called dead" if campaign.state == DEAD else ""
        events.append(
            Event(RESUME, f"active again{again}, {campaign.quiet} observed days after it was last seen")
        )
    whole = bool(day.observed.sum() >= 20)
    grown = changes.growth(campaign, sources, unit.each) if whole and not campaign.quiet else None
    if grown is not None and day.one_in == 1 and not seen.has_grown(campaign, unit, day.share):
        grown = None
    distance = changes.distance(campaign.ports, unit.ports)
    counted = seen.counts(day.today, day.usual, day.share, day.one_in) if unit.block < 0 else None
    known = campaign.acted or campaign.active_days >= _LEAST_KNOWN_DAYS
    moved = changes.ports(campaign, unit, _DRAWN_EACH * unit.size, counted) if known else None
    other = changes.fingerprint(campaign, unit)
    events += [event for event in (grown, moved, other) if event is not None]
    base, in_cells, own = seen.after(campaign, unit)
    level = sources if grown else (0 if sources * 2 <= campaign.level else campaign.level)
    after = replace(
        campaign,
        last=day.start,
        active_days=campaign.active_days + 1,
        state=ACTIVE,
        quiet=0,
        longest=max(campaign.longest, campaign.quiet),
        sway=0.8 * campaign.sway + 0.2 * distance,
        level=level,
        klass=unit.klass,
        label=unit.label or (campaign.label if unit.klass == campaign.klass else ""),
        size=unit.size,
        ports=unit.ports if moved else _average(campaign.ports, unit.ports),
        hours=unit.hours,
        networks=unit.networks,
        block=unit.block,
        sample=unit.sample,
        ever=np.union1d(campaign.ever, unit.sample)[:SAMPLE],
        ring=_rung(campaign.ring, day, unit),
        acted=campaign.acted or other is not None or (moved is not None and seen.is_narrow(campaign, unit)),
        seen=in_cells if day.one_in == 1 else -1,
        own=own,
        base=base,
    )
    return Told(after, campaign, unit, tuple(events), score)


def _quiet(campaign: Campaign, day: Day, death_days: int) -> Told | None:
    """A day without the campaign; None once it is to be forgotten."""
    share = float(campaign.hours[day.observed].sum() / max(campaign.hours.sum(), 1e-9))
    blind = share < 0.5 or (day.one_in > 1 and campaign.size < _LEAST_EXPECTED * day.one_in)
    if blind:
        return Told(campaign, campaign, None, ())
    if day.one_in == 1 and not seen.is_gone(campaign, day.today, day.share):
        # As many ask for its ports as before: it is there, but was not told apart today.
        if day.start - campaign.last > changes.FORGET * DAY_NS:
            return None
        return Told(campaign, campaign, None, ())
    quiet = campaign.quiet + 1
    if quiet > changes.FORGET:
        return None
    after = replace(campaign, quiet=quiet, state=campaign.state if campaign.state == DEAD else QUIET)
    events = []
    since = _date(campaign.last)
    if campaign.state != DEAD and quiet == changes.death_after(campaign, death_days):
        after = replace(after, state=DEAD)
        events.append(Event(DEATH, f"dead: last seen on {since}, not seen on {quiet} observed days since"))
    elif campaign.state != DEAD and quiet == changes.pause_after(campaign) and changes.is_expected(campaign):
        events.append(Event(PAUSE, f"quiet since {since}, its last active day"))
    return Told(after, campaign, None, tuple(events))


def _born(unit: Unit, day: Day, first: bool, names: set[str]) -> Campaign:
    text = f"{day.start}|{unit.klass}|{unit.label}|{unit.ports[0].tolist()}|{unit.sample[:4].tolist()}"
    name = ""
    salt = 0
    while not name or name in names:
        name = "cp-" + hashlib.blake2b(f"{text}|{salt}".encode(), digest_size=4).hexdigest()
        salt += 1
    ring = _rung(np.zeros((RING, COURSE), np.int64), day, unit)
    born = Campaign(
        name, day.start, day.start, 1, first, ACTIVE, 0, 0, 0.05, 0, unit.klass, unit.label, unit.size, unit.ports,
        unit.hours, unit.networks, unit.block, unit.sample, unit.sample, ring, acted=not first,
    )  # fmt: skip
    base, in_cells, own = seen.after(born, unit)
    return replace(born, base=base, seen=in_cells if day.one_in == 1 else -1, own=own)


def _rung(ring: np.ndarray, day: Day, unit: Unit) -> np.ndarray:
    row = [day.start // DAY_NS, unit.packets * day.one_in, unit.size * day.one_in, unit.each]
    return np.concatenate([ring[1:], [row]]).astype(np.int64)


def _average(
    before: tuple[np.ndarray, np.ndarray], now: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    codes = np.union1d(before[0], now[0])
    mix = np.zeros(len(codes))
    mix[np.searchsorted(codes, before[0])] += (1 - _AVERAGING) * before[1]
    mix[np.searchsorted(codes, now[0])] += _AVERAGING * now[1]
    kept = mix >= 1e-3
    if not kept.any():
        kept[:] = True
    shares = mix.sum()
    codes, mix = top(codes[kept], mix[kept], 2 * MOST_PORTS)
    return codes, mix * min(shares, 1.0)


def _split_from(
    unit: Unit,
    past: Sequence[Campaign],
    units: Sequence[Unit],
    pairs: dict[int, int],
    scores: dict[tuple[int, int], Score],
    n: int,
) -> tuple[str, ...]:
    """Campaigns that a birth may come from: they went on in another unit, but many of its sources were theirs, or it
    would have been taken for them."""
    out = []
    for i, campaign in enumerate(past):
        score = scores.get((i, n))
        if score is None:
            continue
        _, share = overlap(campaign.sample, unit.sample, campaign.size, unit.size)
        if share >= 0.2:
            out.append(
                f"may have split from {campaign.name}: {100 * share:.0f} % of the smaller's sources in common"
            )
        elif score.accepted and i in pairs:
            out.append(f"like {campaign.name} (evidence {score.total:.1f}), which another group fits better")
        elif (
            i not in pairs and campaign.quiet <= 1 and (campaign.klass == unit.klass or score.likeness >= 0.6)
        ):
            out.append(
                f"may continue {campaign.name}, quiet now: evidence {score.total:.1f} nats, which is not enough"
            )
    return tuple(out[:5])


def _gone_into(
    campaign: Campaign, past: Sequence[Campaign], units: Sequence[Unit], pairs: dict[int, int]
) -> tuple[str, ...]:
    if campaign.quiet:
        return ()
    out = []
    for i, j in sorted(pairs.items()):
        _, share = overlap(campaign.sample, units[j].sample, campaign.size, units[j].size)
        if share >= 0.2:
            near = likeness(campaign.ports, units[j].ports)
            out.append(
                f"may have gone into {past[i].name}: {100 * share:.0f} % of sources, ports alike {near:.2f}"
            )
    return tuple(out[:5])


def _volume(unit: Unit, day: Day) -> str:
    return f"{unit.size * day.one_in:,} sources, {unit.packets * day.one_in:,} packets on its first day"


def _date(ns: int) -> str:
    return str(np.datetime64(ns, "ns").astype("datetime64[D]"))
