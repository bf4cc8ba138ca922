"""From bits to words: the shortest exclusive-or of words that explains bit relations found in one unit.

That a bit of the target is *some* exclusive-or of bits of S is known from `span.py`; which one is ambiguous where
bits move together (five ports, five blocks of addresses). So instead of reading it off a reduced basis, the natural
ways to write it (rotations, shifts, byte swaps, halves of the fields) are tried: a sum of up to three words agrees
with the target on a bit if their difference vectors are equal. Vectors are compared through a hash that is linear
over GF(2), so a sum costs one exclusive-or per word and bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from .candidate import FULL, Candidate
from .words import BITS, NAMES, Word, word_of, words_of


@njit(cache=True, nogil=True)
def _hashes(fields: Any, rows: Any, which: Any, ops: Any, amounts: Any, salt: Any) -> Any:
    """(words, 32) uint64: hash of every word's bit vectors over the rows, as differences to the first row."""
    out = np.zeros((len(which), 32), np.uint64)
    for w in range(len(which)):
        x = fields[which[w]]
        base = word_of(ops[w], amounts[w], x[rows[0]])
        for r in range(1, len(rows)):
            y = np.uint32(word_of(ops[w], amounts[w], x[rows[r]]) ^ base)
            b = 0
            while y:
                if y & np.uint32(1):
                    out[w, b] ^= salt[r]
                y = np.uint32(y >> np.uint32(1))
                b += 1
    return out


@njit(cache=True, nogil=True)
def _search(
    target: Any, bits: Any, width: Any, h: Any, cost: Any, a: Any, b: Any, c: Any, ceiling: Any
) -> Any:
    """Cheapest (i, j, k) of words from slots ``a``, ``b``, ``c`` (-1 = none) that agree on all of ``bits``."""
    best = ceiling
    found = np.full(3, -1, np.int64)
    first = bits[0]
    for i in a:
        hi = h[i]
        for j in b:
            if j >= 0:
                ij = cost[i] + cost[j] + 1.0
                x = target[first] ^ hi[first] ^ h[j, first]
            else:
                ij = cost[i]
                x = target[first] ^ hi[first]
            if ij >= best:
                continue
            for k in c:
                total = ij
                if k >= 0:
                    total += cost[k] + 1.0
                    if x != h[k, first]:
                        continue
                elif x != np.uint64(0):
                    continue
                if total >= best or (j >= 0 and i == j) or (k >= 0 and k in (i, j)):
                    continue
                fits = True
                for t in bits:
                    y = target[t] ^ hi[t]
                    if j >= 0:
                        y ^= h[j, t]
                    if k >= 0:
                        y ^= h[k, t]
                    if y != np.uint64(0):
                        fits = False
                        break
                if not fits:
                    continue
                # Constant bits of the target where the sum varies: an AND- or OR-mask. The more ragged, the dearer.
                before = False
                for t in range(width):
                    y = hi[t]
                    if j >= 0:
                        y ^= h[j, t]
                    if k >= 0:
                        y ^= h[k, t]
                    cut = target[t] == np.uint64(0) and y != np.uint64(0)
                    if cut != before:
                        total += 0.6
                    before = cut
                if total < best:
                    best = total
                    found[0] = i
                    found[1] = j
                    found[2] = k
    return found, best


def explain(
    fields: np.ndarray,
    rows: np.ndarray,
    target: int,
    others: tuple[int, ...],
    mask: int,
    layer: str,
    name: str = "",
    width: int = 0,
    turned: str = "",
) -> list[Candidate]:
    """Candidates for ``target``'s bits in ``mask`` as a sum of words of the fields ``others``; cheapest first.

    ``fields``: (8, n) uint32; ``rows``: the unit's rows. Empty when no sum of up to three words fits.
    """
    lists = [words_of(f) for f in others]
    flat: list[Word] = [Word(target, 0, 0, 1.0), *(w for words in lists for w in words)]
    salt = np.random.default_rng(7).integers(1, 2**63, len(rows), dtype=np.uint64)
    table = np.array([(w.field, w.op, w.n) for w in flat])
    h = _hashes(fields, rows, table[:, 0], table[:, 1], table[:, 2], salt)
    cost = np.array([w.cost for w in flat])
    edges = np.r_[1, 1 + np.cumsum([len(words) for words in lists])]
    slots = [np.arange(edges[i], edges[i + 1]) for i in range(len(lists))]
    none = np.array([-1])
    width = width or BITS[target]
    bits = np.array([b for b in range(width) if mask >> b & 1])
    shapes: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    if len(slots) == 1:
        (x,) = slots
        shapes = [(x, none, none), (x, x, none), (x, x, x)]
    elif len(slots) == 2:
        x, y = slots
        shapes = [(x, y, none), (x, x, y), (x, y, y)]
    else:
        shapes = [(slots[0], slots[1], slots[2])]
    best, chosen = 1e9, np.full(3, -1, np.int64)
    for a, b, c in shapes:
        found, price = _search(h[0], bits, width, h, cost, a, b, c, best)
        if found[0] >= 0:
            best, chosen = price, found
            break
    if chosen[0] < 0:
        return []
    picked = [flat[number] for number in chosen.tolist() if number >= 0]
    total = np.zeros(32, np.uint64)
    for number in chosen.tolist():
        if number >= 0:
            total ^= h[number]
    cut = still = 0
    for place in range(width):
        if h[0, place] == 0 and total[place] != 0:
            cut |= 1 << place
        elif h[0, place] == total[place]:
            still |= 1 << place
    right = " ^ ".join(str(w) for w in picked)
    name = name or NAMES[target]
    field = turned or name
    made = [Candidate(name, "^", right, still, FULL, layer, best, field)]
    if cut:
        made.insert(0, Candidate(name, "^", right, still | cut, FULL & ~cut, layer, best + 1, field))
    return made
