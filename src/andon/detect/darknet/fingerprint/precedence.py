"""Which of several relations explains a packet: the simplest, and a global one before a session's.

A relation with a free key fits more than it says. Whatever satisfies ``tcp.seq == ip.dst`` also has a key under
``tcp.seq == ip.dst ^ tcp.srcport ^ key32`` as long as it uses one source port (darknet notes 1.3: a one-port Mirai
satisfies Unicornscan's relation). So a session source is taken away where its packets satisfy the relation without its
key and without some of its terms, and where what is left of it beside the global families proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from andon.detect.darknet.fingerprint.judged import kind_of
from andon.detect.darknet.fingerprint.measure import Packets, recognise
from andon.detect.darknet.fingerprint.sample import Family
from andon.records.expression import Comparison, ExpressionError, parse
from andon.records.expression.ast import Key, Sum, Value
from andon.records.expression.evaluate import execute
from andon.records.expression.keyed import conjuncts
from andon.records.expression.program import compile_value

_MOST_TERMS = 5


def simplest_first(
    packets: Packets, families: Sequence[Family], least: int, least_carried: int
) -> list[Family]:
    """The families without session sources that something simpler explains; those that are too small then are left
    out."""
    sample = packets.sample
    taken = np.zeros(sample.rows, np.bool_)
    for family in families:
        if family.scope == "global" and kind_of(family) == "scanner-fingerprint":
            taken[packets.measure(family).rows] = True
    touched = np.bincount(packets.of_row[taken], minlength=len(sample.src)) > 0
    kept = []
    for family in families:
        if family.scope == "session":
            before = len(family.sources)
            family = replace(family, sources=family.sources[~_simpler(packets, family)[family.sources]])
            if touched[family.sources].any():
                again = recognise(packets, family.relation, "session", 1, ~taken)
                proved = again[0].sources if again is not None else np.empty(0, np.int64)
                sources = family.sources
                family = replace(family, sources=sources[~touched[sources] | np.isin(sources, proved)])
            enough = least_carried if family.layer == "carried" else least
            if len(family.sources) < min(enough, before):
                continue
        kept.append(family)
    return kept


def _simpler(packets: Packets, family: Family) -> np.ndarray:
    """Bool per source of the sample: most of its packets under one key satisfy the relation without the key and without
    some of its terms."""
    found = np.zeros(len(packets.sample.src), np.bool_)
    try:
        rows, keys = packets.carried(family.relation)
        parts = [p for p in conjuncts(parse(family.relation)) if isinstance(p, Comparison)]
    except ExpressionError:
        return found
    if not len(keys):
        return found
    of = packets.of_row[rows]
    every = np.bincount(of, minlength=len(found))
    for part in parts:
        terms = _terms(part.right)
        if not any(isinstance(term, Key) for term in terms):
            continue
        free = [term for term in terms if not isinstance(term, Key)][:_MOST_TERMS]
        left = _values(part.left, packets)[rows]
        for size in range(1, len(free)):
            for chosen in combinations(free, size):
                right = _values(chosen[0], packets)[rows].copy()
                for term in chosen[1:]:
                    right ^= _values(term, packets)[rows]
                agree = np.bincount(of[left == right], minlength=len(found))
                found |= (agree * 2 > every) & (agree >= 2)
    return found


def _terms(value: Value) -> tuple[Value, ...]:
    return value.terms if isinstance(value, Sum) and value.op == "^" else (value,)


def _values(value: Value, packets: Packets) -> np.ndarray:
    found: np.ndarray = execute(compile_value(value), packets.columns, values=True)[1]
    return found
