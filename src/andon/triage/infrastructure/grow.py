"""One case grows to the whole campaign: from seeds, block by block, as long as the evidence says "the same hands".

    growth = grow(graph, ["evil.example", "198.51.100.7"], at=None)

1. A random walk from the seeds (``walk.push``) says what is near; nothing else is ever looked at.
2. The seeds' blocks are the campaign so far. Each of its things offers its pivots to others: an address to names that
   were on it at the same time (within 30 days, the less the longer the gap), any other pivot at any time. Hubs offer
   nothing.
3. The block with the best log-odds (``evidence``) joins if its probability is at least ``threshold``; what it adds
   changes the odds of the others. It ends when none is left: that is the stopping rule, purity instead of a size.
4. An address, or another weak pivot, belongs to the campaign if most of what it held at the time does; else it is
   shared (``told``).

Every member has its path from a seed and the reason in words. Probabilities are those of the additive model;
docs/graph.md shows how often they hold.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from andon.triage.infrastructure.campaign import Campaign
from andon.triage.infrastructure.graph import Graph
from andon.triage.infrastructure.growth import Growth
from andon.triage.infrastructure.told import told


def grow(
    graph: Graph,
    seeds: Sequence[str | int],
    at: int | None = None,
    *,
    threshold: float = 0.5,
    most: int = 5_000,
    beside: int = 20,
) -> Growth:
    """Grow from ``seeds`` (values, ``kind:value``, or node numbers). ``at``: ns when they were seen, which tells the
    owner of a name that changed hands and the tenants of an address; None: the one that evidence of malware or most
    evidence is about. ``most``: members at which it ends. Costs milliseconds (docs/graph.md). Pure: no clock,
    no look-up.

    Raises ValueError for a threshold outside 0..1."""
    if not 0.0 < threshold < 1.0:
        raise ValueError(f"threshold {threshold} is not a probability between 0 and 1")
    found, unknown = _seeds(graph, seeds)
    if not found:
        return Growth((), (), (), tuple(unknown), "none of the seeds is in the graph")
    return told(Campaign(graph, found, at, threshold, most).run(), tuple(unknown), beside)


def _seeds(graph: Graph, seeds: Sequence[str | int]) -> tuple[list[int], list[str]]:
    found: list[int] = []
    unknown: list[str] = []
    for seed in seeds:
        if isinstance(seed, int | np.integer):
            hits = [int(seed)] if 0 <= seed < len(graph.nodes.kinds) else []
        else:
            hits = graph.find(seed.strip().rstrip("."))
        if hits:
            found += hits
        else:
            unknown.append(str(seed))
    return list(dict.fromkeys(found)), unknown
