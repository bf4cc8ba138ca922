"""L5: two fields under a non-linear operation, found by meeting in the middle.

Of four or five rows of one unit, every left form (the target, turned, or less one other word) and every right form
(``a op b`` of two words, op one of & | * + - << >>) leaves differences to the first row. Where a left and a right
form leave the same differences, exclusive-or or arithmetic, they differ by a constant, and that is a relation.
The left forms' differences lie in a hash table; each right form costs one look-up. Three sources must agree.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from .candidate import FULL, Candidate
from .units import Units
from .words import (
    BITS,
    DPORT,
    DST,
    ID,
    LOW,
    NAMES,
    PLAIN,
    ROTL,
    ROTL_LOW,
    SEQ,
    SHL,
    SHR,
    SPORT,
    SWAP,
    WINDOW,
    Word,
    word_of,
)  # fmt: skip

OPERATORS = ("&", "|", "*", "+", "-", "<<", ">>")
_SLOTS = 1 << 11
_FORM_BITS = 11  # of each number of a form


@njit(cache=True, nogil=True, inline="always")
def _apply(op: Any, a: Any, b: Any) -> Any:
    if op == 0:
        return np.uint32(a & b)
    if op == 1:
        return np.uint32(a | b)
    if op == 2:
        return np.uint32(a * b)
    if op == 3:
        return np.uint32(a + b)
    if op == 4:
        return np.uint32(a - b)
    if b > np.uint32(31):
        return np.uint32(0)
    if op == 5:
        return np.uint32(a << b)
    return np.uint32(a >> b)


@njit(cache=True, nogil=True, inline="always")
def _mark(values: Any, rows: Any, mode: Any, low: Any) -> Any:
    """64-bit hash of the differences; 0 if the first two do not both differ."""
    h = np.uint64(mode + 1)
    same = 0
    for r in range(1, rows):
        d = (values[r] ^ values[0]) & low if mode == 0 else np.uint32(values[r] - values[0]) & low
        if d == np.uint32(0):
            same += 1
        h = (h ^ np.uint64(d)) * np.uint64(0x9E3779B97F4A7C15)
        h ^= h >> np.uint64(31)
    if same * 2 >= rows - 1:
        return np.uint64(0)
    return h


@njit(cache=True, nogil=True)
def meet(
    fields: Any, starts: Any, unit_rows: Any, units: Any, target: Any, width: Any, turn_op: Any, turn_n: Any,
    word_field: Any, word_op: Any, word_n: Any, tries: Any, found: Any,
) -> Any:  # fmt: skip
    """Fill ``found`` (m, 6) int32: unit, left form, mode, operator, word a, word b (+ 1000 for its high half).

    Left forms: turns first, then target ^ word, then target - word. Returns how many were found.
    """
    turns, words = len(turn_op), len(word_field)
    low = np.uint32(0xFFFFFFFF) if width == 32 else np.uint32(0xFFFF)
    rows = 4 if width == 32 else 6
    table = np.zeros(_SLOTS, np.uint64)
    owner = np.zeros(_SLOTS, np.int64)
    w = np.zeros((words, 8), np.uint32)
    moving = np.zeros(words, np.bool_)
    t = np.zeros(8, np.uint32)
    x = np.zeros(8, np.uint32)
    y = np.zeros(8, np.uint32)
    count = 0
    state = np.uint64(12345)
    for at in range(len(units)):
        u = units[at]
        n = starts[u + 1] - starts[u]
        if n < rows + 2:
            continue
        done = False
        for trial in range(tries):
            for r in range(rows):
                if trial == 0:
                    row = unit_rows[starts[u] + r * n // rows]
                else:
                    state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
                    row = unit_rows[starts[u] + np.int64((state >> np.uint64(33)) % np.uint64(n))]
                t[r] = fields[target, row]
                for i in range(words):
                    w[i, r] = word_of(word_op[i], word_n[i], fields[word_field[i], row])
            for i in range(words):
                moving[i] = False
                for r in range(1, rows):
                    if w[i, r] != w[i, 0]:
                        moving[i] = True
            table[:] = np.uint64(0)
            for form in range(turns + 2 * words):
                if form >= turns and not moving[(form - turns) % words]:
                    continue
                for r in range(rows):
                    if form < turns:
                        x[r] = word_of(turn_op[form], turn_n[form], t[r])
                    elif form < turns + words:
                        x[r] = t[r] ^ w[form - turns, r]
                    else:
                        x[r] = np.uint32(t[r] - w[form - turns - words, r])
                for mode in range(2):
                    h = _mark(x, rows, mode, low)
                    if h == np.uint64(0):
                        continue
                    slot = np.int64(h & np.uint64(_SLOTS - 1))
                    while table[slot] != np.uint64(0) and table[slot] != h:
                        slot = (slot + 1) & (_SLOTS - 1)
                    if table[slot] == np.uint64(0):
                        table[slot] = h
                        owner[slot] = form * 2 + mode
            for a in range(words):
                if not moving[a]:
                    continue
                for b in range(words):
                    if not moving[b] or (word_field[a] == word_field[b] and a == b):
                        continue
                    for op in range(7):
                        if (op < 4) and b < a:
                            continue
                        if (op < 2 or op >= 5) and word_field[b] == word_field[a]:
                            continue
                        for high in range(2 if width == 16 and op >= 1 else 1):
                            for r in range(rows):
                                v = _apply(op, w[a, r], w[b, r])
                                y[r] = v >> np.uint32(16) if high else v
                            for mode in range(2):
                                h = _mark(y, rows, mode, low)
                                if h == np.uint64(0):
                                    continue
                                slot = np.int64(h & np.uint64(_SLOTS - 1))
                                while table[slot] != np.uint64(0) and table[slot] != h:
                                    slot = (slot + 1) & (_SLOTS - 1)
                                if table[slot] == h and count < len(found):
                                    found[count, 0] = u
                                    found[count, 1] = owner[slot] >> 1
                                    found[count, 2] = mode
                                    found[count, 3] = op
                                    found[count, 4] = a
                                    found[count, 5] = b + 1000 * high
                                    count += 1
                                    done = True
            if done:
                break
    return count


def base_words(target: int) -> list[Word]:
    """The words that take part as operands: few, and the ones that programmers use."""
    made: list[Word] = []
    for field in (DST, SEQ, SPORT, DPORT, ID, WINDOW):
        if field == target:
            continue
        shapes: tuple[tuple[int, int], ...]
        if BITS[field] == 32:
            shapes = ((PLAIN, 0), (LOW, 0), (SHR, 16), (SWAP, 0), (SHR, 8), (SHL, 8), (SHL, 16), (SHR, 24))
        else:
            shapes = ((PLAIN, 0), (SHL, 16), (ROTL_LOW, 8), (SHL, 8), (SHR, 8))
        made += [Word(field, op, n, 1.0 if op == PLAIN else 2.0) for op, n in shapes]
    return made


def turns_of(target: int) -> list[Word]:
    """The target itself, rotated and byte-swapped."""
    if BITS[target] == 32:
        return [Word(target, PLAIN, 0, 1.0), Word(target, SWAP, 0, 2.0)] + [
            Word(target, ROTL, n, 3.0) for n in range(1, 32)
        ]
    return [Word(target, PLAIN, 0, 1.0)] + [Word(target, ROTL_LOW, n, 3.0) for n in range(1, 16)]


def _voted(found: np.ndarray, source: np.ndarray, votes: int) -> list[tuple[list[int], np.ndarray]]:
    """Forms (all but the unit) that units of at least ``votes`` sources share, with these sources (ascending); in the
    order in which they were found."""
    form = np.zeros(len(found), np.int64)
    for column in range(1, found.shape[1]):
        form = form << _FORM_BITS | found[:, column]
    forms, first, of = np.unique(form, return_index=True, return_inverse=True)
    pairs = np.unique(of.astype(np.int64) << 32 | source[found[:, 0]])
    edges = np.searchsorted(pairs >> 32, np.arange(len(forms) + 1))
    enough = np.flatnonzero(np.diff(edges) >= votes)
    return [
        (found[first[i], 1:].tolist(), pairs[edges[i] : edges[i + 1]] & 0xFFFFFFFF)
        for i in enough[np.argsort(first[enough])].tolist()
    ]


def meet_candidates(
    fields: np.ndarray, units: Units, which: np.ndarray, target: int, votes: int
) -> list[tuple[Candidate, np.ndarray]]:
    """Relations with a two-field operation that at least ``votes`` sources share; most votes, then plainest, first."""
    words, turns = base_words(target), turns_of(target)
    found = np.zeros((200_000, 6), np.int32)
    count = meet(
        fields, units.starts, units.rows, which, target, BITS[target],
        np.array([w.op for w in turns]), np.array([w.n for w in turns]),
        np.array([w.field for w in words]), np.array([w.op for w in words]), np.array([w.n for w in words]), 3, found,
    )  # fmt: skip
    made: list[tuple[float, Candidate, np.ndarray]] = []
    mask = FULL if BITS[target] == 32 else 0xFFFF
    for (form, mode, op, a, b), sources in _voted(found[:count], units.source, votes):
        name = NAMES[target]
        cost = words[a].cost + words[b % 1000].cost + 2.0
        if form < len(turns):
            left, cost = str(turns[form]), cost + turns[form].cost - 1
        else:
            extra = words[(form - len(turns)) % len(words)]
            left = f"{name} {'^' if form < len(turns) + len(words) else '-'} {extra}"
            cost += extra.cost + 1
        right = f"{words[a]} {OPERATORS[op]} {words[b % 1000]}"
        if b >= 1000:
            right, cost = f"hi16({right})", cost + 1
        made.append(
            (
                cost - 0.2 * len(sources),
                Candidate(left, "^" if mode == 0 else "-", right, mask, FULL, "L5", cost, name),
                sources,
            )
        )
    return [(candidate, who) for _, candidate, who in sorted(made, key=lambda one: one[0])]
