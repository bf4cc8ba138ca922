"""Which items are one case: same host, without a pause of 30 minutes, alerts of at most four hours.

The bound matters (research on AIT-ADS): a chatty host would otherwise have one case a day, in which any attack is
"found". A finding's window can be a day, so it joins what it overlaps and stretches nothing; and while a case is open,
the same thing told again (same series) goes on in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from andon.records.case import CASE_GAP, LONGEST_CASE
from andon.records.triage import TIERS
from andon.triage.cases.items import EPISODE, FINDING, Item

_K = TypeVar("_K")


def case_id(item: Item) -> str:
    """Name of the case that an item opens, the same in every run: 24 hex digits."""
    text = "\x1f".join(("case", item.kind, item.id, item.host[1]))
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest()


@dataclass
class OpenCase:
    """A case that items can join. ``alerts``: of its episodes the earliest begin, the latest begin and the latest end;
    None without any."""

    id: str
    site: str
    host: tuple[str, str]
    names: frozenset[str]
    first: int
    last: int
    alerts: tuple[int, int, int] | None = None
    series: set[str] = field(default_factory=set)
    items: set[tuple[str, str]] = field(default_factory=set)
    tier: str = ""

    def to_dict(self) -> dict[str, Any]:
        """What a case in the casebook does not say by itself."""
        return {"names": sorted(self.names), "alerts": self.alerts, "series": sorted(self.series)}

    def take(self, item: Item) -> None:
        self.items.add(item.key)
        self.names |= item.names
        self.site = self.site or item.site
        if item.series:
            self.series.add(item.series)
        self.tier = min(filter(None, (self.tier, item.tier)), key=TIERS.index, default="")
        if item.kind == EPISODE:
            begin, newest, end = self.alerts or (item.first, item.first, item.last)
            self.alerts = min(begin, item.first), max(newest, item.first), max(end, item.last)
            self.first, self.last = min(self.first, item.first), max(self.last, item.last)
        elif self.alerts is None:
            self.first, self.last = min(self.first, item.first), max(self.last, item.last)

    def fits(self, item: Item) -> bool:
        """May an item of this host join?"""
        if item.kind == FINDING:
            return item.first <= self.last + CASE_GAP and item.last >= self.first - CASE_GAP
        if self.alerts is None:
            return self.first - CASE_GAP <= item.first <= self.last + CASE_GAP
        begin, newest, end = self.alerts
        near = begin - CASE_GAP <= item.first <= end + CASE_GAP
        return near and max(newest, item.first) - min(begin, item.first) <= LONGEST_CASE


class Grouping:
    """The cases that are open, and where items go. One pass in the order of time gives the same cases in every run."""

    def __init__(self, cases: Iterable[OpenCase] = ()) -> None:
        self.cases: dict[str, OpenCase] = {}
        self._by_name: dict[str, list[str]] = {}
        self._by_item: dict[tuple[str, str], list[str]] = {}
        for case in cases:
            self._add(case)

    def follow(self, case: OpenCase | None, id: str) -> None:
        """Somebody else changed the case ``id``: it is ``case`` now, or (None) it is not open any more."""
        old = self.cases.pop(id, None)
        if old is not None:
            _drop(self._by_name, old.names, id)
            _drop(self._by_item, old.items, id)
        if case is not None:
            self._add(case)

    def put(self, items: Sequence[Item]) -> dict[str, list[Item]]:
        """Case id -> its new or changed items, for every case that is touched. What opens cases goes first, so that
        what only joins one finds it whichever came earlier."""
        touched: dict[str, list[Item]] = {}
        order = sorted(items, key=lambda one: (one.first, one.last, one.kind, one.id, one.host))
        for item in sorted(order, key=lambda one: not one.opens):
            case = self._find(item)
            if case is None:
                if not item.opens:
                    continue
                case = OpenCase(case_id(item), item.site, item.host, item.names, item.first, item.last)
                self._add(case)
            case.take(item)
            self._index(case, item.names, (item.key,))
            touched.setdefault(case.id, []).append(item)
        return touched

    def _find(self, item: Item) -> OpenCase | None:
        mine = [self.cases[name] for name in self._by_item.get(item.key, ())]
        mine = [case for case in mine if case.names & item.names]
        if mine:
            return mine[0]
        around = dict.fromkeys(name for host in sorted(item.names) for name in self._by_name.get(host, ()))
        near = [self.cases[name] for name in around]
        near = [case for case in near if not case.site or not item.site or case.site == item.site]
        going_on = [case for case in near if item.series and item.series in case.series]
        fitting = [case for case in going_on or near if going_on or case.fits(item)]
        # Rather a case that is worth a look than one in passing, rather the newest.
        return min(fitting, key=lambda c: (TIERS.index(c.tier or TIERS[-1]), -c.last, c.id), default=None)

    def _add(self, case: OpenCase) -> None:
        self.cases[case.id] = case
        self._index(case, case.names, case.items)

    def _index(self, case: OpenCase, names: Iterable[str], keys: Iterable[tuple[str, str]]) -> None:
        held = [self._by_name.setdefault(name, []) for name in names]
        for ids in (*held, *(self._by_item.setdefault(key, []) for key in keys)):
            if case.id not in ids:
                ids.append(case.id)


def _drop(index: dict[_K, list[str]], keys: Iterable[_K], id: str) -> None:
    """Nothing stays of a key whose last case went: there are new hosts and items every day."""
    for key in keys:
        held = index.get(key, [])
        if id in held:
            held.remove(id)
            if not held:
                del index[key]
