"""The infrastructure graph: nodes and timed edges as arrays, and entities with their values as pivots.

    graph = build([relations...], warnings)
    growth = grow(graph, ["evil.example"])

A typed multigraph: between two nodes there is one edge for each relation, with first and last sight, count and the
feeds that say so. Growth and communities run on *entities* (``entities``), kept as compressed sparse rows in both
directions. What building costs is measured in docs/graph.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from andon.records.infrastructure import (
    ADDRESS,
    CERTIFIED,
    CONFIGURED,
    CONTACTS,
    FETCHED,
    NODE_KINDS,
    PRESENTS,
    REGISTERED_BY,
    REGISTRANT,
    RELATIONS,
    RESOLVES,
    SERVED,
)
from andon.triage.infrastructure.entities import Entities, components, entities
from andon.triage.infrastructure.lists import Warnings, listed
from andon.triage.infrastructure.nodes import KIND, NEVER, VERB, Numbered, number
from andon.triage.infrastructure.value import CROWDED, DESCRIPTIVE, IS_NAME, TIE, sizes, values

ONE_NAMESAKE: Final = 1.6  # factor of the value of a registrant's name that nobody else seems to have
FIRM: Final = 0.85  # a tie that may make a block
CALLED: Final = 0.9  # tie of a contact with what a sample is configured with
BESIDE: Final = 0.1  # of another contact of a sample whose configuration is known
PORTFOLIO, IDLE, OWN = (
    8,
    0.8,
    0.3,
)  # names, share that does nothing, value of an address that is not of a crowd
SEEN: Final = (
    0.05  # share of all names with a certificate or a sample, from which on the want of both says something
)
ENOUGH: Final = 20  # samples of which contacts are known, from which on it shows what everybody calls
STRONG: Final = 0.8  # value from which on a pivot ties what it holds into one block


@dataclass(frozen=True)
class Graph:
    """Arrays by node (``nodes``), by entity, and by half-edge of entities (``ptr``, ``other``, ``edge``: row of
    ``nodes``' edges, ``outward``: whether the entity is the source).

    ``tie``: by edge, the probability that it holds if neither end is shared; ``value``: as a pivot, 0 for hubs;
    ``block``: smallest entity of its block; ``rates``: coherence of small and of
    crowded pivots."""

    nodes: Numbered
    entities: Entities
    kinds: np.ndarray
    ptr: np.ndarray
    other: np.ndarray
    edge: np.ndarray
    outward: np.ndarray
    size: np.ndarray
    value: np.ndarray
    coherence: np.ndarray
    hub: np.ndarray
    tie: np.ndarray
    block: np.ndarray
    rates: tuple[float, float]
    _cache: dict[str, object] = field(default_factory=dict, compare=False, repr=False)

    @property
    def size_of(self) -> tuple[int, int, int]:
        """(nodes, edges, entities)"""
        return len(self.nodes.kinds), len(self.nodes.source), len(self.kinds)

    @cached_property
    def members(self) -> tuple[np.ndarray, np.ndarray]:
        """(where the nodes of an entity begin, nodes by their first entity)."""
        order = np.argsort(self.entities.of, kind="stable")
        return np.searchsorted(self.entities.of[order], np.arange(len(self.kinds) + 1)), order

    @cached_property
    def block_members(self) -> tuple[np.ndarray, np.ndarray]:
        """(where the entities of a block begin, by the block's number; entities in the order of their blocks)."""
        order = np.argsort(self.block, kind="stable")
        return np.searchsorted(self.block[order], np.arange(len(self.kinds) + 1)), order

    def nodes_of(self, entity: int) -> np.ndarray:
        """Nodes of an entity, all its tenures together."""
        base = int(self.entities.of[self.entities.head[entity]])
        ptr, order = self.members
        return order[ptr[base] : ptr[base + 1]]

    @cached_property
    def _keys(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for at, text in enumerate(self.nodes.values.to_pylist()):
            found.setdefault(text, []).append(at)
        return found

    def find(self, text: str) -> list[int]:
        """Nodes of this value, or of ``kind:value``; [] if there is none. The first call makes an index when the
        graph is small;
        a large one is searched."""
        head, _, tail = text.partition(":")
        kind = KIND.get(head) if tail else None
        plain = tail if kind is not None else text
        if len(self.nodes.kinds) <= 200_000:
            hits = self._keys.get(plain, []) or self._keys.get(plain.lower(), [])
        else:
            hits = np.flatnonzero(np.asarray(pc.equal(self.nodes.values, plain))).tolist()
        return [at for at in hits if kind is None or self.nodes.kinds[at] == kind]

    def name(self, node: int) -> tuple[str, str]:
        """(kind, value)"""
        return NODE_KINDS[int(self.nodes.kinds[node])], str(self.nodes.values[int(node)])

    def label(self, entity: int) -> str:
        """Kind and value of what stands for an entity."""
        return " ".join(self.name(int(self.entities.head[entity])))


def build(tables: Iterable[pa.Table], warnings: Warnings | None = None) -> Graph:
    """A graph of relations (``records.infrastructure.RELATION``), the same in whatever order they come.

    Raises ValueError for kinds and relations that are not known."""
    return derive(number(tables), warnings or Warnings())


def derive(nodes: Numbered, warnings: Warnings) -> Graph:
    """Entities, hubs, values and blocks of numbered nodes and edges."""
    hub_nodes, parents = listed(nodes, warnings)
    made = entities(nodes, parents)
    count = len(made.head)
    kinds = nodes.kinds[made.head]
    rows = np.flatnonzero(made.a != made.b)
    # One half-edge for each (entity, other, relation): several hosts of a name on one address are one tie.
    a, b = made.a[rows], made.b[rows]
    ends = np.concatenate([a, b])
    others = np.concatenate([b, a])
    edge = np.concatenate([rows, rows])
    outward = np.concatenate([np.ones(len(rows), np.bool_), np.zeros(len(rows), np.bool_)])
    key = (ends * max(count, 1) + others) * len(RELATIONS) + nodes.relation[edge]
    order = np.lexsort((~outward, key))
    ends, others, edge, outward = ends[order], others[order], edge[order], outward[order]
    ptr = np.searchsorted(ends, np.arange(count + 1))
    relation, first, last = nodes.relation[edge], nodes.first[edge], nodes.last[edge]
    size = sizes(ptr, others, relation, first, last, outward, kinds)
    hub = np.zeros(count, np.bool_)
    marked = np.flatnonzero(hub_nodes | made.open)
    for tenure in range(int(made.tenures.max()) if count else 0):
        at = marked[made.tenures[made.of[marked]] > tenure]
        hub[made.of[at] + tenure] = True
    mail = _mail(nodes)[made.head]
    namesakes = (kinds == KIND[REGISTRANT]) & ~mail
    value, coherence, rates = values(ptr, others, relation, kinds, size, hub, namesakes)
    hub |= (value < CROWDED) & ~DESCRIPTIVE[kinds]
    hub |= _portfolio(kinds, ptr, others, relation, value)
    value[hub] = 0.0
    tie = TIE[nodes.relation]
    tie[_doubtful(nodes, made, hub)] = 0.5
    _contacted(tie, nodes, made)
    strong = (value >= STRONG) & (kinds != KIND[ADDRESS]) & ~DESCRIPTIVE[kinds]
    tied = strong[made.a] & strong[made.b] & (tie >= FIRM)
    block = components(count, made.a[tied], made.b[tied])
    _tell_namesakes(value, namesakes & ~hub, ptr, others, block, mail)
    return Graph(
        nodes, made, kinds, ptr, others, edge, outward, size, value, coherence, hub, tie, block, rates
    )


def _mail(nodes: Numbered) -> np.ndarray:
    """bool by node: registrants by e-mail address."""
    registrants = np.flatnonzero(nodes.kinds == KIND[REGISTRANT])
    mail = np.zeros(len(nodes.kinds), np.bool_)
    mail[registrants] = np.asarray(pc.match_substring(nodes.values.take(pa.array(registrants)), "@"))
    return mail


def _tell_namesakes(
    value: np.ndarray,
    namesakes: np.ndarray,
    ptr: np.ndarray,
    other: np.ndarray,
    block: np.ndarray,
    mail: np.ndarray,
) -> None:
    """A person's or company's name with one e-mail address to it, or none, is worth more than one that several have."""
    ends = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
    has_mail = np.zeros(len(block), np.bool_)
    has_mail[block[mail]] = True
    rows = namesakes[ends] & has_mail[block[other]]
    pairs = np.unique(ends[rows] * max(len(block), 1) + block[other[rows]])
    several = np.bincount(pairs // max(len(block), 1), minlength=len(block))
    value[namesakes] *= np.where(
        several[namesakes] <= 1, ONE_NAMESAKE, 1.0 / np.maximum(several[namesakes], 1) ** 0.5
    )


def _doubtful(nodes: Numbered, made: Entities, hub: np.ndarray) -> np.ndarray:
    """bool by edge: registrations of a name by several e-mail addresses within one tenure. Somebody else may have
    taken it
    over in between, so that it ties nobody to anybody."""
    mail = _mail(nodes)
    by = nodes.relation == VERB[REGISTERED_BY]
    rows = np.flatnonzero(by & mail[nodes.target] & ~hub[made.b])
    pairs = np.unique(made.a[rows] * max(len(hub), 1) + made.b[rows])
    several = np.bincount(pairs // max(len(hub), 1), minlength=len(hub)) > 1
    return np.asarray(by & several[made.a])


def _portfolio(
    kinds: np.ndarray, ptr: np.ndarray, other: np.ndarray, relation: np.ndarray, value: np.ndarray
) -> np.ndarray:
    """bool by entity: registrants and name servers of many names of which nearly none does anything: no address but
    that of a crowd, no certificate, no sample, as far as feeds would show it. They are held for sale, and were
    somebody else's before."""
    ends = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
    name = IS_NAME[kinds]
    does = np.isin(relation, [VERB[word] for word in (CERTIFIED, CONFIGURED, CONTACTS, FETCHED, PRESENTS)])
    lives = relation == VERB[RESOLVES]
    busy = np.bincount(ends[does], minlength=len(kinds)) > 0
    if busy[name].sum() < SEEN * name.sum():
        return np.zeros(len(kinds), np.bool_)  # feeds that would show it are not there
    busy |= np.bincount(ends[lives & (value[other] >= OWN)], minlength=len(kinds)) > 0
    known = busy | (np.bincount(ends[lives], minlength=len(kinds)) > 0)
    holder = name | (kinds == KIND[REGISTRANT])
    held = name[other] & holder[ends] & np.isin(relation, [VERB[REGISTERED_BY], VERB[SERVED]]) & known[other]
    count = np.bincount(ends[held], minlength=len(kinds))
    idle = np.bincount(ends[held & ~busy[other]], minlength=len(kinds))
    return np.asarray((count >= PORTFOLIO) & (idle >= IDLE * count))


def _contacted(tie: np.ndarray, nodes: Numbered, made: Entities) -> None:
    """What a sample's contact in a sandbox says. Samples also call names that everybody calls: connection tests,
    updates, content. What stands in a configuration is none of them; what many samples call and none is configured with
    is likely one, and so is what a sample calls beside its known configuration. Sets ``tie`` in place."""
    configured = nodes.relation == VERB[CONFIGURED]
    contact = np.flatnonzero(nodes.relation == VERB[CONTACTS])
    target, source = np.zeros(len(made.head), np.bool_), np.zeros(len(made.head), np.bool_)
    target[made.b[configured]] = True
    source[made.a[configured]] = True
    a, b = made.a[contact], made.b[contact]
    callers = np.bincount(b, minlength=len(made.head))[b]
    many = len(np.unique(a)) >= ENOUGH  # else nobody knows what is usual
    usual = np.where(many, 0.5 / np.maximum(callers, 1), np.where(source[a], BESIDE, TIE[VERB[CONTACTS]]))
    tie[contact] = np.where(target[b], CALLED, usual)


def interval(graph: Graph, edge: int) -> tuple[int | None, int | None]:
    """(first, last) of an edge in ns, None where nobody said."""
    first, last = int(graph.nodes.first[edge]), int(graph.nodes.last[edge])
    return (None if first == NEVER else first, None if last == NEVER else last)
