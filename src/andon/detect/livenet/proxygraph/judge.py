"""From the remembered graph to what is believed of each destination and terminal.

Set aside before the inference: edges of clean terminals, and gray destinations of so many visitors that they tell
nothing (with a white list there are hardly any). The inference begins anew every day: begun with the belief of the day
before it needs about as many rounds, and single suspicions keep themselves alive (docs/proxygraph.md). See
``sketch.bipartite.guilt`` for the model, ``prior`` and ``black`` for what goes into it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from andon.detect.livenet.proxygraph.black import Black, look
from andon.detect.livenet.proxygraph.memory import BLACK, GRAY, Edges, Memory
from andon.detect.livenet.proxygraph.prior import PARTS, Prior, prior
from andon.records.contract import Site
from andon.sketch.bipartite import Graph, build
from andon.sketch.bipartite.communities import communities
from andon.sketch.bipartite.guilt import Belief, Evidence, Ledger, infer, unknown_leak

COMMON_SHARE: Final = 0.1
COMMON_LEAST: Final = 100
# How surely a contact shows infection. Of the terminals of generated organisations that were at a black destination
# once a third was infected, of those that came back nearly all.
ONCE, AGAIN, POLLED = 0.5, 0.9, 0.95
BLACK_ONCE, BLACK_AGAIN = 0.3, 0.97
_AGAIN_S: Final = 3600
_POLLED_ODDS: Final = 1.2
_LISTED: Final = 3.0  # log-odds that a doubted entry still gives
_UNSEEN: Final = 0.5  # infected terminals without a black contact for each with one
_LEAK: Final = (1e-4, 0.02)
# Probabilities are sigmoid(SLOPE * log-odds + SHIFT), fitted on generated organisations, see docs/proxygraph.md.
DESTINATION_SCALE: Final = (1.6, 1.2)
TERMINAL_SCALE: Final = (1.6, -0.2)


@dataclass(frozen=True)
class Judged:
    """Numbers are those of ``memory``. ``edges`` are the memory's edges in the graph, in its order; ``log_odds`` and
    ``probability`` of each destination, ``landing``: the better reading is that of a landing page; ``infected`` of each
    terminal, calibrated; ``judged``: gray destinations that were judged."""

    memory: Memory
    black: Black
    prior: Prior
    graph: Graph
    edges: Edges
    belief: Belief
    ledger: Ledger
    judged: np.ndarray
    log_odds: np.ndarray
    probability: np.ndarray
    landing: np.ndarray
    infected: np.ndarray
    common: int

    def readings(self, d: int) -> tuple[dict[str, float], np.ndarray, np.ndarray]:
        """(named parts of the prior, edges of the graph, what each adds), summing up to the destination's log-odds."""
        reading = int(self.landing[d])
        edges, both = self.ledger.visits(d)
        said = both[:, reading]
        a, b = self.belief.odds[d]
        parts = (
            {"base": float(self.prior.landing[d])}
            if reading
            else dict(zip(PARTS, self.prior.parts[d].tolist(), strict=True))
        )
        parts["either reading"] = float(np.log1p(np.exp(-abs(a - b))))
        return {name: value for name, value in parts.items() if value}, edges, said

    def blame(self, u: int) -> tuple[np.ndarray, np.ndarray]:
        """(edges of the graph, how much each adds to -ln(1 - p) of the terminal), the most telling of each domain."""
        edges = self.graph.edge[self.graph.start[u] : self.graph.start[u + 1]]
        added = -self.ledger.own[edges]
        order = np.lexsort((edges, -self._shown(edges), -added))
        edges, added = edges[order], added[order]
        _, first = np.unique(self.ledger.evidence.domain[self.graph.destination[edges]], return_index=True)
        first = np.sort(first)
        return edges[first], added[first]

    def _shown(self, edges: np.ndarray) -> np.ndarray:
        return np.asarray(self.belief.bad[self.graph.destination[edges]].sum(axis=1))


def scaled(log_odds: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-np.clip(scale[0] * log_odds + scale[1], -60, 60))))


def judge(memory: Memory, site: Site, proof: str, end: int, warm: np.ndarray | None = None) -> Judged:
    """``end`` (s) of the last day; ``warm``: ``Belief.bad`` to begin with (the engine gives none)."""
    black = look(memory, site, proof)
    people, places = len(memory.terminals), memory.destinations
    visitors = np.bincount(memory.edges.destination, minlength=len(places))
    aside = np.zeros(people, np.bool_)
    aside[list(black.clean)] = True
    gray = places["colour"] == GRAY
    common = gray & (visitors > max(COMMON_LEAST, COMMON_SHARE * people))
    use = np.flatnonzero(~aside[memory.edges.terminal] & ~common[memory.edges.destination])
    edges = memory.edges.take(use)
    graph, row = build(edges.terminal, edges.destination, people, len(places))
    edges = edges.take(row)
    doubted = np.zeros(len(places), np.bool_)
    doubted[list(black.doubted)] = True
    known = (places["colour"] == BLACK) & ~doubted
    judged = (gray & ~common) | doubted
    proven = int((black.contacts > 0).sum())
    held = prior(memory, graph.visitors(), gray & ~common & (graph.visitors() > 0), proven, end)
    held.malicious[doubted] += _LISTED
    held.parts[doubted, 0] += _LISTED
    degree = graph.degrees()
    share = (degree + 0.2 * max(degree.mean(), 1e-9)) / max(1.2 * degree.sum(), 1.0) if people else degree
    beacon = np.nan_to_num(edges["beacon"], nan=0.0)
    again = edges["last"] - edges["first"] >= _AGAIN_S
    shows = np.where(beacon >= _POLLED_ODDS, POLLED, np.where(again, AGAIN, ONCE))
    of_black = known[edges.destination]
    shows[of_black] = np.where(again[of_black], BLACK_AGAIN, BLACK_ONCE)
    leak = float(np.clip(_UNSEEN * proven / max(people, 1), *_LEAK))
    evidence = Evidence(
        prior=np.stack([held.malicious, held.landing], axis=1),
        gray=judged,
        known=known.astype(np.float64),
        domain=np.cumsum(np.r_[False, np.diff(places["group"]) != 0])
        if len(places)
        else np.zeros(0, np.int64),
        share=share,
        seed=black.contacts > 0,
        leak=unknown_leak(share, leak, 1.0 + proven),
        shows=shows,
        first=edges["first"],
        polls=beacon >= _POLLED_ODDS,
    )
    belief, ledger = infer(graph, evidence, communities(graph), warm=warm)
    odds = np.logaddexp(belief.odds[:, 0], belief.odds[:, 1])
    infected = np.where(aside, 0.0, _rescaled(belief.infected))
    return Judged(
        memory=memory,
        black=black,
        prior=held,
        graph=graph,
        edges=edges,
        belief=belief,
        ledger=ledger,
        judged=gray & ~common & (graph.visitors() > 0),
        log_odds=odds,
        probability=scaled(odds, DESTINATION_SCALE),
        landing=belief.odds[:, 1] > belief.odds[:, 0],
        infected=infected,
        common=int(common.sum()),
    )


def _rescaled(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, 1e-12, 1 - 1e-12)
    return scaled(np.log(p / (1 - p)), TERMINAL_SCALE)
