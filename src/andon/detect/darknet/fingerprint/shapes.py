"""Triangular functions with unknown constants, solved one bit at a time.

A function made of ``^ + - * & |`` is *triangular*: bit k of its value depends on bits 0 to k of what goes in
(T-functions, Klimov and Shamir, CHES 2002). So the constants of a shape such as ``((x + A) ^ y) * B`` are found digit
by digit from the lowest: of the 2^m choices for bit k of m constants those are kept that give bit k of the value in
every row, and a shape that is wrong runs out of choices after a few bits. Nothing is approximated, and no constant is
guessed.

Shapes are listed from short to long; a constant may stand at every node of a tree of up to three words.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from numba import njit

LEAF, XOR, ADD, SUB, AND, OR, MUL, XORC, ADDC, MULC, ANDC, ORC = range(12)
SIGNS = {XOR: "^", ADD: "+", SUB: "-", AND: "&", OR: "|", MUL: "*"}
SIGNS |= {XORC: "^", ADDC: "+", MULC: "*", ANDC: "&", ORC: "|"}
MOST_LINES = 9
MOST_CONSTANTS = 3
# Constants one after the other at one node; what two say together is in normal form: * before +, & and | before ^.
_CHAINS: tuple[tuple[int, ...], ...] = (
    (), (XORC,), (ADDC,), (MULC,), (ANDC,), (ORC,),
    (XORC, ADDC), (ADDC, XORC), (XORC, MULC), (MULC, XORC), (MULC, ADDC), (ANDC, XORC), (ORC, XORC), (ANDC, ADDC),
    (ADDC, ANDC), (ORC, ADDC), (ADDC, ORC), (MULC, ANDC), (ANDC, MULC), (MULC, ORC), (ORC, MULC),
)  # fmt: skip
_LONG: tuple[tuple[int, ...], ...] = (
    (XORC, ADDC, XORC), (ADDC, XORC, ADDC), (XORC, MULC, XORC), (XORC, MULC, ADDC), (MULC, ADDC, XORC),
    (ADDC, XORC, MULC), (MULC, XORC, MULC), (MULC, XORC, ADDC), (ORC, ADDC, XORC), (ANDC, ADDC, XORC),
    (ORC, XORC, MULC), (ANDC, XORC, MULC), (ORC, XORC, ADDC), (ANDC, XORC, ADDC), (ADDC, ORC, MULC), (ADDC, ANDC, MULC),
    (ADDC, ORC, XORC), (ADDC, ANDC, XORC), (MULC, ADDC, ORC), (MULC, ADDC, ANDC), (XORC, MULC, ANDC), (XORC, MULC, ORC),
)  # fmt: skip


@dataclass(frozen=True)
class Shapes:
    """``code`` (s, lines, 3) int64: operation, line or word, line or constant; ``lines``, ``constants`` (s)."""

    code: np.ndarray
    lines: np.ndarray
    constants: np.ndarray

    def text(self, number: int, words: list[str], constants: list[str]) -> str:
        """The shape in the language."""
        made: list[str] = []
        for op, a, b in self.code[number, : self.lines[number]].tolist():
            if op == LEAF:
                made.append(words[a])
            else:
                other = constants[b] if op >= XORC else made[b]
                made.append(f"({made[a]} {SIGNS[op]} {other})")
        return made[-1]

    def last(self, number: int) -> tuple[int, int]:
        """The outermost operation, and its constant."""
        op, _, b = self.code[number, self.lines[number] - 1].tolist()
        return op, b


Line = tuple[int, int, int]


def _with_chain(lines: list[Line], chain: tuple[int, ...], used: int) -> tuple[list[Line], int]:
    for op in chain:
        lines = [*lines, (op, len(lines) - 1, used)]
        used += 1
    return lines, used


@lru_cache(maxsize=8)
def shapes(leaves: tuple[int, ...], most: int = MOST_CONSTANTS) -> Shapes:
    """Shapes over these words (numbers, in the order in which they stand) with up to ``most`` constants."""
    found: list[tuple[float, list[Line], int]] = []
    if len(leaves) == 1:
        for chain in (*_CHAINS, *_LONG):
            if len(chain) <= most:
                lines, used = _with_chain([(LEAF, leaves[0], 0)], chain, 0)
                found.append((len(chain) + sum(op in (ANDC, ORC) for op in chain) * 0.2, lines, used))
    elif len(leaves) == 2:
        for a, b, c in product(_CHAINS, repeat=3):
            if len(a) + len(b) + len(c) > most:
                continue
            for op in (XOR, ADD, SUB, -SUB, AND, OR, MUL):
                made = _joined([(LEAF, leaves[0], 0)], [(LEAF, leaves[1], 0)], (a, b, c), op)
                if made is not None:
                    found.append((made[1] + 1 + 0.1 * (op in (AND, OR, MUL)), *made))
    else:
        small = [chain for chain in _CHAINS if len(chain) <= 1]
        for pair in ((0, 1), (0, 2), (1, 2)):
            third = 3 - sum(pair)
            for op, other in product((XOR, ADD, SUB, -SUB, AND, OR, MUL), repeat=2):
                if op == other and op in (XOR, ADD, AND, OR, MUL) and pair != (0, 1):
                    continue
                for chains in product(small, repeat=5):
                    if sum(map(len, chains)) > min(most, 2):
                        continue
                    inner = _joined(
                        [(LEAF, leaves[pair[0]], 0)], [(LEAF, leaves[pair[1]], 0)], chains[:3], op
                    )
                    if inner is None:
                        continue
                    made = _joined(inner[0], [(LEAF, leaves[third], 0)], ((), *chains[3:]), other, inner[1])
                    if made is not None:
                        found.append(
                            (made[1] + 2 + 0.1 * sum(o in (AND, OR, MUL) for o in (op, other)), *made)
                        )
    found.sort(key=lambda one: one[0])
    code = np.zeros((len(found), MOST_LINES, 3), np.int64)
    for number, (_, lines, _used) in enumerate(found):
        code[number, : len(lines)] = lines
    return Shapes(
        code, np.array([len(one[1]) for one in found]), np.array([one[2] for one in found], np.int64)
    )


def _joined(
    left: list[Line], right: list[Line], chains: tuple[tuple[int, ...], ...], op: int, used: int = 0
) -> tuple[list[Line], int] | None:
    """Two trees, each with its chain, under an operation with its chain; None if a shorter shape says the same."""
    a, b, c = chains
    ends = {chain[-1] for chain in (a, b) if chain}
    if (op == XOR and XORC in ends) or (op in (ADD, SUB, -SUB) and ADDC in ends):
        return None
    if op == MUL and MULC in ends:
        return None
    lines, used = _with_chain(left, a, used)
    first = len(lines) - 1
    moved = [
        (o, x if o == LEAF else x + len(lines), y if o == LEAF or o >= XORC else y + len(lines))
        for o, x, y in right
    ]
    lines, used = _with_chain([*lines, *moved], b, used)
    second = len(lines) - 1
    lines = [*lines, (SUB, second, first) if op == -SUB else (op, first, second)]
    lines, used = _with_chain(lines, c, used)
    return (lines, used) if len(lines) <= MOST_LINES else None


@njit(cache=True, nogil=True, inline="always")
def _value(code: Any, lines: Any, words: Any, row: Any, constants: Any, made: Any) -> Any:
    for i in range(lines):
        op = code[i, 0]
        a = code[i, 1]
        b = code[i, 2]
        if op == 0:
            made[i] = words[a, row]
        elif op == 1:
            made[i] = made[a] ^ made[b]
        elif op == 2:
            made[i] = np.uint32(made[a] + made[b])
        elif op == 3:
            made[i] = np.uint32(made[a] - made[b])
        elif op == 4:
            made[i] = made[a] & made[b]
        elif op == 5:
            made[i] = made[a] | made[b]
        elif op == 6:
            made[i] = np.uint32(made[a] * made[b])
        elif op == 7:
            made[i] = made[a] ^ constants[b]
        elif op == 8:
            made[i] = np.uint32(made[a] + constants[b])
        elif op == 9:
            made[i] = np.uint32(made[a] * constants[b])
        elif op == 10:
            made[i] = made[a] & constants[b]
        else:
            made[i] = made[a] | constants[b]
    return made[lines - 1]


@njit(cache=True, nogil=True)
def first_fit(
    code: Any, lines: Any, counts: Any, words: Any, rows: Any, target: Any, width: Any, effort: Any, out: Any
) -> Any:
    """Number of the first shape that gives ``target`` (uint32[rows]) in its low ``width`` bits, or -1.

    ``words`` (m, rows) uint32; ``out`` uint32[3]: its constants. Factors are odd. ``effort`` int64[2]: choices that may
    be tried per shape, and in all; the second is counted down.
    """
    made = np.zeros(16, np.uint32)
    choice = np.zeros(34, np.int64)
    for s in range(len(code)):
        m = counts[s]
        n = lines[s]
        shape = code[s]
        factors = 0
        for i in range(n):
            if shape[i, 0] == 9:
                factors |= 1 << shape[i, 2]
        for c in range(3):
            out[c] = np.uint32(0)
        k = 0
        choice[0] = -1
        left = effort[0]
        if effort[1] < 0:
            return -1
        while k >= 0:
            choice[k] += 1
            at = np.uint32(1) << np.uint32(k)
            if choice[k] >= 1 << m:
                for c in range(m):
                    out[c] &= ~at
                k -= 1
                continue
            if k == 0 and (choice[k] & factors) != factors:
                continue
            for c in range(m):
                if choice[k] >> c & 1:
                    out[c] |= at
                else:
                    out[c] &= ~at
            left -= 1
            effort[1] -= 1
            if left < 0:
                break
            good = True
            for r in range(rows):
                if (_value(shape, n, words, r, out, made) ^ target[r]) & at:
                    good = False
                    break
            if good:
                if k == width - 1:
                    return s
                k += 1
                choice[k] = -1
    return -1
