"""Pools: the packets of sources that sent few, by the class of their header.

A slow scanner's sources show one to three packets each; together they are a pool in which the family is a share. The
smaller the pool, the larger the share: programs differ in header length (options), initial TTL and in whether they
set the IP identification at all. Darknet notes 1.3, layer L2.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .search import Search
from .words import ID

EACH = 3  # rows of a source
MOST_ROWS = 30_000  # of a pool
MOST_POOLS = 10


def pools(search: Search) -> Iterator[np.ndarray]:
    """Row indices (ascending) of every pool with enough sources, largest last; at most three open rows per source.

    At most ten: the smaller classes share the last one. Pools of more than 30,000 rows keep the sources at equal
    steps, which ``search.left_out`` says.
    """
    at = np.flatnonzero(search.open)
    if not len(at):
        return
    source = search.rows.source[at]
    at = at[rank_within(source) < EACH]
    columns, source = search.rows.columns, search.rows.source[at]
    ttl = np.searchsorted([32, 64, 128], columns["ttl"][at])
    kind = columns["ip_len"][at].astype(np.int64) << 8 | ttl << 1 | (search.fields[ID][at] == 0)
    classes, place = np.unique(kind, return_inverse=True)
    largest = np.argsort(-np.bincount(place), kind="stable")
    number = np.empty(len(classes), np.int64)
    number[largest] = np.minimum(np.arange(len(classes)), MOST_POOLS - 1)  # small classes share the last pool
    found: list[np.ndarray] = []
    for one in range(min(len(classes), MOST_POOLS)):
        rows = at[number[place] == one]
        own = np.unique(search.rows.source[rows])
        if len(own) < search.budget.min_sources:
            continue
        if len(rows) > MOST_ROWS:
            search.left_out.append(f"L2 looked at {MOST_ROWS:,} of {len(rows):,} rows of one header class")
            step = np.arange(0, len(own), len(rows) / MOST_ROWS).astype(np.int64)
            step = step[step < len(own)]  # a step that is no whole number may end on the end itself
            rows = rows[np.isin(search.rows.source[rows], own[step])]
        found.append(rows)
    yield from sorted(found, key=len)


def rank_within(source: np.ndarray) -> np.ndarray:
    """For each row how many rows of its source come before it; ``source`` ascending.

    >>> rank_within(np.array([4, 4, 7, 9, 9, 9])).tolist()
    [0, 1, 0, 0, 1, 2]
    """
    starts = np.flatnonzero(np.r_[True, source[1:] != source[:-1]][: len(source)])
    made: np.ndarray = np.arange(len(source)) - np.repeat(starts, np.diff(np.r_[starts, len(source)]))
    return made
