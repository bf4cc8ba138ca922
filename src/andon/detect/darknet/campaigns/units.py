"""Units: groups of sources that act alike on one day, whoever they are. What is tracked from day to day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from andon.detect.darknet.campaigns.mixture import (
    LEAST_KNOWN,
    Background,
    Class,
    Group,
)
from andon.detect.darknet.campaigns.profile import Profiles, kind_of
from andon.detect.darknet.campaigns.separate import separate
from andon.detect.darknet.campaigns.usual import Today, Usual, cells_of, keys_of
from andon.sketch.asks import KIND_ICMP
from andon.sketch.hashing import mix64_array

MOST_CLASSES = 400  # of a day; the largest
MOST_PORTS = 48  # kept of a mix
OTHERS = 65536  # in a mix: all ports that are not told one by one
_LEAST_SHARE = 0.005
MOST_NETWORKS = 48
SAMPLE = 256  # addresses kept of a unit, those with the lowest hashes
_SMOOTH = 0.5
_NONE = 5.0  # and of so few nothing at all
_ECHO = 8
_FEW = 20.0  # a background of so few sources says little of what it does not show
_ONE_TARGET = 0.5  # a unit with so much aimed at one dark address is a flood, not a campaign
_LEAST_TARGETS = 16
_MOSTLY = 0.5  # of a class explained: it is no background


@dataclass(frozen=True)
class Unit:
    """A group of a day. Mixes are (codes ascending, shares that sum to one at most); ``sources`` are rows of the
    profiles. ``known``: the campaign it was continued from, -1 for none."""

    klass: int
    sources: np.ndarray
    packets: int
    each: int  # median packets of a source
    ports: tuple[np.ndarray, np.ndarray]
    hours: np.ndarray  # float64[24], sources active in each hour
    networks: tuple[np.ndarray, np.ndarray]  # /16
    label: str
    label_share: float
    block: int  # /24 that holds most of them, or -1
    sample: np.ndarray  # uint64, hashes of addresses
    common: float  # share of the day's other sources that have the same header class
    surprise: float  # nats a port says: mean of -log of its share in the background
    known: int = -1
    novel: bool = True  # new in time as well, by what is usual
    # By which it can be seen without being told apart (``usual.keys_of``), and in each such cell: its own sources, all
    # sources of the day, and what is usual of a whole day. Empty: nothing is known of it.
    keys: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    own: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    seen: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    usual: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @property
    def size(self) -> int:
        return len(self.sources)


@dataclass(frozen=True)
class Start:
    """A campaign as the start of a fit: its number, ports, label, /24."""

    number: int
    ports: tuple[np.ndarray, np.ndarray]
    label: str
    block: int


@dataclass(frozen=True)
class Units:
    """``today``: sources of the day by cell."""

    units: list[Unit]
    classes_left_out: int
    floods: int
    today: Today | None = None


def find(
    day: Profiles, starts: Mapping[int, Sequence[Start]], least: int, salt: int, past: Usual, observed: float
) -> Units:
    """The units of a day. ``starts``: known campaigns by header class; ``least``: sources of a new unit;
    ``past``: what is usual; ``observed``: share of the day with traffic."""
    number_of = {name: n for n, name in enumerate(day.labels)}
    hashes = mix64_array(day.address.astype(np.uint64), np.uint64(salt))
    floods, aimed = _floods(day)
    everyone = int((~aimed).sum())
    order = np.argsort(day.klass, kind="stable")
    order = order[~aimed[order] & (day.klass[order] >= 0)]
    klass, begin, count = np.unique(day.klass[order], return_index=True, return_counts=True)
    worth = (count >= least) | ((count >= LEAST_KNOWN) & np.isin(klass, np.array(list(starts), np.int64)))
    chosen = np.flatnonzero(worth)
    chosen = np.sort(chosen[np.lexsort((klass[chosen], -count[chosen]))][:MOST_CLASSES])
    left_out = int(worth.sum()) - len(chosen)
    rows_of = [order[begin[c] : begin[c] + count[c]] for c in chosen]
    kinds = np.array([kind_of(int(k)) for k in klass], np.int64)
    kind = np.full(len(day), -1, np.int64)
    kind[order] = np.repeat(kinds, count)
    background = ~aimed
    found: list[_Fitted] = []
    # Twice: classes that the first pass explains are no part of the background of the second.
    for last in (False, True):
        before, found = found, []
        shares = {k: _Shares(day, (kind == k) & background, rows_of) for k in set(kinds[chosen].tolist())}
        for n, (c, rows) in enumerate(zip(chosen.tolist(), rows_of, strict=True)):
            members = _class(day, rows, hashes)
            usual = shares[int(kinds[c])].without(
                members, background[rows], n, past.seen(int(klass[c]), members.codes)
            )
            if kinds[c] == KIND_ICMP:  # an echo request is what everybody sends: it sets nobody apart
                usual.mix[members.codes == _ECHO] = usual.seen[members.codes == _ECHO] = 0.9
            begin_with = [_group(start, members, number_of) for start in starts.get(int(klass[c]), ())]
            if last:
                fitted = before[n].groups
                standing = {group.known for group in fitted}
                begin_with = fitted + [group for group in begin_with if group.known not in standing]
            of, groups = separate(members, usual, begin_with, least)
            found.append(_Fitted(int(klass[c]), rows, members, usual, groups, of))
        rest = background.copy()
        for fit in found:
            if (fit.of >= 0).sum() > _MOSTLY * len(fit.rows):
                rest[fit.rows[fit.of >= 0]] = False
        for k in set(kinds[chosen].tolist()):
            if (rest & (kind == k)).sum() >= _FEW:  # what explains all explains nothing
                background[kind == k] = rest[kind == k]
    units: list[Unit] = []
    today = Today.of_day(day, observed)
    for fit in found:
        for k, group in enumerate(fit.groups):
            mine = fit.rows[fit.of == k]
            if len(mine) < (LEAST_KNOWN if group.known >= 0 else least):
                continue
            if _flood(day.targets[mine]):
                floods += 1
                continue
            common = (len(fit.rows) - len(mine) + 1) / (everyone - len(mine) + 1)
            unit = _unit(day, fit, mine, group.known, common, hashes)
            keys = keys_of(fit.klass, unit.ports, unit.block)
            cells, own = cells_of(day, mine)
            at = np.minimum(np.searchsorted(cells, keys), len(cells) - 1)
            units.append(
                replace(
                    unit,
                    novel=today.is_novel(past, day, fit.klass, mine),
                    keys=keys,
                    own=np.where(cells[at] == keys, own[at], 0),
                    seen=today.of(keys),
                    usual=past.of(keys),
                )
            )
    return Units(units, left_out, floods, today)


@dataclass(frozen=True)
class _Fitted:
    klass: int
    rows: np.ndarray
    members: Class
    background: Background
    groups: list[Group]
    of: np.ndarray


class _Shares:
    """Counts over background sources of one kind, from which a class's own are taken away. A class of n sources counts
    as the square root of n, so that no one class, a flood or a large botnet, is all the background there is."""

    def __init__(self, day: Profiles, which: np.ndarray, rows_of: Sequence[np.ndarray]) -> None:
        weight = np.where(which, 1.0, 0.0)
        self.of_class = np.zeros(len(rows_of))
        for n, rows in enumerate(rows_of):
            self.of_class[n] = 1.0 / max(float(which[rows].sum()), 1.0) ** 0.5
            weight[rows] *= self.of_class[n]
        self.sources = float(weight.sum())
        self.packets, self.seen = _counts(day.ports, weight, 65536)
        self.labels = np.bincount(day.label, weight, minlength=len(day.labels))
        self.drawn = float(self.packets.sum())

    def without(
        self, members: Class, counted: np.ndarray, number: int, past: np.ndarray | None
    ) -> Background:
        """The background of a class: all others; ``counted`` says which of its own sources are among these counts.
        Where there are too few others the class's own days before (``past``: share of sources by port) take their
        place, and without these nothing is unusual."""
        own = counted * self.of_class[number]
        packets, seen = _counts(members.ports, own, len(members.codes))
        labels = np.bincount(members.label, own, minlength=len(self.labels))
        codes = members.codes
        outside = self.sources - float(own.sum())
        drawn = self.drawn - float(packets.sum())
        mix = (np.maximum(self.packets[codes] - packets, 0) + _SMOOTH) / (drawn + _SMOOTH * 1000)
        showing = (np.maximum(self.seen[codes] - seen, 0) + _SMOOTH) / (outside + _FEW)
        label = (np.maximum(self.labels - labels, 0) + _SMOOTH) / (outside + _FEW)
        label[0] = max(1.0 - float(label[1:].sum()), 0.05)
        if outside < _NONE and past is None:
            showing[:] = 1.0
        elif outside < _NONE and past is not None:
            showing, mix = past, np.maximum(past / max(float(past.sum()), 1.0), 1e-6)
        return Background(np.minimum(mix, 1.0), np.minimum(showing, 1.0), np.minimum(label, 1.0))


def _counts(ports: np.ndarray, weight: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """(packets drawn, sources showing) by port, weighted by source."""
    part = np.sort(ports, axis=1)
    there = part >= 0
    fresh = there.copy()
    fresh[:, 1:] &= part[:, 1:] != part[:, :-1]
    each = np.broadcast_to(weight[:, None], part.shape)
    return (
        np.bincount(part[there], each[there], minlength=size),
        np.bincount(part[fresh], each[fresh], minlength=size),
    )


def _floods(day: Profiles) -> tuple[int, np.ndarray]:
    """(floods, which sources take part): classes most of whose packets go to one port of one dark address."""
    aimed = np.zeros(len(day), np.bool_)
    floods = 0
    pair = np.where(day.ports >= 0, day.ports.astype(np.int64) << 10 | day.targets, -1)
    order = np.argsort(day.klass, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(day.klass[order])) + 1):
        if len(rows) * pair.shape[1] < _LEAST_TARGETS:
            continue
        mine = pair[rows]
        value, times = np.unique(mine[mine >= 0], return_counts=True)
        if len(value) and times.max() >= _LEAST_TARGETS and times.max() > _ONE_TARGET * times.sum():
            aimed[rows[(mine == value[times.argmax()]).any(axis=1)]] = True
            floods += 1
    return floods, aimed


def _class(day: Profiles, rows: np.ndarray, hashes: np.ndarray) -> Class:
    ports = day.ports[rows]
    codes, back = np.unique(ports[ports >= 0], return_inverse=True)
    local = np.full(ports.shape, -1, np.int64)
    local[ports >= 0] = back
    return Class(
        codes,
        local,
        day.label[rows],
        (day.address[rows] >> np.uint32(8)).astype(np.int64),
        np.argsort(hashes[rows]),
    )


def _group(start: Start, members: Class, number_of: Mapping[str, int]) -> Group:
    codes, shares = start.ports
    mix = np.full(len(members.codes), 1e-6)
    at = np.minimum(np.searchsorted(members.codes, codes), max(len(members.codes) - 1, 0))
    there = members.codes[at] == codes if len(members.codes) else np.zeros(len(codes), np.bool_)
    mix[at[there]] += shares[there]
    prior = mix / max(mix.sum(), float(shares.sum()), 1e-9)
    label = number_of.get(start.label, 0)
    others = float(shares[codes == OTHERS].sum())
    return Group(
        prior.copy(),
        prior,
        label,
        start.block,
        start.number,
        leak=max(0.02, others),
        label_share=0.9 * bool(label),
    )


def _flood(targets: np.ndarray) -> bool:
    """Whether most of what was drawn went to one dark address."""
    hit = targets[targets >= 0]
    return len(hit) >= _LEAST_TARGETS and np.bincount(hit).max() > _ONE_TARGET * len(hit)


def mix_of(drawn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Port mix of drawn packets: ports drawn twice or more with a share of half a percent or more, and ``OTHERS`` for
    the rest, so that two draws from one long list of ports are alike."""
    codes, times = np.unique(drawn, return_counts=True)
    told = (times >= 2) & (times >= _LEAST_SHARE * len(drawn))
    if len(codes) <= 3:
        told[:] = True
    best = np.sort(np.flatnonzero(told)[np.lexsort((codes[told], -times[told]))][: MOST_PORTS - 1])
    shares = times[best] / max(len(drawn), 1)
    rest = 1.0 - float(shares.sum())
    if rest > 1e-9 or not len(best):
        return np.append(codes[best], OTHERS).astype(np.int64), np.append(shares, rest)
    return codes[best].astype(np.int64), shares


def top(codes: np.ndarray, weights: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """The heaviest codes in ascending order with their shares of the whole."""
    total = max(float(weights.sum()), 1e-9)
    best = np.sort(np.lexsort((codes, -weights))[:most])
    return codes[best].astype(np.int64), weights[best] / total


def describe(
    day: Profiles, klass: int, mine: np.ndarray, hashes: np.ndarray, common: float, known: int
) -> Unit:
    """A unit from its sources, without its surprise."""
    drawn = day.ports[mine]
    bits = (day.hours[mine][:, None] >> np.arange(24, dtype=np.uint32)) & 1
    networks, in_network = np.unique(day.address[mine] >> np.uint32(16), return_counts=True)
    blocks, in_block = np.unique(day.address[mine] >> np.uint32(8), return_counts=True)
    most = int(in_block.argmax())
    labels = np.bincount(day.label[mine], minlength=len(day.labels))
    labels[0] = 0
    best = int(labels.argmax())
    named = labels[best] >= 0.5 * len(mine)
    return Unit(
        klass,
        mine,
        int(day.packets[mine].sum()),
        int(np.median(day.packets[mine])),
        mix_of(drawn[drawn >= 0]),
        bits.sum(axis=0).astype(float),
        top(networks, in_network.astype(float), MOST_NETWORKS),
        day.labels[best] if named else "",
        float(labels[best]) / len(mine) if named else 0.0,
        int(blocks[most]) if in_block[most] >= 0.6 * len(mine) else -1,
        np.sort(hashes[mine])[:SAMPLE],
        common,
        0.0,
        known,
    )


def _unit(
    day: Profiles, fit: _Fitted, mine: np.ndarray, known: int, common: float, hashes: np.ndarray
) -> Unit:
    unit = describe(day, fit.klass, mine, hashes, common, known)
    codes, shares = unit.ports
    told = codes != OTHERS
    chance = fit.background.mix[np.searchsorted(fit.members.codes, codes[told])]
    rest = -np.log(max(1.0 - float(chance.sum()), 1e-3)) if not told.all() else 0.0
    surprise = float((shares[told] * -np.log(chance)).sum() + (1.0 - shares[told].sum()) * rest)
    return replace(unit, surprise=surprise)
