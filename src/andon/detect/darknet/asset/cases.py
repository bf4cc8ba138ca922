"""From episodes to suspicions: which system, or which address, with which family, and how sure.

An episode is laid upon the leases: its first and last moment are sightings for certain. Where exactly one system had
the address at both, the episode is that system's; where none or several had it, it is the address's.

That a lease covers a sighting is not enough. Where addresses move, another device may have the address at the same time
(leases of others are on nobody's list), so two things are asked: does the mark follow the system to its next address?
And is it at the address also when the system is not? On a simulated 21 days (769 pairs of a listed system and a
fingerprint, leases of half a day to static) all 424 that followed were infected; of those that stayed, 0.33 were right
where the address showed the mark without the system, and 0.97 of those with three sightings or more and none without.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from andon.detect.darknet.asset.gather import FAMILY
from andon.detect.darknet.asset.groups import distinct, grouped, largest, marked, total, within
from andon.detect.darknet.asset.holders import SEVERAL, Holders
from andon.detect.darknet.asset.meaning import Family, Meaning
from andon.detect.darknet.asset.seen import SESSION, Seen, unmark
from andon.records import joint

DEVICE, ADDRESS = "device", "address"
AROUND: Final = 86_400 * 10**9  # ns around a lease in which the mark without the system counts against it
SHARED: Final = 3  # fingerprints within a day behind one address, from which on many are behind it
MOST: Final = 100_000  # cases
_NONE: Final = np.zeros(0, np.int64)


@dataclass
class Case:
    """``asset``: number of the system (DEVICE) or -1; ``rows``: its episodes in ``Seen``, ascending."""

    level: str
    asset: int
    address: int  # the newest one
    family: str
    rows: np.ndarray = field(default_factory=lambda: _NONE)
    leases: tuple[int, ...] = ()
    without: int = 0  # sightings at its addresses while it did not hold them
    shared: int = 0  # most systems or fingerprints behind the address within a day
    several: bool = (
        False  # leases of several systems cover its first or its last moment at the newest address
    )
    ports_alone: bool = False  # nothing but sets of ports tells of it
    alternatives: tuple[str, ...] = ()  # other families with the same marks
    addresses: tuple[int, ...] = ()
    marks: tuple[str, ...] = ()
    first: int = 0
    last: int = 0
    packets: int = 0
    sessions: int = 0
    days: int = 0
    probability: float = 0.0

    @property
    def followed(self) -> bool:
        """The mark came with the system to another address (or to a new lease)."""
        return len(self.leases) > 1


class _Rows:
    """Episodes whose mark tells of a family: columns, and what the leases say of them."""

    def __init__(self, seen: Seen, holders: Holders, meaning: Meaning) -> None:
        named = _families(seen, meaning)
        self.families = sorted(set(named.values()))
        number = {name: n for n, name in enumerate(self.families)}
        of_mark = np.full(max(len(seen.marks), 1), -1, np.int64)
        for mark, name in named.items():
            of_mark[mark] = number[name]
        ports = np.array([unmark(text)[0] == joint.MARK_PORT_SET for text in seen.marks] or [False], np.bool_)
        self.row = np.flatnonzero(of_mark[seen.mark] >= 0) if len(seen) else _NONE
        self.mark = seen.mark[self.row].astype(np.int64)
        self.family, self.ports = of_mark[self.mark], ports[self.mark]
        self.address = seen.address[self.row].astype(np.int64)
        self.first, self.last, self.packets = (c[self.row] for c in (seen.first, seen.last, seen.packets))
        self.talk = seen.kind[self.row] == SESSION
        begin_who, self.begin_lease = holders.at(self.address, self.first)
        end_who, self.end_lease = holders.at(self.address, self.last)
        self.who = np.where((begin_who == end_who) & (begin_who >= 0), begin_who, -1)
        self.leased = (begin_who >= 0) | (end_who >= 0) | (begin_who == SEVERAL) | (end_who == SEVERAL)
        several = (begin_who == SEVERAL) | (end_who == SEVERAL)
        self.shared = np.maximum(_crowds(seen, self.address), 2 * several)

    def __len__(self) -> int:
        return len(self.row)

    def dark(self, group: np.ndarray, count: int, of: np.ndarray | slice) -> np.ndarray:
        """Sightings in the darknet of each group; ``of``: the rows that ``group`` numbers."""
        return total(group, count, np.where(self.talk[of], 0, self.packets[of]))

    def sessions(self, group: np.ndarray, count: int, of: np.ndarray | slice) -> np.ndarray:
        """Sessions of each group: one may have left several marks."""
        talk = self.talk[of]
        return distinct(group[talk], count, self.address[of][talk], self.first[of][talk])


class _Devices:
    """Groups of episodes of one system and family; ``owner``: each row's group, -1 if it is nobody's for sure."""

    def __init__(self, rows: _Rows, holders: Holders, least: int) -> None:
        mine = np.flatnonzero(rows.who >= 0)
        group, one = grouped(rows.who[mine], rows.family[mine])
        count = len(one)
        family = rows.family[mine][one]
        twice = np.concatenate([group, group])
        lease = np.concatenate([rows.begin_lease[mine], rows.end_lease[mine]])
        _, each = grouped(twice, lease)
        self._group, self._lease = twice[each], lease[each]
        self._bound = np.searchsorted(self._group, np.arange(count + 1))
        owner = np.full(len(rows), -1, np.int64)
        owner[mine] = group
        self.without = self._without(rows, holders, owner, family, count)
        seen = rows.dark(group, count, mine) + rows.sessions(group, count, mine)
        followed = np.diff(self._bound) > 1
        good = (followed & (self.without < seen)) | ((self.without == 0) & (seen >= least))
        # Of a system that cannot be sure of it, all addresses are as doubtful as the most crowded one.
        shared = largest(group, count, rows.shared[mine])
        self.shared = rows.shared.copy()
        self.shared[mine] = np.where(good[group], rows.shared[mine], shared[group])
        self.owner = np.where((owner >= 0) & good[owner], owner, -1) if count else owner

    def leases(self, device: int) -> tuple[int, ...]:
        return tuple(self._lease[self._bound[device] : self._bound[device + 1]].tolist())

    def _without(
        self, rows: _Rows, holders: Holders, owner: np.ndarray, family: np.ndarray, count: int
    ) -> np.ndarray:
        """How often its family was at its addresses within a day of its lease but without it."""
        key = rows.address * len(rows.families) + rows.family
        order = np.argsort(key, kind="stable")
        begin, end = holders.lease_begin[self._lease], holders.lease_end[self._lease]
        wanted = holders.lease_address[self._lease] * len(rows.families) + family[self._group]
        found = np.zeros(count, np.int64)
        for pair, place in within(key[order], wanted):
            row = order[place]
            first, last, opens, ends = rows.first[row], rows.last[row], begin[pair], end[pair]
            before = (np.maximum(opens - AROUND, 0) <= first) & (first < opens)
            after = (last > ends) & ((first <= ends) | (first - ends <= AROUND))
            good = (owner[row] != self._group[pair]) & (before | after)
            found += total(self._group[pair[good]], count, rows.packets[row[good]])
        return found


def cases(seen: Seen, holders: Holders, meaning: Meaning, least: int) -> list[Case]:
    """All suspicions that the episodes give, most probable first, at most ``MOST``. ``least``: sightings in the darknet
    that are asked for where no honeypot has seen it."""
    rows = _Rows(seen, holders, meaning)
    if not len(rows):
        return []
    devices = _Devices(rows, holders, least)
    who = np.where(devices.owner >= 0, rows.who, -1)
    place = np.where(devices.owner >= 0, 0, rows.address)
    group, one = grouped(who, place, rows.family)
    count, every = len(one), slice(None)
    packets, sessions = rows.dark(group, count, every), rows.sessions(group, count, every)
    ports_alone = ~marked(group, count, ~rows.ports)
    # An address that was on lease last week and is nobody's now is no concern of the list's owner.
    good = (who[one] >= 0) | marked(group, count, rows.leased)
    good[~good] = holders.claimed(place[one][~good])
    good, alternatives = _one_story(
        good, grouped(who[one], place[one])[0], ports_alone, packets, rows.family[one], rows.families
    )
    good &= (sessions > 0) | (packets >= least)
    parts = _Parts(rows, group, good)
    shared, days = largest(group, count, devices.shared), distinct(group, count, rows.first // AROUND)
    found = []
    for n in np.flatnonzero(good).tolist():
        device = int(devices.owner[one[n]])
        row, addresses, marks = parts.of(n)
        found.append(
            Case(
                DEVICE if device >= 0 else ADDRESS, int(who[one[n]]), addresses[0],
                rows.families[rows.family[one[n]]], row,
                leases=devices.leases(device) if device >= 0 else (),
                without=int(devices.without[device]) if device >= 0 else 0,
                shared=int(shared[n]), ports_alone=bool(ports_alone[n]), alternatives=alternatives.get(n, ()),
                addresses=addresses, marks=tuple(sorted(seen.marks[mark] for mark in marks)),
                first=int(seen.first[row].min()), last=int(seen.last[row].max()),
                packets=int(packets[n]), sessions=int(sessions[n]), days=int(days[n]),
            )
        )  # fmt: skip
    _several(found, holders)
    for case in found:
        case.probability = probability(case, meaning.named(case.family))
    found.sort(key=lambda case: (-case.probability, -case.packets, case.asset, case.address, case.family))
    return found[:MOST]


def _families(seen: Seen, meaning: Meaning) -> dict[int, str]:
    """Number of a mark -> the family it tells of. Of several with one mark the most probable stands for all."""
    found: dict[int, str] = {}
    for number, text in enumerate(seen.marks):
        families = meaning.of(text)
        kind, value = unmark(text)
        if families:
            found[number] = families[0].name
        elif kind == FAMILY:
            found[number] = meaning.named(value).name
    return found


def _crowds(seen: Seen, addresses: np.ndarray) -> np.ndarray:
    """Of each address: most distinct fingerprints within one day, where there are two or more; else 0."""
    prints = np.array([unmark(text)[0] == joint.MARK_FINGERPRINT for text in seen.marks] or [False], np.bool_)
    rows = np.flatnonzero(prints[seen.mark]) if len(seen) else _NONE
    day, one = grouped(seen.address[rows], seen.first[rows] // AROUND)
    count = distinct(day, len(one), seen.mark[rows])
    address = seen.address[rows[one]].astype(np.int64)
    known, place = np.unique(address[count > 1], return_inverse=True)
    if not len(known):
        return np.zeros(len(addresses), np.int64)
    most = largest(place, len(known), count[count > 1])
    at = np.minimum(np.searchsorted(known, addresses), len(known) - 1)
    return np.where(known[at] == addresses, most[at], 0)


class _Parts:
    """Rows, addresses (newest first) and marks of each group that is told of."""

    def __init__(self, rows: _Rows, group: np.ndarray, good: np.ndarray) -> None:
        wanted = np.flatnonzero(good[group])
        mine, count = group[wanted], np.arange(len(good) + 1)
        order = wanted[np.argsort(mine, kind="stable")]
        self._row, self._bound = rows.row[order], np.searchsorted(group[order], count)
        newest = wanted[np.lexsort((rows.address[wanted], -rows.last[wanted], mine))]
        self._address = rows.address[newest]
        _, one = grouped(mine, rows.mark[wanted])
        self._mark, self._marks = rows.mark[wanted[one]], np.searchsorted(mine[one], count)

    def of(self, group: int) -> tuple[np.ndarray, tuple[int, ...], list[int]]:
        part = slice(self._bound[group], self._bound[group + 1])
        marks = self._mark[self._marks[group] : self._marks[group + 1]]
        return self._row[part], tuple(dict.fromkeys(self._address[part].tolist())), marks.tolist()


def _one_story(
    good: np.ndarray,
    story: np.ndarray,
    weak: np.ndarray,
    packets: np.ndarray,
    family: np.ndarray,
    names: list[str],
) -> tuple[np.ndarray, dict[int, tuple[str, ...]]]:
    """A set of ports alone (``weak``) tells less than a fingerprint or a honeypot: beside one of these, of the same
    system or address (``story``), it is the same story told by another family's ports. (What is left; the other
    families of those that are left.)"""
    strong = marked(story, int(story.max()) + 1, good & ~weak)
    left = good & ~weak
    others: dict[int, list[int]] = {}
    rest = np.flatnonzero(good & weak & ~strong[story])
    for n in rest[np.lexsort((family[rest], -packets[rest], story[rest]))].tolist():
        others.setdefault(int(story[n]), []).append(n)
    for first, *_ in others.values():
        left[first] = True
    return left, {first: tuple(names[family[n]] for n in more[:5]) for first, *more in others.values()}


def _several(found: list[Case], holders: Holders) -> None:
    address = np.array([case.address for case in found], np.int64)
    for times in ([case.first for case in found], [case.last for case in found]):
        who, _ = holders.at(address, np.array(times, np.int64))
        for case, one in zip(found, who.tolist(), strict=True):
            case.several |= one == SEVERAL


# Shares that were right on the simulated days (see the module's text), each with one success and one failure added.
_FOLLOWED: Final = 425 / 426
_STAYED: Final = 0.95
_TALKED: Final = 0.98
_OF_ADDRESS: Final = 0.97
_PORTS: Final = 0.75
_PORTS_OF_DEVICE: Final = 0.95
_FEW: Final = 0.8


def probability(case: Case, family: Family) -> float:
    """That the system (or whatever is behind the address) is infected with something that leaves these marks."""
    if case.level == DEVICE:
        own = _FOLLOWED if case.followed else _STAYED
        if case.without:
            own = min(own, 0.85)
    else:
        own = _OF_ADDRESS if case.packets >= 3 or case.sessions else _FEW
    if case.sessions and case.packets:
        own = max(own, _TALKED)
    if case.ports_alone:
        own *= _PORTS if case.level == ADDRESS else _PORTS_OF_DEVICE
    # That the marks are those of malware at all: a page or a link is that sure, a honeypot has seen it itself.
    sure = family.probability if not case.sessions else max(family.probability, _TALKED)
    return round(own * sure, 4)
