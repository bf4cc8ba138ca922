"""L0: values that many different sources send in one field, and the statistic that says how many is many.

A share of all packets misses small families, and a ratio to the next value misses a family beside a larger one
(darknet notes 1.1, after the method patented for NICTER). What stands out does so against the *near-minimum level*:
the frequency that ordinary values have. Sources are counted, not packets, so that one loud host makes no feature.
"""

from __future__ import annotations

from collections import defaultdict
from math import exp, lgamma, log

import numpy as np

from andon.records.expression import Const

from .candidate import FULL, Candidate
from .sample import Family
from .units import Units
from .verify import Rows
from .words import ACK, ID, NAMES, SEQ, SEQ_HIGH, SEQ_LOW

SIGNIFICANCE = 1e-9


def near_minimum(counts: np.ndarray, possible: int) -> float:
    """Level of ordinary values: mean of the lowest 90 % of the counts of the values seen.

    Where most values are seen once or twice, as many were missed by chance, and the mean is over the possible ones.
    ``counts``: sources per observed value; ``possible``: how many values there could be.
    """
    if not len(counts):
        return 0.0
    low = np.sort(counts)[: max(1, int(len(counts) * 0.9))]
    mean = float(low.mean())
    return mean if mean > 2 else float(low.sum()) / max(len(low), 0.9 * possible)


def poisson_tail(count: int, level: float) -> float:
    """P(X >= count) for a Poisson variable of mean ``level`` (upper bound, within a factor of about two)."""
    if count <= level:
        return 1.0
    term = exp(-level + count * log(level) - lgamma(count + 1)) if level > 0 else 0.0
    return min(1.0, term / (1.0 - level / (count + 1)))


def frequent(
    values: np.ndarray, sources: np.ndarray, bits: int, least: int = 2, tests: int = 1
) -> list[tuple[int, int]]:
    """(value, distinct sources) of the values that stand out, most sources first.

    ``values``: unsigned, of ``bits`` bits; ``sources``: who sent each. A value counts if at least ``least`` sources
    sent it and chance at the near-minimum level explains that with less than 10^-9 over all values and ``tests``.

    >>> v, s = np.r_[np.full(50, 7), np.arange(100, 150)], np.arange(100)
    >>> frequent(v, s, 16)
    [(7, 50)]
    """
    pair = np.unique(sources.astype(np.uint64) << np.uint64(32) | values.astype(np.uint64))
    seen, counts = np.unique(pair & np.uint64(FULL), return_counts=True)
    if not len(seen):
        return []
    level = max(near_minimum(counts, 1 << bits), 1.0 / (1 << bits))
    allowed = SIGNIFICANCE / (len(seen) * tests)
    picked = [
        i
        for i in np.flatnonzero(counts >= max(least, 2 * level)).tolist()
        if poisson_tail(int(counts[i]), level) < allowed
    ]
    return sorted(((int(seen[i]), int(counts[i])) for i in picked), key=lambda p: (-p[1], p[0]))


def whole_fields(numbers: tuple[int, ...] = (SEQ, ACK, ID)) -> list[Candidate]:
    """Candidates "this field is a constant"."""
    return [
        Candidate(NAMES[f], "^", "", FULL if f in (SEQ, ACK) else 0xFFFF, FULL, "L0", 1.0, NAMES[f])
        for f in numbers
    ]


def halves() -> list[Candidate]:
    """Candidates "this half of the sequence number is a constant"."""
    return whole_fields((SEQ_LOW, SEQ_HIGH))


def masked_fields(fields: np.ndarray, units: Units, which: np.ndarray, votes: int) -> list[Candidate]:
    """Candidates "these bits of the field are a constant" that units of several sources share; most votes first.

    A bit that does not change in ten rows counts as constant; the others must change. Six bits at least.
    """
    voters: dict[tuple[int, int, int], set[int]] = defaultdict(set)
    for f in (SEQ, ID):
        width = FULL if f == SEQ else 0xFFFF
        values = fields[f][units.rows]
        for u in which.tolist():
            mine = values[units.starts[u] : units.starts[u + 1]]
            if len(mine) < 10:
                continue
            still = ~int(np.bitwise_or.reduce(mine ^ mine[0])) & width
            if still.bit_count() >= 6 and still != width:
                voters[(f, still, int(mine[0]) & still)].add(int(units.source[u]))
    made = [(len(who), f, still) for (f, still, _), who in voters.items() if len(who) >= votes]
    done = dict.fromkeys(
        (f, still) for _, f, still in sorted(made, key=lambda one: (-one[0], -one[2].bit_count()))
    )
    return [Candidate(NAMES[f], "^", "", still, FULL, "L0", 2.0, NAMES[f]) for f, still in done]


def stack_defaults(rows: Rows, least: int, explained: np.ndarray) -> list[Family]:
    """Constants that operating systems fill in, among sources that no family explains; most sources first."""
    made: list[Family] = []
    free = ~explained[rows.source]
    for name, column, bits in (("tcp.window", "tcp_window", 16), ("ip.id", "ip_id", 16)):
        values, source = rows.columns[column][free], rows.source[free]
        for value, _ in frequent(values, source, bits, least):
            if name == "ip.id" and value:
                continue
            mine = np.unique(source[values == value])
            made.append(Family(f"{name} == {Const(value)}", "global", mine, 0.0, "L0", {name: 0}))
    return sorted(made, key=lambda f: -len(f.sources))
