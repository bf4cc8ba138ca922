"""Entities: what has one owner by its nature, as one thing; and a name that changes hands, as several.

A host name, its registered domain and the name servers under it belong to whoever registered the domain; the hashes of
one file are one file. Counted apart they would look like independent witnesses. Under a registered domain that
lets strangers have names (dynamic DNS, customers' names of a platform; by list, or because many names below it live on
nearly as many addresses) every name is an entity of its own.

A name that expired and that somebody else registered is split at the new registration: what the next owner did does
not lead back to the first (*tenures*). Registrations whose times overlap are updates of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numba import njit

from andon.records.infrastructure import (
    DOMAIN,
    NAME_SERVER,
    REGISTERED,
    REGISTERED_AT,
    REGISTERED_BY,
    RESOLVES,
    SAME,
    UNDER,
)
from andon.triage.infrastructure.nodes import KIND, NEVER, VERB, Numbered

_DAY: Final = 86_400 * 10**9
MANY_BELOW: Final = 8  # names under a registered domain from which on their addresses are looked at


@dataclass(frozen=True)
class Entities:
    """``of``: entity (its first tenure) of each node; ``tenures``: how many it has, by entity, so that the entities of
    a node are ``of .. of + tenures``. ``a``, ``b``: entities of each edge; ``begins``: ns a tenure begins (NEVER: the
    first). ``head``: node that stands for an entity. ``open``: nodes of registered domains under which strangers
    live."""

    of: np.ndarray
    tenures: np.ndarray
    a: np.ndarray
    b: np.ndarray
    begins: np.ndarray
    head: np.ndarray
    open: np.ndarray


@njit(cache=True, nogil=True)
def _union(count: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Smallest node of the component of each node, edges ``a``-``b``."""
    parent = np.arange(count)
    for i in range(a.shape[0]):
        x, y = a[i], b[i]
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        while parent[y] != y:
            parent[y] = parent[parent[y]]
            y = parent[y]
        if x < y:
            parent[y] = x
        elif y < x:
            parent[x] = y
    for i in range(count):
        x = parent[i]
        while parent[x] != x:
            x = parent[x]
        parent[i] = x
    return parent


def components(count: int, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """int64 smallest member of the connected component of each of ``count`` nodes.

    >>> components(4, np.array([0, 2]), np.array([2, 3])).tolist()
    [0, 1, 0, 0]
    """
    return np.asarray(_union(count, a.astype(np.int64), b.astype(np.int64)))


def entities(graph: Numbered, parents: np.ndarray) -> Entities:
    """Entities of a numbered graph. ``parents``: bool by node, registered domains that a list calls open."""
    count = len(graph.kinds)
    is_open = _open(graph, parents)
    under = (graph.relation == VERB[UNDER]) & ~is_open[graph.target]
    same = graph.relation == VERB[SAME]
    root = components(count, graph.source[under | same], graph.target[under | same])
    roots, entity = np.unique(root, return_inverse=True)
    entity = entity.astype(np.int64)
    # A name stands for itself under its registered domain, a file under its longest hash.
    head = roots.copy()
    registered = np.flatnonzero(graph.kinds == KIND[REGISTERED])
    head[entity[registered[::-1]]] = registered[::-1]
    best = np.unique(graph.source[same])
    head[entity[best]] = best
    a, b, tenures, begins = _split(graph, entity, len(roots))
    base = np.cumsum(tenures) - tenures
    ids = np.repeat(np.arange(len(roots)), tenures)
    return Entities(base[entity], tenures[ids], a, b, begins, head[ids], is_open)


def _open(graph: Numbered, parents: np.ndarray) -> np.ndarray:
    """Registered domains under which strangers have names."""
    count = len(graph.kinds)
    found = parents & (graph.kinds == KIND[REGISTERED])
    rows = (graph.relation == VERB[UNDER]) & (graph.kinds[graph.source] == KIND[DOMAIN])
    below = np.bincount(graph.target[rows], minlength=count)
    crowded = below > MANY_BELOW
    if crowded.any():
        owner = np.full(count, -1, np.int64)
        owner[graph.source[rows]] = graph.target[rows]
        answers = np.flatnonzero((graph.relation == VERB[RESOLVES]) & (owner[graph.source] >= 0))
        answers = answers[crowded[owner[graph.source[answers]]]]
        pairs = np.unique(
            np.stack([owner[graph.source[answers]], graph.target[answers].astype(np.int64)]), axis=1
        )
        different = np.bincount(pairs[0], minlength=count)
        found |= crowded & (2 * different > below) & (different > MANY_BELOW // 2)
    return np.asarray(found)


def _split(graph: Numbered, entity: np.ndarray, count: int) -> tuple[Any, Any, np.ndarray, np.ndarray]:
    """(entity and tenure of both ends of each edge, tenures by entity, begin of each tenure)."""
    by = np.isin(graph.relation, [VERB[REGISTERED_BY], VERB[REGISTERED_AT]]) & (graph.first != NEVER)
    rows = np.flatnonzero(by)
    who, first, last = entity[graph.source[rows]], graph.first[rows], graph.last[rows]
    order = np.lexsort((last, first, who))
    who, first, last = who[order], first[order], last[order]
    named = (graph.relation[rows] == VERB[REGISTERED_BY])[order]
    again = _again(who, graph.target[rows][order])
    begin = _boundaries(who, first, last, _before(graph, entity, who, first, count), named & again)
    starts, owners = first[begin], who[begin]
    tenures = 1 + np.bincount(owners, minlength=count).astype(np.int64)
    base = np.cumsum(tenures) - tenures
    begins = np.full(int(tenures.sum()), NEVER, np.int64)
    within = np.arange(len(owners)) - np.searchsorted(owners, owners)
    begins[base[owners] + 1 + within] = starts
    names = np.isin(graph.kinds, [KIND[DOMAIN], KIND[REGISTERED], KIND[NAME_SERVER]])
    ends = []
    for side in (graph.source, graph.target):
        ids = entity[side]
        ends.append(_tenure(base[ids], tenures[ids], begins, graph.first, graph.last, names[side]))
    return ends[0], ends[1], tenures, begins


def _before(
    graph: Numbered, entity: np.ndarray, who: np.ndarray, first: np.ndarray, count: int
) -> np.ndarray:
    """Entities of which something was seen to end before the first registration that is known: they had another owner
    then."""
    created = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(created, who, first)
    out = np.zeros(count, np.bool_)
    timed = graph.last != NEVER
    for side in (graph.source, graph.target):
        names = timed & np.isin(graph.kinds[side], [KIND[DOMAIN], KIND[REGISTERED]])
        ids = entity[side[names]]
        early = (created[ids] != np.iinfo(np.int64).max) & (graph.last[names] < created[ids] - _DAY)
        out[ids[early]] = True
    return out


def _again(who: np.ndarray, what: np.ndarray) -> np.ndarray:
    """Whether an earlier row was of the same two."""
    _, at = np.unique(np.stack([who, what.astype(np.int64)]), axis=1, return_index=True)
    out = np.ones(len(who), np.bool_)
    out[at] = False
    return out


@njit(cache=True, nogil=True)
def _boundaries(
    who: np.ndarray, first: np.ndarray, last: np.ndarray, before: np.ndarray, kept: np.ndarray
) -> np.ndarray:
    """Where a registration begins after every earlier one of the name had ended, or after anything else of it had; not
    where a registrant stays (``kept``)."""
    out = np.zeros(who.shape[0], np.bool_)
    until, start = NEVER, 0
    for i in range(who.shape[0]):
        if i == 0 or who[i] != who[i - 1]:
            until, start = max(last[i], first[i]), i
            out[i] = before[who[i]]
            continue
        # An end that nobody said is no end.
        if until != NEVER and first[i] > until:
            out[i], start = True, i
        if kept[i] and start > 0 and who[start - 1] == who[i]:
            out[start] = False
        until = max(until, last[i], first[i])
    return out


@njit(cache=True, nogil=True)
def _tenure(
    base: np.ndarray,
    tenures: np.ndarray,
    begins: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    name: np.ndarray,
) -> np.ndarray:
    """The tenure an edge falls into by its beginning; without a time, the newest."""
    out = base.copy()
    for i in range(base.shape[0]):
        if tenures[i] == 1 or not name[i]:
            continue
        at = first[i] if first[i] != NEVER else last[i]
        if at == NEVER:
            out[i] = base[i] + tenures[i] - 1
            continue
        for k in range(1, tenures[i]):
            if begins[base[i] + k] <= at:
                out[i] = base[i] + k
    return out
