"""What others do on the same graph, for comparison: shares of infected visitors, label propagation, belief propagation.

``belief_propagation`` is that of Manadhata, Yadav, Rao and Horne ("Detecting malicious domains via graph inference",
ESORICS 2014) as published: known malicious domains have the prior 0.99, known benign ones 0.01, unknown ones and hosts
0.5; the edge potential is 0.51 for equal and 0.49 for unequal states; messages go until they settle. Its faults, which
the benchmark shows: each edge adds belief, so destinations rank by how many visitors they have; benign neighbours count
as innocence, though the infected visit what all visit; every terminal spreads as much per edge, however busy it is; and
published figures hold known white against known black, which hides all of that.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from andon.sketch.bipartite.graph import Graph


def share_of_infected(graph: Graph, infected: np.ndarray) -> np.ndarray:
    """k / (n + 2) of each destination: k infected ones of n visitors."""
    visits = np.bincount(graph.destination[infected[graph.visitor]], minlength=graph.destinations)
    return np.asarray(visits / (graph.visitors() + 2.0))


def label_propagation(
    graph: Graph, seeds: np.ndarray, alpha: float = 0.85, rounds: int = 20
) -> tuple[np.ndarray, np.ndarray]:
    """(score of each destination, of each terminal) with ``seeds`` by destination (0..1); symmetric normalisation
    (Zhou et al., "Learning with local and global consistency", NIPS 2003)."""
    of_terminal = 1 / np.sqrt(np.maximum(graph.degrees(), 1))
    of_destination = 1 / np.sqrt(np.maximum(graph.visitors(), 1))
    destination, terminal = seeds.astype(np.float64), np.zeros(graph.terminals)
    for _ in range(rounds):
        weights = (destination * of_destination)[graph.destination]
        spread = np.bincount(graph.visitor, weights, graph.terminals) * of_terminal
        weights = (terminal * of_terminal)[graph.visitor]
        back = np.bincount(graph.destination, weights, graph.destinations) * of_destination
        terminal = alpha * spread
        destination = alpha * back + (1 - alpha) * seeds
    return destination, terminal


@njit(cache=True, nogil=True)
def _messages(
    node: np.ndarray, belief: np.ndarray, came: np.ndarray, said: np.ndarray, strength: float, damping: float
) -> float:
    """Messages ``said`` along each edge from ``node[e]``, in log-odds, without what came along; the largest change."""
    largest = 0.0
    for e in range(node.shape[0]):
        without = belief[node[e]] - came[e]
        new = 2.0 * np.arctanh(strength * np.tanh(without / 2.0))
        new = damping * said[e] + (1.0 - damping) * new
        largest = max(largest, abs(new - said[e]))
        said[e] = new
    return largest


def belief_propagation(
    graph: Graph,
    destination_prior: np.ndarray,
    terminal_prior: np.ndarray,
    equal: float = 0.51,
    rounds: int = 10,
    damping: float = 0.0,
) -> tuple[np.ndarray, np.ndarray]:
    """(log-odds of being bad of each destination, of each terminal). Priors are probabilities; ``equal``: potential of
    an edge whose ends are in the same state."""
    prior_d = np.log(destination_prior / (1 - destination_prior))
    prior_t = np.log(terminal_prior / (1 - terminal_prior))
    to_terminal, to_destination = np.zeros(graph.edges), np.zeros(graph.edges)
    belief_d, belief_t = prior_d, prior_t
    strength = 2 * equal - 1
    for _ in range(rounds):
        moved = _messages(graph.destination, belief_d, to_destination, to_terminal, strength, damping)
        belief_t = prior_t + np.bincount(graph.visitor, to_terminal, graph.terminals)
        moved = max(moved, _messages(graph.visitor, belief_t, to_terminal, to_destination, strength, damping))
        belief_d = prior_d + np.bincount(graph.destination, to_destination, graph.destinations)
        if moved < 1e-4:
            break
    return belief_d, belief_t
