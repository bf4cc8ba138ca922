"""L3: which bits of a field are exclusive-or sums of bits of other fields, within the rows of one unit.

The bits of a unit's rows, as differences to its first row (so that an unknown session constant drops out), are
vectors over GF(2) of one coordinate per row. A bit of the target depends affinely on the fields of a set S exactly
if its vector lies in the span of S's bit vectors; a random vector does so with probability 2^(rank - rows).
Sets are tried from small to large; the basis of a set is that of its prefix, extended.
Darknet notes 1.3, layer L3; per set of fields instead of all 128 bits at once, so that 25 packets can be enough.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numba import njit

MOST = 160


@njit(cache=True, nogil=True)
def _planes(fields: Any, rows: Any, wanted: Any, out: Any) -> None:
    """out[f, bit] = two words of difference bits, one per row."""
    for f in range(fields.shape[0]):
        if not wanted[f]:
            continue
        for b in range(32):
            out[f, b, 0] = np.uint64(0)
            out[f, b, 1] = np.uint64(0)
        base = fields[f, rows[0]]
        for r in range(1, len(rows)):
            x = fields[f, rows[r]] ^ base
            w = r >> 6
            at = np.uint64(1) << np.uint64(r & 63)
            b = 0
            while x:
                if x & np.uint32(1):
                    out[f, b, w] |= at
                x = x >> np.uint32(1)
                b += 1


@njit(cache=True, nogil=True)
def _reduce(basis: Any, size: Any, v0: Any, v1: Any) -> Any:
    for i in range(size):
        if (v0 & basis[i, 2]) | (v1 & basis[i, 3]):
            v0 ^= basis[i, 0]
            v1 ^= basis[i, 1]
    return v0, v1


@njit(cache=True, nogil=True)
def span(
    fields: Any,
    starts: Any,
    unit_rows: Any,
    units: Any,
    target: Any,
    depth: Any,
    added: Any,
    masks: Any,
    ranks: Any,
    varying: Any,
) -> None:
    """For every unit and every node of the tree of sets: mask of target bits that vary and lie in the span.

    ``depth``, ``added``: node i adds field ``added[i]`` at depth ``depth[i]`` (depth-first order). ``masks``
    (units, nodes) uint32, ``ranks`` (units, nodes) int32 (-1: not tried) and ``varying`` (units) uint32, the target's
    bits that vary, are filled.
    """
    nodes = len(depth)
    planes = np.zeros((fields.shape[0], 32, 2), np.uint64)
    basis = np.zeros((MOST, 4), np.uint64)
    sizes = np.zeros(8, np.int64)
    wanted = np.zeros(fields.shape[0], np.bool_)
    wanted[target] = True
    for i in range(nodes):
        wanted[added[i]] = True
    zero = np.uint64(0)
    for at in range(len(units)):
        u = units[at]
        rows = unit_rows[starts[u] : starts[u + 1]]
        n = len(rows)
        _planes(fields, rows, wanted, planes)
        varies = np.uint32(0)
        for b in range(32):
            if planes[target, b, 0] | planes[target, b, 1]:
                varies |= np.uint32(1) << np.uint32(b)
        varying[at] = varies
        skip = 99
        for i in range(nodes):
            ranks[at, i] = -1
            masks[at, i] = 0
            d = depth[i]
            if d > skip:
                continue
            skip = 99
            size = sizes[d - 1] if d > 0 else 0
            before = size
            f = added[i]
            for b in range(32):
                v0 = planes[f, b, 0]
                v1 = planes[f, b, 1]
                if (v0 | v1) == zero:
                    continue
                v0, v1 = _reduce(basis, size, v0, v1)
                if v0 != zero:
                    basis[size, 2] = v0 & (~v0 + np.uint64(1))
                    basis[size, 3] = zero
                elif v1 != zero:
                    basis[size, 2] = zero
                    basis[size, 3] = v1 & (~v1 + np.uint64(1))
                else:
                    continue
                basis[size, 0] = v0
                basis[size, 1] = v1
                size += 1
                if size >= n - 2:
                    break
            sizes[d] = size
            if size >= n - 2 or size == before:
                skip = d
                continue
            ranks[at, i] = size
            found = np.uint32(0)
            for b in range(32):
                v0 = planes[target, b, 0]
                v1 = planes[target, b, 1]
                if (v0 | v1) == zero:
                    continue
                v0, v1 = _reduce(basis, size, v0, v1)
                if (v0 | v1) == zero:
                    found |= np.uint32(1) << np.uint32(b)
            masks[at, i] = found
            if found == varies and found:
                skip = d


def tree(fields: list[int], most: int) -> tuple[np.ndarray, np.ndarray, list[tuple[int, ...]]]:
    """All sets of up to ``most`` of the fields in depth-first order: (depth, field added, sets)."""
    sets = sorted(s for n in range(1, most + 1) for s in combinations(range(len(fields)), n))
    return (
        np.array([len(s) - 1 for s in sets], np.int64),
        np.array([fields[s[-1]] for s in sets], np.int64),
        [tuple(fields[i] for i in s) for s in sets],
    )
