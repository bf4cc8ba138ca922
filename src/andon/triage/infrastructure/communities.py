"""Communities week by week, with names that stay.

Each week's graph (what was seen in it, and what has no time) is cut by the method of Leiden (Traag, Waltman, van Eck,
Scientific Reports 9:5233, 2019, as in scikit-network, modularity with resolution 1) on ties weighted as the walk
weighs them, hubs left out. A community goes on under its name if it shares most with one of the week before: pairs
are taken
by falling Jaccard index down to ``SAME``, each name once. Otherwise it is born, named by the week and its first member.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from andon.records.infrastructure import CONTACTS, RESOLVES, SEEN_IN
from andon.triage.infrastructure.campaign import weights
from andon.triage.infrastructure.graph import Graph
from andon.triage.infrastructure.nodes import NEVER, VERB

WEEK: Final = 7 * 86_400 * 10**9
SAME: Final = 0.3
_MONDAY: Final = 4 * 86_400 * 10**9  # 1970-01-05


@dataclass(frozen=True)
class Community:
    """``members``: entities; ``fate``: "born", "goes on", or "split from" / "joined by" other ids."""

    id: str
    start: int | None  # ns of the week's Monday; None: all times together
    members: np.ndarray
    fate: str
    heads: tuple[tuple[str, str], ...]  # strongest members (kind, value)

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "week": self.start,
            "size": len(self.members),
            "fate": self.fate,
            "heads": [{"kind": kind, "value": value} for kind, value in self.heads],
        }


def partition(graph: Graph, halves: np.ndarray | None = None, resolution: float = 1.0) -> np.ndarray:
    """int64 community of each entity (-1: has no tie left), ``halves``: bool, the half-edges to use."""
    weight, _ = weights(graph)
    keep = weight > 0
    if halves is not None:
        keep &= halves
    ends = np.repeat(np.arange(len(graph.kinds)), np.diff(graph.ptr))[keep]
    others, w = graph.other[keep], weight[keep]
    used, local = np.unique(np.concatenate([ends, others]), return_inverse=True)
    out = np.full(len(graph.kinds), -1, np.int64)
    if not len(used):
        return out
    from scipy.sparse import coo_matrix
    from sknetwork.clustering import Leiden

    n = len(ends)
    matrix = coo_matrix((w, (local[:n], local[n:])), shape=(len(used), len(used))).tocsr()
    matrix = matrix.maximum(matrix.T)
    out[used] = Leiden(resolution=resolution, random_state=0).fit_predict(matrix)
    return out


def communities(graph: Graph, smallest: int = 3) -> list[Community]:
    """Communities of the whole time, largest first."""
    return [
        Community(_name(None, graph, members), None, members, "born", _heads(graph, members))
        for members in _groups(partition(graph), smallest)
    ]


def weekly(graph: Graph, weeks: int = 8, smallest: int = 3) -> list[Community]:
    """Communities of the last ``weeks`` weeks (of what the graph has seen), oldest week first."""
    first, last = graph.nodes.first[graph.edge], graph.nodes.last[graph.edge]
    if not (graph.nodes.last != NEVER).any():
        return communities(graph, smallest)
    # Registrations and certificates run on into the future: now is when something was last seen.
    seen = np.isin(graph.nodes.relation, [VERB[name] for name in (RESOLVES, CONTACTS, SEEN_IN)])
    end = max(int(graph.nodes.first.max()), int(graph.nodes.last[seen].max(initial=NEVER)))
    newest = (end - _MONDAY) // WEEK * WEEK + _MONDAY
    found: list[Community] = []
    before: list[Community] = []
    for back in range(weeks - 1, -1, -1):
        start = newest - back * WEEK
        live = (first == NEVER) | (last == NEVER) | ((first < start + WEEK) & (last >= start))
        groups = _groups(partition(graph, live), smallest)
        before = _follow(graph, start, groups, before)
        found += before
    return found


def _groups(part: np.ndarray, smallest: int) -> list[np.ndarray]:
    order = np.argsort(part, kind="stable")
    order = order[part[order] >= 0]
    cuts = np.flatnonzero(np.diff(part[order])) + 1
    groups = [group for group in np.split(order, cuts) if len(group) >= smallest]
    return sorted(groups, key=lambda group: (-len(group), int(group[0])))


def _follow(graph: Graph, start: int, groups: list[np.ndarray], before: list[Community]) -> list[Community]:
    """Communities of a week under the names of the week before."""
    place = np.full(len(graph.kinds), -1, np.int64)
    for number, old in enumerate(before):
        place[old.members] = number
    pairs = []
    for number, group in enumerate(groups):
        for old_number, both in Counter(place[group].tolist()).items():
            if old_number >= 0:
                union = len(group) + len(before[old_number].members) - both
                pairs.append((-both / union, old_number, number))
    given: dict[int, int] = {}
    taken: set[int] = set()
    for minus, old_number, number in sorted(pairs):
        if -minus >= SAME and number not in given and old_number not in taken:
            given[number] = old_number
            taken.add(old_number)
    made = []
    for number, group in enumerate(groups):
        heirs = [
            old for minus, old, new in sorted(pairs) if new == number and old not in taken and -minus > 0.05
        ]
        if number in given:
            fate = "goes on" if not heirs else f"joined by {', '.join(before[old].id for old in heirs[:3])}"
            made.append(Community(before[given[number]].id, start, group, fate, _heads(graph, group)))
            continue
        parents = [old for _, old, new in sorted(pairs) if new == number]
        fate = f"split from {before[parents[0]].id}" if parents else "born"
        made.append(Community(_name(start, graph, group), start, group, fate, _heads(graph, group)))
    return made


def _name(start: int | None, graph: Graph, members: np.ndarray) -> str:
    kind, value = graph.name(int(graph.entities.head[members.min()]))
    return hashlib.blake2b(f"{start}\x1f{kind}\x1f{value}".encode(), digest_size=5).hexdigest()


def _heads(graph: Graph, members: np.ndarray) -> tuple[tuple[str, str], ...]:
    degree = graph.ptr[members + 1] - graph.ptr[members]
    best = members[np.lexsort((members, -degree))[:3]]
    return tuple(graph.name(int(graph.entities.head[entity])) for entity in best)
