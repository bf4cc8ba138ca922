"""What is known of a campaign while it grows: members, what they offer to others, what speaks for the blocks around it.

The steps are those of ``grow``; what the evidence is worth, of ``evidence``. A thing is looked at once, when it joins.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import log
from typing import Final

import numpy as np

from andon.records.infrastructure import ADDRESS, FILE
from andon.triage.infrastructure.evidence import (
    logit,
    meeting_rate,
    opportunity,
    pivots,
    probability,
    profile,
)
from andon.triage.infrastructure.graph import FIRM, STRONG, Graph
from andon.triage.infrastructure.nodes import KIND, NEVER
from andon.triage.infrastructure.value import DESCRIPTIVE, FAMILY, IS_NAME
from andon.triage.infrastructure.walk import push

DAY: Final = 86_400 * 10**9
SLACK: Final = 30 * DAY  # longest gap between two tenants of an address that may still be one
ALPHA, EPSILON, PUSHES = 0.15, 1e-6, 50_000
WORK: Final = 30_000  # half-edges looked at in one growth
WIDEST: Final = 1_000  # half-edges of one thing
_FILE, _ADDRESS = KIND[FILE], KIND[ADDRESS]
_COMMON: Final = 5  # names in front of which a profile says something


@dataclass
class Offer:
    """A pivot that members offer: when they had it, and which of them first."""

    times: list[tuple[int, int]] = field(default_factory=list)
    by: int = -1
    half: int = -1  # the half-edge from ``by``
    holders: set[int] = field(default_factory=set)


def weights(graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    """(weight of each half-edge for the walk, volume of each entity); made once."""
    held = graph._cache.get("weights")
    if held is None:
        value = np.where(DESCRIPTIVE[graph.kinds], 0.0, graph.value)
        ends = np.repeat(np.arange(len(graph.kinds)), np.diff(graph.ptr))
        weight = graph.tie[graph.edge] * value[ends] * value[graph.other]
        held = weight, np.bincount(ends, weight, minlength=len(graph.kinds))
        graph._cache["weights"] = held
    return held  # type: ignore[return-value]


class Campaign:
    """What is known of the campaign while it grows; numbers are entities and half-edges."""

    def __init__(self, graph: Graph, seeds: list[int], at: int | None, threshold: float, most: int) -> None:
        self.graph, self.at, self.bar, self.most = graph, at, logit(threshold), most
        self.seed_nodes = seeds
        self.starts = list(dict.fromkeys(self._tenure(node) for node in seeds))
        self.odds: dict[int, float] = {}  # of the members
        self.parent: dict[int, tuple[int, int]] = {}  # member -> (from, half-edge)
        self.reason: dict[int, str] = {}  # member -> why its block joined
        self.offers: dict[int, Offer] = {}
        # block -> pivot -> (log-odds, family, half-edge from the pivot, entity reached)
        self.evidence: dict[int, dict[int, tuple[float, int, int, int]]] = {}
        self.heap: list[tuple[float, int]] = []
        self.names, self.meetings, self.weighed = 0, 0, 0
        if "names" not in graph._cache:
            graph._cache["names"] = max(int(IS_NAME[graph.kinds].sum()), 1)
        self.everybody = int(graph._cache["names"])  # type: ignore[call-overload]
        self.work = 0  # half-edges looked at
        self.news: set[int] = set()  # blocks to judge
        self.common: Counter[int] = Counter()
        self.seen_common: Counter[int] = Counter()
        self.hubs: dict[int, set[int]] = {}
        self.stopped = "nothing else reaches the threshold"
        self._blocks: dict[int, tuple[int, int, list[list[int]]]] = {}
        weight, volume = weights(graph)
        reached, score, pushes = push(
            graph.ptr, graph.other, weight, volume, np.array(self.starts, np.int64), ALPHA, EPSILON, PUSHES
        )
        self.score = dict(zip(reached.tolist(), score.tolist(), strict=True))
        if pushes >= PUSHES:
            self.stopped = f"nothing else within {PUSHES:,} steps of the walk reaches the threshold"

    def _tenure(self, node: int) -> int:
        """Which of the owners of a name is meant."""
        parts = self.graph.entities
        base, count = int(parts.of[node]), int(parts.tenures[parts.of[node]])
        if count == 1:
            return base
        if self.at is not None:
            begins = parts.begins[base : base + count]
            return base + int(np.flatnonzero(begins <= self.at).max(initial=0))
        malware, all_of = [], []
        for entity in range(base, base + count):
            a, b = self.graph.ptr[entity], self.graph.ptr[entity + 1]
            others = self.graph.other[a:b]
            malware.append(int((self.graph.kinds[others] == _FILE).sum()))
            all_of.append(float(self.graph.value[others].sum()))
        return base + max(range(count), key=lambda k: (malware[k], all_of[k], -k))

    def run(self) -> Campaign:
        """Let it grow until nothing else is likely enough; itself."""
        for entity in self.starts:
            if entity not in self.odds:
                self._join(entity, 30.0, "given")
        self._weigh()
        while self.heap or self._again():
            odds, block = heapq.heappop(self.heap)
            if block not in self.evidence:
                continue
            now = self.judge(block)
            if now < -odds - 1e-9:  # worse than when it was put there: others may be better
                if now >= self.bar:
                    heapq.heappush(self.heap, (-now, block))
                continue
            if now < self.bar:
                continue
            if len(self.odds) >= self.most:
                self.stopped = f"{self.most:,} members were reached"
                break
            self._take(block, now)
            self._weigh()
            if self.work > WORK:
                self.stopped = f"{WORK:,} ties were looked at"
                break
        return self

    def _weigh(self) -> None:
        """Judge the blocks of which something new was said."""
        for block in sorted(self.news):
            if block in self.evidence and (odds := self.judge(block)) >= self.bar:
                heapq.heappush(self.heap, (-odds, block))
        self.news.clear()

    def _again(self) -> bool:
        """Whether what has joined since makes another block likely enough: rate and profile have changed. Asked
        again only when a tenth has been added, so that a large campaign does not cost its square."""
        if len(self.odds) >= self.most or self.names < 1.1 * self.weighed:
            return False
        self.weighed = self.names
        self.heap = [(-odds, block) for block in self.evidence if (odds := self.judge(block)) >= self.bar]
        heapq.heapify(self.heap)
        return bool(self.heap)

    # What joins ---------------------------------------------------------------------------------------------------

    def _take(self, block: int, odds: float) -> None:
        """A block joins by its best pivot."""
        offers = self.evidence.pop(block)
        pivot, (_, _, half, entity) = max(offers.items(), key=lambda item: (item[1][0], -item[0]))
        names = [self.graph.label(key) for key in sorted(offers, key=lambda key: -offers[key][0])[:3]]
        more = f" and {len(offers) - 3} more" if len(offers) > 3 else ""
        why = f"meets the campaign at {', '.join(names)}{more}"
        if pivot != entity:
            offer = self.offers[pivot]
            if pivot not in self.odds:
                self.parent.setdefault(pivot, (offer.by, offer.half))
            self.parent[entity] = (pivot, half)
        else:
            self.parent[entity] = (int(self._source(half)), half)
        self._join(entity, odds, why)

    def _source(self, half: int) -> int:
        """The entity that a half-edge starts from."""
        return int(np.searchsorted(self.graph.ptr, half, side="right")) - 1

    def _join(self, entity: int, odds: float, why: str) -> None:
        """An entity and everything that strong pivots tie to it."""
        graph = self.graph
        waiting = [entity]
        self.odds[entity], self.reason[entity] = odds, why
        self.evidence.pop(int(graph.block[entity]), None)
        while waiting:
            e = waiting.pop(0)
            if graph.hub[e] or DESCRIPTIVE[graph.kinds[e]]:  # a seed alone can be one
                self.stopped = f"{self.graph.label(e)} is shared by too many to lead anywhere"
                continue
            name = bool(IS_NAME[graph.kinds[e]])
            self.names += name
            begin, end = int(graph.ptr[e]), int(graph.ptr[e + 1])
            end = min(end, begin + WIDEST)
            self.work += end - begin
            if self.work > WORK:
                break
            seed = e in self.starts
            for half, o, relation, first, last in _halves(graph, begin, end):
                kind = int(graph.kinds[o])
                if graph.hub[o] or DESCRIPTIVE[kind]:
                    self.hubs.setdefault(o, set()).add(e)
                    if name:
                        self.common[o] += 1
                    continue
                if o in self.odds:
                    continue
                within = graph.block[o] == graph.block[e] and not (seed and graph.kinds[e] == _ADDRESS)
                if within and self._tied(e, o, int(graph.edge[half])):
                    self.odds[o], self.reason[o] = odds, f"same block, tied to {self.graph.label(e)}"
                    self.parent[o] = (e, half)
                    waiting.append(o)
                    continue
                if (
                    seed
                    and graph.kinds[e] == _ADDRESS
                    and self.at is not None
                    and not overlap((first, last), [(self.at, self.at)])
                ):
                    continue
                if kind == _ADDRESS or graph.value[o] < STRONG:
                    self._offer(o, e, half, first, last)
                else:
                    tie = float(graph.tie[graph.edge[half]])
                    self._say(
                        o, o, logit(tie * min(float(graph.value[e]), float(graph.value[o]))), relation, half
                    )

    def _tied(self, a: int, b: int, edge: int) -> bool:
        value = self.graph.value
        return bool(self.graph.tie[edge] >= FIRM and value[a] >= STRONG and value[b] >= STRONG)

    def _offer(self, pivot: int, by: int, half: int, first: int, last: int) -> None:
        """A member has this pivot: everything else that has it is a candidate."""
        graph = self.graph
        offer = self.offers.setdefault(pivot, Offer())
        timed = graph.kinds[pivot] == _ADDRESS
        new = (first, last) if timed else (NEVER, NEVER)
        if IS_NAME[graph.kinds[by]] and by not in offer.holders:
            self.meetings += len(offer.holders) == 1
        offer.holders.add(by)
        if offer.by < 0:
            offer.by, offer.half = by, half
        if new in offer.times:
            return
        offer.times.append(new)
        if pivot not in self.score:
            return  # farther than the walk came
        value = float(graph.value[pivot]) * float(graph.tie[graph.edge[half]])
        begin, end = int(graph.ptr[pivot]), int(graph.ptr[pivot + 1])
        end = min(end, begin + WIDEST)
        self.work += end - begin
        if self.work > WORK:
            return
        for other, y, how, a, b in _halves(graph, begin, end):
            if y in self.odds or graph.hub[y] or DESCRIPTIVE[graph.kinds[y]]:
                continue
            if graph.kinds[y] == _ADDRESS or (graph.value[y] < STRONG and not IS_NAME[graph.kinds[y]]):
                continue
            late = gap((a, b), [new]) if timed else 0
            if late > SLACK:
                continue
            odds = logit(value * float(graph.tie[graph.edge[other]]))
            if late > 0:
                odds -= 2.0 + 2.0 * late / SLACK
            self._say(y, pivot, odds, how, other)

    def _say(self, entity: int, pivot: int, odds: float, relation: int, half: int) -> None:
        """A pivot speaks for the block of an entity."""
        block = int(self.graph.block[entity])
        said = self.evidence.setdefault(block, {})
        held = said.get(pivot)
        if held is None or held[0] < odds:
            said[pivot] = (odds, int(FAMILY[relation]), half, entity)
            self.news.add(block)

    # What it is worth ---------------------------------------------------------------------------------------------

    def judge(self, block: int) -> float:
        """Log-odds that a block belongs to it, as things stand."""
        said = self.evidence[block]
        total = pivots([(odds, family) for odds, family, _, _ in said.values()])
        if total < self.bar - 4.0:
            return total
        _, weak, attributes = self.about(block)
        # Who meets at a crowded place has hardly met.
        met = sum(min(probability(said[pivot][0]) / 0.6, 1.0) for pivot in said if pivot in self.offers)
        if met:
            rate = meeting_rate(self.meetings, len(self.offers))
            total += opportunity(met, min(weak, len(self.offers)), rate)
        if self.names >= _COMMON:
            total += profile([term for hubs in attributes for term in self._terms(hubs)])
        return total

    def about(self, block: int) -> tuple[int, int, list[list[int]]]:
        """(names of a block, its weak pivots, the common attributes of up to sixteen of the names)."""
        held = self._blocks.get(block)
        if held is not None:
            return held
        graph = self.graph
        ptr, order = graph.block_members
        entities = order[ptr[block] : ptr[block + 1]]
        names = entities[IS_NAME[graph.kinds[entities]]]
        attributes, weak = [], set[int]()
        for entity in entities[:200].tolist():
            others = graph.other[graph.ptr[entity] : graph.ptr[entity + 1]]
            far = graph.block[others] != block
            low = (graph.value[others] < STRONG) | (graph.kinds[others] == _ADDRESS)
            weak.update(others[far & low & ~graph.hub[others] & ~DESCRIPTIVE[graph.kinds[others]]].tolist())
        for name in names[:16].tolist():
            others = graph.other[graph.ptr[name] : graph.ptr[name + 1]]
            attributes.append(others[graph.hub[others] | DESCRIPTIVE[graph.kinds[others]]].tolist())
        made = max(len(names), 1), len(weak), attributes
        self._blocks[block] = made
        return made

    def _terms(self, hubs: list[int]) -> list[float]:
        """log(share among members / share among all) of each common attribute of one name."""
        everybody = self.everybody
        out = []
        for hub in hubs:
            if self.graph.kinds[hub] == _ADDRESS:
                continue  # where it lives has spoken already
            usual = max(int(self.graph.size[hub]), 1) / everybody
            out.append(log(((self.common[hub] + 2 * usual) / (self.names + 2)) / usual))
        return out


def gap(when: tuple[int, int], times: list[tuple[int, int]]) -> int:
    """ns between an interval and the nearest of several; 0 if they overlap or one is not known."""
    first, last = when
    if NEVER in (first, last):
        return 0
    best = np.iinfo(np.int64).max
    for a, b in times:
        if NEVER in (a, b):
            return 0
        best = min(best, max(first - b, a - last, 0))
    return int(best)


def overlap(when: tuple[int, int], times: list[tuple[int, int]]) -> bool:
    """Whether an interval meets one of several, or one is not known."""
    return gap(when, times) == 0


def _halves(graph: Graph, begin: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """(place, entity at the other end, relation, first, last) of the edges at these places."""
    edges = graph.edge[begin:end]
    return zip(
        range(begin, end),
        graph.other[begin:end].tolist(),
        graph.nodes.relation[edges].tolist(),
        graph.nodes.first[edges].tolist(),
        graph.nodes.last[edges].tolist(),
        strict=True,
    )
