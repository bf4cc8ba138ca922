"""L2: what no single source shows: relations of senders that sent one to three packets each.

Each pool (`pools.py`) is searched for dependence between fields in three ways: sums of words on unknown bits
(`masked.py`), products (`multiples.py`), bit parities (`parity.py`). What is found is a candidate for the search to
verify, or a cluster of rows of one family, given to the exact layers as units. Darknet notes 1.3, layer L2.

Cost: a pool of n rows takes two transforms of 65,536 values for each of 1,100 sums (0.4 s whatever n is), at most 39
forms times 60 million row visits, and 340,000 parities of n / 64 words; n is at most 30,000. Session keys: linear in n.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from .again import L2
from .candidate import Candidate, values
from .fragments import is_fragment, selects
from .masked import Masked, masked_sums, read
from .multiples import WORK, products
from .parity import as_units, cluster
from .pooled import session_candidates
from .pools import EACH, MOST_ROWS, pools, rank_within
from .search import Search
from .units import Units
from .words import BITS, SEQ_HIGH, SEQ_LOW

MOST_TRIED = 12
MOST_CLUSTERS = 12
MOST_WORK = 160_000_000
Step = Callable[[Search, np.ndarray], Iterator[Units]]


def pooled_units(search: Search) -> Iterator[Units]:
    """Considers candidates of every pool, and yields clusters of rows as units for the layers that need one program.

    The caller may close rows of the search between two units.
    """
    turn = search.budget.turn
    if turn.mine([True], L2, 2):
        _sessions(search)
    every = [pool for pool in turn.mine([None, *pools(search)], L2, 2) if pool is not None]
    for pool in every:
        steps: list[Step] = [partial(_products, work=min(WORK, MOST_WORK // len(every))), _masked, _clusters]
        while steps:
            step = steps.pop(0)
            rows = pool[search.open[pool]]
            if not _enough(search, rows):
                break
            before = len(search.found)
            for units in step(search, rows):
                at = len(search.found)
                yield units
                _refuse_fragments(search, pool, at)
            if step is _masked and len(search.found) > before:
                steps.insert(0, _last)


def _last(search: Search, rows: np.ndarray) -> Iterator[Units]:
    """Once more, without the rows of what was found: a smaller pool shows smaller families."""
    return _masked(search, rows)


def _sessions(search: Search) -> None:
    """Relations with a key of each session, from sources with two packets or three."""
    at = np.flatnonzero(search.open)
    if not len(at):
        return
    source = search.rows.source[at]
    several = np.bincount(source)[source] >= 2
    rows = at[(rank_within(source) < EACH) & several]
    if len(rows) > 2 * MOST_ROWS:
        search.left_out.append(f"L2 looked for keys in {2 * MOST_ROWS:,} of {len(rows):,} rows")
        rows = rows[: 2 * MOST_ROWS]
    for tried, candidate in enumerate(session_candidates(search.fields, rows, search.budget.min_sources)):
        if tried >= MOST_TRIED:
            return
        before = len(search.found)
        search.consider([candidate])
        _refuse_fragments(search, at, before)


def _clusters(search: Search, rows: np.ndarray) -> Iterator[Units]:
    for _ in range(MOST_CLUSTERS):
        rows = rows[search.open[rows]]
        one = cluster(search.fields, rows)
        before = len(search.found)
        if not len(one):
            return
        yield as_units(one, search.rows.source)
        if len(search.found) == before:
            return


def _refuse_fragments(search: Search, pool: np.ndarray, at: int) -> None:
    """Take back what the layers found in a cluster from ``search.found[at:]`` on if it is part of something richer."""
    if len(search.found) == at:
        return
    # With the rows of all of them: siblings were found one after the other.
    before = search.open | np.logical_or.reduce([one.rows for one in search.found[at:]])
    rows = pool[before[pool]]
    for one in search.found[at:]:
        c = one.candidate
        hit, dst = one.rows[rows], search.rows.columns["dst"][rows]
        mine = {name: column[rows[hit]] for name, column in search.rows.columns.items()}
        left = values(f"({c.left}) & {c.mask}", mine)
        still = bool(c.right) and len(np.unique(left)) < 8  # a constant in other words
        if (
            still
            or (hit.any() and selects(dst[hit], dst))
            or (one.scope == "global" and _fragment(search, rows, c))
        ):
            search.found.remove(one)
            search.refused.add(c.residue)
            search.open = search.open | one.rows


def _enough(search: Search, rows: np.ndarray) -> bool:
    return len(np.unique(search.rows.source[rows])) >= 0.75 * search.budget.min_sources


def _masked(search: Search, rows: np.ndarray) -> Iterator[Units]:
    """Sums of words on some bits; sums whose rows another one has taken in the meantime are passed over."""
    tried = 0
    for one in masked_sums(search.fields, rows, search.rows.source, search.budget.min_sources):
        hit = one.rows[search.open[one.rows]]
        if len(hit) < 0.5 * len(one.rows) or not _enough(search, hit):
            continue
        tried += 1
        if tried > MOST_TRIED:
            return
        before = len(search.found)
        if BITS[one.target] == 16 and one.target not in (SEQ_LOW, SEQ_HIGH):
            strangers = (len(rows) - len(one.rows)) / 2.0 ** one.mask.bit_count()
            made = read(search.fields, replace(one, rows=hit), strangers / len(one.rows))
            if not _fragment(search, rows[search.open[rows]], made):
                search.consider([made])
        if len(search.found) == before:
            purer = cluster(search.fields, hit, 5.0)
            yield as_units(purer if len(purer) else hit, search.rows.source)
        if len(search.found) > before:
            tried = 0


def _products(search: Search, rows: np.ndarray, work: int) -> Iterator[Units]:
    columns = {name: column[rows] for name, column in search.rows.columns.items()}
    for candidate, hit in products(columns, search.budget.min_sources, work):
        mine = rows[hit]
        mine = mine[search.open[mine]]
        if not _enough(search, mine):
            continue
        if candidate is None:
            yield as_units(mine, search.rows.source)
        elif not _fragment(search, rows, candidate):
            search.consider([candidate])


def _fragment(search: Search, rows: np.ndarray, candidate: Candidate) -> bool:
    columns = {name: column[rows] for name, column in search.rows.columns.items()}
    known = "tcp.dstport" in candidate.residue
    return is_fragment(values(candidate.residue, columns), columns["dst_port"], candidate.op == "^", known)


__all__ = ["Masked", "pooled_units"]
