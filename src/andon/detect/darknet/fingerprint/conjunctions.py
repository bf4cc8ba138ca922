"""Families whose packets satisfy a second relation too: searched among the family's own packets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from andon.records.expression import canonical, chance_rate, equal_on, evaluate, parse
from andon.records.expression.ast import Comparison, keys_of
from andon.records.expression.keyed import conjuncts
from andon.records.expression.program import compile_program

from .layers import SECOND
from .search import Search
from .verify import Verified
from .words import ID, NAMES, SEQ, SEQ_LOW, WINDOW

MOST_SOURCES = 200
NEW_BITS = 8
_ANYWHERE = ("0.0.0.0/0",)


def conjunctions(search: Search) -> None:
    """Give every family found the further relations that nine tenths of its rows satisfy."""
    settled, still_open, units, refused = search.found, search.open, search.units, search.refused
    for number, family in enumerate(settled):
        chosen = np.zeros(len(search.rows.sizes), np.bool_)
        chosen[family.sources[:: max(1, len(family.sources) // MOST_SOURCES)]] = True
        search.open, search.found, search.refused = family.rows & chosen[search.rows.source], [], set()
        search.skip = _assigned(family)
        search.within = family
        search.refresh()
        for layer in SECOND:
            layer(search)
        joined = family
        for second in search.found:
            joined = _joined(search, joined, second)
        settled[number] = joined
    search.within, search.skip = None, frozenset()
    search.found, search.open, search.units, search.refused = settled, still_open, units, refused


def _assigned(family: Verified) -> frozenset[int]:
    """Fields that the family's relation is solved for; a second relation is about others."""
    left = [str(part.left) for part in conjuncts(family.expression) if isinstance(part, Comparison)]
    skip = {field for field in (SEQ, ID, WINDOW) if NAMES[field] in left}
    return frozenset(skip | ({SEQ_LOW} if SEQ in skip else set()))


def _joined(search: Search, first: Verified, second: Verified) -> Verified:
    both = canonical(parse(f"({first.expression}) and ({second.expression})"))
    if len(keys_of(both)) > 1:
        return first
    bits = float(-np.log2(chance_rate(both)))
    if bits < first.bits + NEW_BITS:
        return first  # it follows from the first, or says what systems fill in by default
    if equal_on(first.expression, both, _ANYWHERE, 1, 6000):
        return first
    rows = first.rows
    if second.scope == "global":
        rows = rows & evaluate(compile_program(second.expression), search.rows.columns)
    if rows.sum() < 0.9 * first.rows.sum():
        return first
    scope = "session" if "session" in (first.scope, second.scope) else "global"
    return replace(first, expression=both, scope=scope, bits=bits, rows=rows)
