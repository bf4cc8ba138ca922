"""L5: arithmetic and exclusive-or mixed, solved one bit at a time from the lowest.

For ``target = (a x + b y) ^ C ^ A(z)`` with unknown odd or even coefficients, an unknown constant and A any
exclusive-or sum of bits of z: if the coefficients are known modulo 2^k, bit k of the target, less bit k of what is
known, is ``a_k x_0 ^ b_k y_0 ^ C_k ^ A_k(z)``: a system over GF(2) of few unknowns. So each bit fixes the next digit
of every coefficient (Hensel's lifting, with carries in place of powers), and almost every false hypothesis fails on
the first. With ``inner`` the constant is added to x before it is multiplied: ``a (x ^ C)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from .words import DPORT, DST, ID, LOW, PLAIN, ROTL_LOW, SEQ, SHR, SPORT, SWAP, WINDOW, Word, word_of


@njit(cache=True, nogil=True)
def prepare(planes: Any, count: Any, basis: Any) -> Any:
    """Row echelon basis of the planes: basis[i] = (bits 0, bits 1, pivot 0, pivot 1, combination); its size."""
    size = 0
    zero = np.uint64(0)
    one = np.uint64(1)
    for p in range(count):
        v0, v1, combo = planes[p, 0], planes[p, 1], one << np.uint64(p)
        for i in range(size):
            if (v0 & basis[i, 2]) | (v1 & basis[i, 3]):
                v0 ^= basis[i, 0]
                v1 ^= basis[i, 1]
                combo ^= basis[i, 4]
        if (v0 | v1) == zero:
            continue
        basis[size, 0] = v0
        basis[size, 1] = v1
        basis[size, 2] = v0 & (~v0 + one)
        basis[size, 3] = zero if v0 else v1 & (~v1 + one)
        basis[size, 4] = combo
        size += 1
    return size


@njit(cache=True, nogil=True)
def _bit(values: Any, n: Any, k: Any) -> Any:
    v0 = np.uint64(0)
    v1 = np.uint64(0)
    for r in range(n):
        bit = np.uint64((values[r] >> np.uint32(k)) & np.uint32(1))
        if r < 64:
            v0 |= bit << np.uint64(r)
        else:
            v1 |= bit << np.uint64(r - 64)
    return v0, v1


@njit(cache=True, nogil=True)
def lift(target: Any, words: Any, linear: Any, xored: Any, n: Any, width: Any, inner: Any, out: Any) -> Any:
    """Coefficients of ``words[:linear]`` and the constant in ``out`` (linear + 1, uint32), or False.

    ``target`` uint32[n]; ``words`` (m, n) uint32: the first ``linear`` are multiplied, the next ``xored`` may enter
    by any exclusive-or of their bits. n up to 128.
    """
    planes = np.zeros((1 + linear + 32 * xored, 2), np.uint64)
    basis = np.zeros((len(planes), 5), np.uint64)
    for r in range(n):
        planes[0, r >> 6] |= np.uint64(1) << np.uint64(r & 63)
    for f in range(linear):
        planes[1 + f, 0], planes[1 + f, 1] = _bit(words[f], n, 0)
    count = 1 + linear
    for f in range(linear, linear + xored):
        for b in range(32):
            v0, v1 = _bit(words[f], n, b)
            if v0 | v1:
                planes[count, 0] = v0
                planes[count, 1] = v1
                count += 1
    if count > 60:
        return False
    size = prepare(planes, count, basis)
    if n < size + 4:
        return False
    known = np.zeros(n, np.uint32)
    for f in range(linear + 1):
        out[f] = np.uint32(0)
    for k in range(width):
        v0 = np.uint64(0)
        v1 = np.uint64(0)
        for r in range(n):
            bit = np.uint64(((target[r] ^ known[r]) >> np.uint32(k)) & np.uint32(1))
            if r < 64:
                v0 |= bit << np.uint64(r)
            else:
                v1 |= bit << np.uint64(r - 64)
        combo = np.uint64(0)
        for i in range(size):
            if (v0 & basis[i, 2]) | (v1 & basis[i, 3]):
                v0 ^= basis[i, 0]
                v1 ^= basis[i, 1]
                combo ^= basis[i, 4]
        if v0 | v1:
            return False
        at = np.uint32(1) << np.uint32(k)
        digit0 = (combo >> np.uint64(1)) & np.uint64(1)
        constant = combo & np.uint64(1)
        if inner:
            if k == 0 and not digit0:
                return False
            # bit k of a (x ^ C) holds C_k, and a_k C_0 beside a_k x_0.
            if k and digit0 and out[linear] & np.uint32(1):
                constant ^= np.uint64(1)
        if constant:
            out[linear] |= at
        for f in range(linear):
            if (combo >> np.uint64(1 + f)) & np.uint64(1):
                out[f] |= at
        for r in range(n):
            total = np.uint32(0)
            for f in range(linear):
                x = words[f, r]
                if inner and f == 0:
                    x = np.uint32(x ^ out[linear])
                total = np.uint32(total + np.uint32(out[f] * x))
            known[r] = total
    return True


@njit(cache=True, nogil=True)
def lift_units(
    fields: Any, starts: Any, unit_rows: Any, units: Any, target: Any, turns: Any, width: Any,
    words_of_unit: Any,
    shapes: Any, out_shape: Any, out_turn: Any, out: Any,
) -> None:  # fmt: skip
    """For every unit the first (shape, turn) that lifts. ``shapes`` (s, 5): inner, number of linear words, words.

    ``turns`` (t, 2): (operation, amount) applied to the target first. ``out`` (units, 4) uint32: coefficients, then
    the constant.
    """
    words = len(words_of_unit)
    values = np.zeros((words, 128), np.uint32)
    picked = np.zeros((4, 128), np.uint32)
    turned = np.zeros(128, np.uint32)
    got = np.zeros(4, np.uint32)
    for at in range(len(units)):
        u = units[at]
        n = min(starts[u + 1] - starts[u], 128)
        first = starts[u]
        out_shape[at] = -1
        for r in range(n):
            row = unit_rows[first + r]
            for w in range(words):
                values[w, r] = word_of(
                    words_of_unit[w, 1], words_of_unit[w, 2], fields[words_of_unit[w, 0], row]
                )
        for s in range(len(shapes)):
            inner = shapes[s, 0] == 1
            linear = shapes[s, 1]
            xored = 0
            ready = True
            for c in range(3):
                w = shapes[s, 2 + c]
                if w < 0:
                    continue
                if c >= linear:
                    xored += 1
                moves = False
                for r in range(n):
                    picked[c, r] = values[w, r]
                    if values[w, r] != values[w, 0]:
                        moves = True
                if not moves:
                    ready = False
            if not ready or n < linear + 1 + 16 * xored + 6:
                continue
            for t in range(len(turns)):
                changes = 0
                for r in range(n):
                    turned[r] = word_of(turns[t, 0], turns[t, 1], fields[target, unit_rows[first + r]])
                    if r and turned[r] != turned[r - 1]:
                        changes += 1
                if changes < 5:
                    break
                if lift(turned, picked, linear, xored, n, width, inner, got):
                    whole = True
                    for f in range(linear):
                        if got[f] == 0:
                            whole = False
                    if whole:
                        out_shape[at] = s
                        out_turn[at] = t
                        for f in range(4):
                            out[at, f] = np.uint32(0)
                        for f in range(linear):
                            out[at, f] = got[f]
                        out[at, 3] = got[linear]
                        break
            if out_shape[at] >= 0:
                break


def lift_words(target: int) -> list[Word]:
    """The words that may be multiplied."""
    shapes = (
        (DST, PLAIN, 0), (SPORT, PLAIN, 0), (DPORT, PLAIN, 0), (ID, PLAIN, 0), (SEQ, PLAIN, 0), (WINDOW, PLAIN, 0),
        (DST, LOW, 0), (DST, SHR, 16), (DST, SWAP, 0), (DST, SHR, 8), (SPORT, ROTL_LOW, 8),
    )  # fmt: skip
    return [Word(f, op, n, 1.0) for f, op, n in shapes if f != target]


def lift_shapes(words: list[Word]) -> np.ndarray:
    """(n, 5): inner, number of multiplied words, up to three words (-1 = none); plain shapes first."""
    made: list[tuple[int, int, int, int, int]] = []
    count = len(words)
    plain = [i for i, w in enumerate(words) if w.op == PLAIN]
    for inner in (0, 1):
        made += [(inner, 1, i, -1, -1) for i in range(count)]
    apart = [(i, j) for i in range(count) for j in plain if words[i].field != words[j].field]
    for inner in (0, 1):
        made += [(inner, 2, i, j, -1) for i, j in apart if inner or i < j or words[i].op != PLAIN]
    made += [(0, 1, i, j, -1) for i, j in apart if words[j].field in (SPORT, DPORT, ID, WINDOW)]
    return np.array(made, np.int64)
