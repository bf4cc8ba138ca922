"""The search: layers in order, every candidate verified on all rows, what is explained taken out.

Darknet notes 1.3. In place of one null space over all header bits, each field is explained from small sets of
others, so that 5 to 40 packets of a source are enough where the notes need 75 to 110; arithmetic mixed with
exclusive-or, and non-linear operations, are solved exactly as well (`lift.py`, `meet.py`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from andon.records.expression import equal_on, parse
from andon.records.expression.ast import fields_of
from andon.records.expression.fields import FIELDS

from .conjunctions import conjunctions
from .constants import stack_defaults
from .layers import LAYERS
from .sample import Family, Sample
from .search import Budget, Search
from .verify import Verified

__all__ = ["Budget", "Discovery", "discover"]
_EQUALITY_TUPLES = 60_000


@dataclass
class Discovery:
    """``families``, most sources first; ``stack_defaults``: constants of single fields that systems fill in;
    ``explained``: bool per source of the sample, whether some family has it; ``spent``: CPU seconds per layer;
    ``left_out``: what a bound cut, in words; ``candidates``: relations that were put to all rows; ``chance_families``:
    how many families unrelated traffic would have made of them at most, by the thresholds (`verify.Tally`)."""

    families: list[Family]
    stack_defaults: list[Family]
    explained: np.ndarray
    spent: dict[str, float]
    left_out: list[str] = field(default_factory=list)
    candidates: int = 0
    chance_families: float = 0.0


def discover(
    sample: Sample,
    budget: Budget | None = None,
    telescope_prefixes: Sequence[str] = (),
) -> Discovery:
    """Relations that at least ``budget.min_sources`` sources of the sample share.

    Two found relations that are equal on ``telescope_prefixes`` become one. Deterministic. What ``budget.seconds`` of
    CPU do not reach is left out, and ``left_out`` says what.
    """
    budget = budget or Budget()
    begin = time.process_time()
    spent: dict[str, float] = {}
    search = Search(sample, budget)
    search.refresh()
    spent["prepare"] = time.process_time() - begin
    for name, layer in (*LAYERS, ("conjunctions", conjunctions)):
        t = time.process_time()
        if t - begin > budget.seconds:
            search.left_out.append(f"{name}: the budget of {budget.seconds:g} CPU seconds was spent")
            continue
        search.layer = name
        layer(search)
        spent[name] = time.process_time() - t
    t = time.process_time()
    families = _families(search, telescope_prefixes)
    explained = np.zeros(len(sample.src), np.bool_)
    for family in families:
        explained[family.sources] = True
    defaults = stack_defaults(search.rows, budget.min_sources, explained)
    spent["families"] = time.process_time() - t
    if search.cut:
        parts = ", ".join(f"{name} at {most:,} of {units:,}" for name, (units, most) in search.cut.items())
        search.left_out.append(f"of the groups of packets that one source sent, {parts} were looked at")
    return Discovery(
        families, defaults, explained, spent, search.left_out, search.tally.candidates, search.tally.families
    )


def _families(search: Search, prefixes: Sequence[str]) -> list[Family]:
    """One family per relation, equal ones merged, most sources first."""
    kept: list[Verified] = []
    sources: list[np.ndarray] = []
    for one in search.found:
        for i, other in enumerate(kept):
            same = str(one.expression) == str(other.expression) or (
                bool(prefixes)
                and one.scope == other.scope
                and equal_on(one.expression, other.expression, prefixes, 1, _EQUALITY_TUPLES)
            )
            if same:
                sources[i] = np.union1d(sources[i], one.sources)
                break
        else:
            kept.append(one)
            sources.append(one.sources)
    made = [
        Family(str(v.expression), v.scope, mine, v.bits, v.candidate.layer, _proven(search, v))
        for v, mine in zip(kept, sources, strict=True)
    ]
    return sorted(made, key=lambda f: (-len(f.sources), f.relation))


def _proven(search: Search, found: Verified) -> dict[str, int]:
    """For every field of the relation the bits that varied among the rows that satisfy it."""
    proven: dict[str, int] = {}
    for name in sorted(fields_of(parse(str(found.expression)))):
        column = search.rows.columns[FIELDS[name].column][found.rows]
        proven[name] = int(np.bitwise_or.reduce(column ^ column[0])) if len(column) else 0
    return proven
