"""L5: whatever a few words determine from the lowest bit upward, turned or not; how they do so is read off after.

If the target, perhaps less one field and perhaps rotated, is a triangular function of some words (`shapes.py`), its
bit 0 is a function of their bits 0, its bit 1 of their bits 0 and 1, and so on. That can be seen without knowing the
function: rows that agree in the words' low bits must agree in the target's. One look costs a few operations on words
of 64 rows, so hundreds of thousands of combinations of words (fields, their rotations, shifts, halves; sums and
products of two fields, rotated) are put to the question for one unit, and only where the answer is yes the
shapes and their constants are tried.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import njit

from andon.records.expression import Comparison, ExpressionError, parse
from andon.records.expression.algebra import normal
from andon.records.expression.ast import fields_of
from andon.records.expression.keyed import keyed_form

from .candidate import FULL, Candidate
from .plan import Plan, plan
from .shapes import ADDC, XORC, first_fit, shapes
from .words import (
    BITS,
    ID,
    LOW,
    NAMES,
    PLAIN,
    SEQ,
    SEQ_HIGH,
    SHL,
    SHR,
    SPORT,
    SWAP,
    WINDOW,
    word_of,
)  # fmt: skip

_FIELD = {SEQ: "tcp.seq", ID: "ip.id", WINDOW: "tcp.window", SPORT: "tcp.srcport", SEQ_HIGH: "tcp.seq"}
LEVELS = 3
LEAST_BITS = 28  # of evidence that the words determine the target
MOST_ROWS = 96
LEAST_ROWS = 16
MOST_TRIED = 12
MOST_FAILED = 3
MOST_IN_ALL = 150  # combinations that no shape explained, over all units: then no more shapes are tried
FITTED_ROWS = 40  # a shape is fitted to these, then put to all
TARGETS = (SEQ, ID, WINDOW, SPORT, SEQ_HIGH)


def _bases(of: Plan, fields: np.ndarray) -> np.ndarray:
    """(bases, rows) uint32 for a unit's rows; ``fields`` (10, rows)."""
    out = np.empty((len(of.bases), fields.shape[1]), np.uint32)
    known = SEQ_HIGH + 1
    out[:known] = fields
    for at, (a, sign, b) in enumerate(of.made, known):
        x, y = (_one(fields[f], op, n) for f, op, n in (a, b))
        out[at] = (x ^ y, x + y, x - y, x & y, x | y, x * y)[sign]
    return out


def _one(x: np.ndarray, op: int, n: int) -> Any:
    if op == PLAIN:
        return x
    if op == SHL:
        return x << np.uint32(n)
    if op == SHR:
        return x >> np.uint32(n)
    return x & np.uint32(0xFFFF) if op == LOW else x.byteswap()


@njit(cache=True, nogil=True)
def low_planes(bases: Any, parts: Any, planes: Any) -> None:
    """``planes`` (parts, LEVELS, 2) uint64: the lowest bits of every part, one bit per row."""
    rows = bases.shape[1]
    one = np.uint64(1)
    for p in range(len(parts)):
        base, op, n = parts[p, 0], parts[p, 1], parts[p, 2]
        for half in range(2):
            a = np.uint64(0)
            b = np.uint64(0)
            c = np.uint64(0)
            for r in range(64 * half, min(rows, 64 * half + 64)):
                x = np.uint64(word_of(op, n, bases[base, r]))
                at = np.uint64(r - 64 * half)
                a |= (x & one) << at
                b |= (x >> one & one) << at
                c |= (x >> np.uint64(2) & one) << at
            planes[p, 0, half] = a
            planes[p, 1, half] = b
            planes[p, 2, half] = c


@njit(cache=True, nogil=True)
def _count(x: Any) -> Any:
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True, nogil=True)
def determined(planes: Any, lefts: Any, tuples: Any, rows: Any, least: Any, out: Any) -> Any:
    """Fill ``out`` (m, 2) int64 with (left, tuple) numbers where the tuple's words determine the left's low bits.

    Returns how many; stops when ``out`` is full. Evidence: rows beyond the first in each class of equal low bits.
    """
    found = 0
    one = np.uint64(1)
    zero = np.uint64(0)
    all0 = ~zero if rows >= 64 else (one << np.uint64(rows)) - one
    all1 = zero if rows <= 64 else (~zero if rows >= 128 else (one << np.uint64(rows - 64)) - one)
    m0 = np.zeros(512, np.uint64)
    m1 = np.zeros(512, np.uint64)
    levels = planes.shape[1]
    moves = np.zeros(len(planes), np.bool_)
    for p in range(len(planes)):
        ones = _count(planes[p, 0, 0]) + _count(planes[p, 0, 1])
        moves[p] = min(ones, rows - ones) * 12 >= rows
    live = np.zeros((len(lefts), levels), np.bool_)
    for i in range(len(lefts)):
        for k in range(levels):
            ones = _count(planes[lefts[i], k, 0]) + _count(planes[lefts[i], k, 1])
            live[i, k] = min(ones, rows - ones) * 5 >= rows
    for t in range(len(tuples)):
        words = 0
        while words < 3 and tuples[t, words] >= 0:
            words += 1
        still = False
        for w in range(words):
            if not moves[tuples[t, w]]:
                still = True
        if still:
            continue
        # Classes of rows that are equal in the words' bits 0.
        m0[0] = all0
        m1[0] = all1
        size = 1
        for w in range(words):
            a0 = planes[tuples[t, w], 0, 0]
            a1 = planes[tuples[t, w], 0, 1]
            for c in range(size):
                m0[size + c] = m0[c] & a0
                m1[size + c] = m1[c] & a1
                m0[c] &= ~a0
                m1[c] &= ~a1
            size *= 2
        for i in range(len(lefts)):
            if not moves[lefts[i]]:
                continue
            left = lefts[i]
            l0 = planes[left, 0, 0]
            l1 = planes[left, 0, 1]
            good = True
            for c in range(size):
                x0 = l0 & m0[c]
                x1 = l1 & m1[c]
                if (x0 != zero or x1 != zero) and (x0 != m0[c] or x1 != m1[c]):
                    good = False
                    break
            if not good:
                continue
            evidence = _evidence(planes, left, tuples[t], words, rows, all0, all1, live[i], levels)
            if evidence >= least and found < len(out):
                out[found, 0] = i
                out[found, 1] = t
                found += 1
                if found == len(out):
                    return found
    return found


@njit(cache=True, nogil=True)
def _evidence(
    planes: Any, left: Any, words: Any, count: Any, rows: Any, all0: Any, all1: Any, live: Any, levels: Any
) -> Any:
    """Bits of evidence over the levels; -1 where a level is not determined."""
    zero = np.uint64(0)
    m0 = np.zeros(512, np.uint64)
    m1 = np.zeros(512, np.uint64)
    m0[0] = all0
    m1[0] = all1
    size = 1
    total = 0
    for k in range(levels):
        if size << count > 512:
            break
        for w in range(count):
            a0 = planes[words[w], k, 0]
            a1 = planes[words[w], k, 1]
            for c in range(size):
                m0[size + c] = m0[c] & a0
                m1[size + c] = m1[c] & a1
                m0[c] &= ~a0
                m1[c] &= ~a1
            size *= 2
        classes = 0
        for c in range(size):
            if m0[c] == zero and m1[c] == zero:
                continue
            classes += 1
            x0 = planes[left, k, 0] & m0[c]
            x1 = planes[left, k, 1] & m1[c]
            if (x0 != zero or x1 != zero) and (x0 != m0[c] or x1 != m1[c]):
                return -1
        if live[k]:
            total += rows - classes
    return total


def solved(
    fields: np.ndarray, target: int, failed: Counter[tuple[int, ...]], most_hits: int = 60
) -> tuple[list[list[Candidate]], int]:
    """Relations of one unit's rows, each as candidates with another constant left open; and the bits of the target's
    field that words determine in a way that no shape explains.

    ``fields`` (10, rows) uint32, 16 rows at least; the first 96 count. ``failed`` counts combinations that no shape
    explained; after three units (foreign rows are enough to fail) they are not tried again.
    """
    of = plan(target)
    fields = fields[:, :MOST_ROWS]
    rows = fields.shape[1]
    bases = _bases(of, fields)
    table = of.table
    planes = np.zeros((len(table), LEVELS, 2), np.uint64)
    low_planes(bases, table, planes)
    hits = np.zeros((most_hits, 2), np.int64)
    hidden = 0
    made: list[list[Candidate]] = []
    for lefts, tuples in (
        (of.lefts[: of.plain], of.single),
        (of.lefts[: of.plain], of.several),
        (_less(of, planes, rows), of.narrow),
    ):
        count = determined(planes, lefts, tuples, rows, LEAST_BITS, hits)
        order = sorted(
            range(count), key=lambda i: of.parts[lefts[hits[i, 0]]].cost + sum(
                of.parts[w].cost + 1 for w in tuples[hits[i, 1]] if w >= 0)
        )  # fmt: skip
        for i in order[:MOST_TRIED]:
            left, words = int(lefts[hits[i, 0]]), [int(w) for w in tuples[hits[i, 1]] if w >= 0]
            if failed[(target, left, *words)] >= MOST_FAILED or failed[(target,)] >= MOST_IN_ALL:
                continue
            one = _shaped(of, bases, left, words)
            if one:
                made.append(one)
                if len(made) >= 2:
                    return made, 0
            else:
                failed[(target, left, *words)] += 1
                failed[(target,)] += 1
        if made:
            return made, 0
        for left in np.unique(hits[:count, 0]).tolist():
            hidden |= _places(of, int(lefts[left]))
    return made, hidden


def _places(of: Plan, left: int) -> int:
    """Which bits of the target's field are the low bits of a left side."""
    part = of.parts[left]
    if BITS[of.target] == 16:
        found = sum(1 << (k - part.n) % 16 for k in range(LEVELS))
        return found << 16 if of.target == SEQ_HIGH else found
    places = [(k - part.n) % 32 for k in range(LEVELS)]
    if part.op == SWAP:
        places = [24 - (place & 24) | place & 7 for place in places]
    return sum(1 << place for place in places)


def _less(of: Plan, planes: np.ndarray, rows: int) -> np.ndarray:
    """The left sides less a field, where the target itself varies in the low bits: else the field determines them."""
    ones = np.bitwise_count(planes[of.lefts[: of.plain], :2]).sum(axis=2)
    moves = (np.minimum(ones, rows - ones) * 5 >= rows).all(axis=1)
    others = of.lefts[of.plain :]
    return others[np.resize(moves, len(others))]


def _values(of: Plan, bases: np.ndarray, part: int) -> np.ndarray:
    p = of.parts[part]
    return np.array([word_of(p.op, p.n, x) for x in bases[p.base]], np.uint32)


def _shaped(of: Plan, bases: np.ndarray, left: int, words: list[int]) -> list[Candidate]:
    """Candidates for a left side that the words determine; empty if no shape fits."""
    width = BITS[of.target]
    target = _values(of, bases, left)
    values = np.stack([_values(of, bases, w) for w in words])
    out = np.zeros(3, np.uint32)
    for leaves, effort in _leaves(len(words)):
        of_shapes = shapes(leaves)
        number = first_fit(
            of_shapes.code, of_shapes.lines, of_shapes.constants, values, min(len(target), FITTED_ROWS), target, width,
            np.array(effort, np.int64), out,
        )  # fmt: skip
        if number >= 0:
            return list(_candidates(of, left, words, leaves, number, out.tolist()))
    return []


def _leaves(count: int) -> Iterator[tuple[tuple[int, ...], tuple[int, int]]]:
    """Which words stand in the shapes to try, and how many choices a shape and all of them may cost."""
    if count == 1:
        yield from (((0,), (4000, 150_000)), ((0, 0), (400, 60_000)))
    elif count == 2:
        yield from (((0, 1), (400, 80_000)), ((0, 0, 1), (300, 30_000)), ((0, 1, 1), (300, 30_000)))
    else:
        yield (0, 1, 2), (300, 60_000)


def _candidates(
    of: Plan, left: int, words: list[int], leaves: tuple[int, ...], number: int, constants: list[int]
) -> Iterator[Candidate]:
    of_shapes = shapes(leaves)
    width = BITS[of.target]
    mask = FULL if width == 32 else 0xFFFF
    count = int(of_shapes.constants[number])
    texts = [of.text(w) for w in words]
    numbers = [str(c) for c in constants]
    cost = 5.0 + count + of.parts[left].cost + sum(of.parts[w].cost + 1 for w in words)
    name, start = NAMES[of.target], of.text(left)
    last, at = of_shapes.last(number)
    order = sorted(range(count), key=lambda c: (not (last in (XORC, ADDC) and c == at), c))
    for c in order:
        keyed = [*numbers]
        keyed[c] = f"key{width}"
        try:
            form = keyed_form(parse(f"({start}) & {mask} == {of_shapes.text(number, texts, keyed)} & {mask}"))
        except ExpressionError:
            continue
        if (
            form is not None
            and form.key_mask == mask
            and not fields_of(normal(form.right)) <= {_FIELD[of.target]}
        ):
            yield Candidate(f"({form.right})", "^", "0", mask, FULL, "L5", cost, name)
    whole = of_shapes.text(number, texts, numbers)
    tree = parse(f"{whole} == 0")
    if not isinstance(tree, Comparison) or not fields_of(normal(tree.left)) - {_FIELD[of.target]}:
        return
    yield Candidate(start, "^", whole, mask, FULL, "L5", cost, name)
