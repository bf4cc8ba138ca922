from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from andon.sketch.bipartite import build


@settings(max_examples=60, deadline=None)
@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 8)), max_size=40), st.randoms())
def test_both_layouts_hold_the_same_edges_in_whatever_order_they_came(
    pairs: set[tuple[int, int]], random: object
) -> None:
    given_pairs = sorted(pairs)
    np.random.default_rng(len(pairs)).shuffle(given_pairs)
    terminal, destination = (np.array([p[i] for p in given_pairs], np.int64) for i in (0, 1))
    graph, row = build(terminal, destination, 7, 9)
    in_order = sorted((d, t) for t, d in pairs)
    assert list(zip(graph.destination.tolist(), graph.visitor.tolist(), strict=True)) == in_order
    assert [(destination[r], terminal[r]) for r in row] == in_order
    for d in range(9):
        assert graph.visitor[graph.begin[d] : graph.begin[d + 1]].tolist() == sorted(
            t for t, e in pairs if e == d
        )
    for t in range(7):
        edges = graph.edge[graph.start[t] : graph.start[t + 1]]
        assert graph.destination[edges].tolist() == sorted(d for u, d in pairs if u == t)
        assert set(graph.visitor[edges].tolist()) <= {t}


def test_a_pair_given_twice_and_a_node_that_is_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        build(np.array([0, 0]), np.array([1, 1]), 2, 2)
    with pytest.raises(ValueError, match=r"a destination of an edge is not in 0\.\.1"):
        build(np.array([0]), np.array([2]), 2, 2)
    with pytest.raises(ValueError, match="a terminal"):
        build(np.array([-1]), np.array([1]), 2, 2)
