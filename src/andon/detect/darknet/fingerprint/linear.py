"""L4: sums with coefficients modulo 2^16 or 2^32, solved exactly from a handful of rows of one unit.

``target = a x + b y + c z + constant``: on differences to one row this is a linear system over Z/2^w. Elimination
takes the pivot that is divisible by the lowest power of two (2-adic valuation), and back substitution divides by its
odd part; where a coefficient is determined only modulo a smaller power of two, the smallest signed one is taken.
A few rows are drawn, solved, and the solution is put to all rows of the unit; a foreign row among those drawn makes
the system inconsistent, so it is drawn again. Darknet notes 1.3, layer L4.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
from numba import njit

from .candidate import FULL, Candidate
from .units import Units
from .words import BITS, NAMES, Word, word_of


@njit(cache=True, nogil=True)
def _valuation(x: Any) -> Any:
    if x == np.uint64(0):
        return 64
    n = 0
    while not x & np.uint64(1):
        x >>= np.uint64(1)
        n += 1
    return n


@njit(cache=True, nogil=True)
def _inverse(x: Any) -> Any:
    """Inverse of an odd number modulo 2^64 (Newton)."""
    y = x
    for _ in range(6):
        y = y * (np.uint64(2) - x * y)
    return y


@njit(cache=True, nogil=True)
def solve_mod(m: Any, rows: Any, unknowns: Any, width: Any, out: Any) -> Any:
    """Solve ``m[:, :k] x = m[:, k]`` modulo 2^width in place; True and ``out`` (uint64) if consistent."""
    low = (np.uint64(1) << np.uint64(width)) - np.uint64(1)
    column_at = np.full(unknowns, -1, np.int64)
    used = np.zeros(unknowns, np.bool_)
    rank = 0
    for step in range(unknowns):
        best, br, bc = 64, -1, -1
        for r in range(step, rows):
            for c in range(unknowns):
                if not used[c]:
                    v = _valuation(m[r, c])
                    if v < best:
                        best, br, bc = v, r, c
        if br < 0:
            break
        if br != step:
            for c in range(unknowns + 1):
                x = m[step, c]
                m[step, c] = m[br, c]
                m[br, c] = x
        used[bc] = True
        column_at[step] = bc
        rank += 1
        v = np.uint64(best)
        inverse = _inverse(m[step, bc] >> v)
        for r in range(step + 1, rows):
            if m[r, bc]:
                q = (m[r, bc] >> v) * inverse
                for c in range(unknowns + 1):
                    m[r, c] = (m[r, c] - q * m[step, c]) & low
    for r in range(rank, rows):
        if m[r, unknowns]:
            return False
    for c in range(unknowns):
        out[c] = np.uint64(0)
    for step in range(rank - 1, -1, -1):
        c0 = column_at[step]
        rhs = m[step, unknowns]
        for c in range(unknowns):
            if c != c0:
                rhs = (rhs - m[step, c] * out[c]) & low
        v = _valuation(m[step, c0])
        if rhs & ((np.uint64(1) << np.uint64(v)) - np.uint64(1)):
            return False
        free = np.uint64(width - v)
        span = (np.uint64(1) << free) - np.uint64(1)
        x = ((rhs >> np.uint64(v)) * _inverse(m[step, c0] >> np.uint64(v))) & span
        if v and x >> (free - np.uint64(1)):
            x = (x - (np.uint64(1) << free)) & low
        out[c0] = x
    return True


@njit(cache=True, nogil=True)
def search(
    fields: Any, starts: Any, unit_rows: Any, units: Any, target: Any, target_op: Any, target_n: Any, width: Any,
    word_field: Any, word_op: Any, word_n: Any, sets: Any, seed: Any, out_set: Any, out: Any,
) -> None:  # fmt: skip
    """For every unit the first set of words (row of ``sets``, -1 = none) of which the target is a linear sum.

    ``out_set`` int32: its number or -1; ``out`` (units, 3) uint64: the coefficients.
    """
    low = (np.uint64(1) << np.uint64(width)) - np.uint64(1)
    words = len(word_field)
    values = np.zeros((words + 1, 128), np.uint64)
    m = np.zeros((12, 4), np.uint64)
    x = np.zeros(4, np.uint64)
    chosen = np.zeros(12, np.int64)
    checks = 3 if width == 32 else 6
    state = np.uint64(seed)
    for at in range(len(units)):
        u = units[at]
        out_set[at] = -1
        n = starts[u + 1] - starts[u]
        first = starts[u]
        for r in range(n):
            row = unit_rows[first + r]
            for w in range(words):
                values[w, r] = np.uint64(word_of(word_op[w], word_n[w], fields[word_field[w], row])) & low
            values[words, r] = np.uint64(word_of(target_op, target_n, fields[target, row])) & low
        moving = 0
        for r in range(1, n):
            if values[words, r] != values[words, r - 1]:
                moving += 1
        if moving < checks + 1:
            continue
        for s in range(len(sets)):
            k = 0
            while k < 3 and sets[s, k] >= 0:
                k += 1
            if n < k + 1 + checks:
                continue
            take = min(n, k + 5)
            tries = 1 if n < 12 else 5
            done = False
            for t in range(tries):
                for i in range(take):
                    if t == 0:
                        chosen[i] = i * n // take
                    else:
                        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
                        chosen[i] = np.int64((state >> np.uint64(33)) % np.uint64(n))
                b = chosen[0]
                for i in range(1, take):
                    for c in range(k):
                        m[i - 1, c] = (values[sets[s, c], chosen[i]] - values[sets[s, c], b]) & low
                    m[i - 1, k] = (values[words, chosen[i]] - values[words, b]) & low
                if not solve_mod(m, take - 1, k, width, x):
                    continue
                some = True
                for c in range(k):
                    if x[c] == np.uint64(0):
                        some = False
                if not some:
                    break
                hits = 0
                distinct = 0
                last = values[words, b]
                for r in range(n):
                    y = values[words, r] - values[words, b]
                    for c in range(k):
                        y -= x[c] * (values[sets[s, c], r] - values[sets[s, c], b])
                    if not y & low:
                        hits += 1
                        if values[words, r] != last:
                            distinct += 1
                        last = values[words, r]
                if hits >= k + 1 + checks and distinct >= k + checks and 10 * hits >= 4 * n:
                    done = True
                    break
            if done:
                out_set[at] = s
                for c in range(3):
                    out[at, c] = x[c] if c < k else np.uint64(0)
                break


def linear_candidates(
    fields: np.ndarray, units: Units, which: np.ndarray, target: Word, words: list[Word], sets: np.ndarray, votes: int,
    width: int = 0,
) -> list[tuple[Candidate, np.ndarray]]:  # fmt: skip
    """Linear sums that units of at least ``votes`` sources share, with the indices of those units; most first."""
    width = width or BITS[target.field]
    found = np.empty(len(which), np.int32)
    coefficients = np.zeros((len(which), 3), np.uint64)
    search(
        fields, units.starts, units.rows, which, target.field, target.op, target.n, width,
        np.array([w.field for w in words]), np.array([w.op for w in words]), np.array([w.n for w in words]),
        sets, 1, found, coefficients,
    )  # fmt: skip
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for i in np.flatnonzero(found >= 0).tolist():
        groups[(int(found[i]), *(int(c) for c in coefficients[i]))].append(i)
    made: list[tuple[Candidate, np.ndarray]] = []
    for (s, *factors), members in groups.items():
        mine = which[np.array(members)]
        if len(np.unique(units.source[mine])) < votes:
            continue
        terms = [(words[w], a) for w, a in zip(sets[s].tolist(), factors, strict=True) if w >= 0]
        cost = sum(2.0 if a == 1 else 4.0 for _, a in terms)
        right, mask = linear_text(terms, width), (1 << width) - 1
        made.append((Candidate(str(target), "-", right, mask, FULL, "L4", cost, str(target)), mine))
    return sorted(made, key=lambda one: -len(one[1]))


def linear_text(terms: list[tuple[Word, int]], width: int) -> str:
    """Text of a sum of words with coefficients modulo 2^width, small negative ones as subtraction."""
    text = ""
    for word, a in sorted(terms, key=lambda t: -_signed(t[1], width)):
        signed = _signed(a, width)
        factor = abs(signed) if -4096 < signed < 0 else a
        part = str(word) if factor == 1 else f"({word} * {factor})"
        minus = -4096 < signed < 0
        before = text or "0"
        text = part if not text and not minus else f"({before} {'-' if minus else '+'} {part})"
    return text


def _signed(a: int, width: int) -> int:
    return a - (1 << width) if a >> (width - 1) else a


__all__ = ["NAMES", "linear_candidates", "linear_text", "search", "solve_mod"]
