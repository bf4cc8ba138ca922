"""The graph, or what a growth found of it, as GraphML (networkx): for Gephi, yEd, Cytoscape."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import numpy as np

from andon.records.finding import timestamp
from andon.records.infrastructure import RELATIONS
from andon.triage.infrastructure.graph import Graph, interval
from andon.triage.infrastructure.growth import Growth

MOST: Final = 200_000  # edges of one export
# What XML 1.0 cannot hold (section 2.2).
_BAD: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def nodes_of(graph: Graph, growth: Growth) -> np.ndarray:
    """Nodes of the members of a growth and of what they share, sorted."""
    things = [(m.kind, m.value) for m in growth.members] + [(s.kind, s.value) for s in growth.shared]
    found = [node for kind, value in things for node in graph.find(f"{kind}:{value}")]
    return np.unique(np.array(found, np.int64))


def edges_of(graph: Graph, nodes: np.ndarray | None) -> np.ndarray:
    """Rows of the edges between these nodes; all edges for None."""
    if nodes is None:
        return np.arange(len(graph.nodes.source))
    inside = np.zeros(len(graph.nodes.kinds), np.bool_)
    inside[nodes] = True
    return np.flatnonzero(inside[graph.nodes.source] & inside[graph.nodes.target])


def graphml(graph: Graph, path: str | Path, growth: Growth | None = None) -> tuple[int, int]:
    """Write GraphML; (nodes, edges) written. With ``growth`` its members and what they share, with their probability.

    Raises OSError, and ValueError for more than ``MOST`` edges: such a graph is nothing to look at."""
    import networkx as nx

    nodes = None if growth is None else nodes_of(graph, growth)
    rows = edges_of(graph, nodes)
    if len(rows) > MOST:
        raise ValueError(
            f"{len(rows):,} edges are more than the {MOST:,} of one export; grow from a seed first"
        )
    if nodes is None:
        nodes = np.unique(np.concatenate([graph.nodes.source, graph.nodes.target]))
    known = {(m.kind, m.value): m.probability for m in growth.members} if growth is not None else {}
    made = nx.MultiDiGraph()
    for node in nodes.tolist():
        kind, value = graph.name(node)
        entity = int(graph.entities.of[node])
        fields = {
            "kind": kind,
            "value": _text(value),
            "hub": bool(graph.hub[entity]),
            "pivot": round(float(graph.value[entity]), 4),
        }
        if (kind, value) in known:
            fields["probability"] = round(known[kind, value], 4)
        made.add_node(f"n{node}", **fields)
    for row in rows.tolist():
        first, last = interval(graph, row)
        fields = {"relation": RELATIONS[int(graph.nodes.relation[row])], "count": int(graph.nodes.count[row])}
        fields |= {key: timestamp(at) for key, at in (("first", first), ("last", last)) if at is not None}
        fields["origin"] = _text(", ".join(origins(graph, row)))
        made.add_edge(f"n{graph.nodes.source[row]}", f"n{graph.nodes.target[row]}", key=f"e{row}", **fields)
    nx.write_graphml(made, path)
    return made.number_of_nodes(), made.number_of_edges()


def origins(graph: Graph, edge: int) -> list[str]:
    """Feeds that say that an edge is there; [] for what follows from the names themselves."""
    bits = int(graph.nodes.origins[edge])
    return [name for at, name in enumerate(graph.nodes.names) if bits >> min(at, 62) & 1]


def _text(value: str) -> str:
    return _BAD.sub("\ufffd", value)
