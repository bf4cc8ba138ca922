"""What `triangular.py` tries for one target: the words, and the combinations of them, from plain to far-fetched.

Left sides are the target turned in every way, by itself or less one field. Words are fields, their halves, rotations,
shifts and byte swaps; and sums, products and the like of two fields, turned. Up to three stand together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np

from .words import (
    BITS,
    DPORT,
    DST,
    ID,
    LOW,
    NAMES,
    PLAIN,
    ROTL,
    ROTL_HIGH,
    ROTL_LOW,
    SEQ,
    SEQ_HIGH,
    SHL,
    SHR,
    SPORT,
    SWAP,
    WINDOW,
    word_text,
)  # fmt: skip

_SIGNS = ("^", "+", "-", "&", "|", "*")


@dataclass(frozen=True)
class Part:
    """A word of a base: ``base`` numbers a field or a value made of two, ``op`` and ``n`` as in `words.py`."""

    base: int
    op: int
    n: int
    cost: float


@dataclass(frozen=True)
class Plan:
    """What is tried for one target.

    ``pairs`` (b, 5): fields and words whose combination is base ``len(NAMES) + i``; ``table`` (parts, 3): base,
    operation, amount of each part, for compiled code; ``lefts`` index ``parts``;
    ``tuples`` (t, 3): words (-1 = none), cheapest first; ``plain``: how many of ``lefts`` are the target alone."""

    target: int
    bases: tuple[tuple[str, bool], ...]
    made: tuple[tuple[tuple[int, int, int], int, tuple[int, int, int]], ...]
    parts: tuple[Part, ...]
    table: np.ndarray
    lefts: np.ndarray
    plain: int
    single: np.ndarray
    several: np.ndarray
    narrow: np.ndarray

    def text(self, number: int) -> str:
        """Text of a part."""
        part = self.parts[number]
        base, wide = self.bases[part.base]
        return word_text(base, wide, part.op, part.n)


def _turns(wide: bool) -> list[tuple[int, int, float]]:
    if wide:
        found = [(PLAIN, 0, 0.0), (SWAP, 0, 1.0)] + [(ROTL, n, 2.0) for n in range(1, 32)]
        return found + [(SWAP, n, 3.0) for n in range(1, 32)]
    return [(PLAIN, 0, 0.0)] + [(ROTL_LOW, n, 1.0 if n == 8 else 2.0) for n in range(1, 16)]


def _words(wide: bool) -> list[tuple[int, int, float]]:
    """Words whose low bits say something."""
    if wide:
        found = [(PLAIN, 0, 0.0), (LOW, 0, 1.0), (SWAP, 0, 1.0)]
        found += [(SHR, n, 1.0 if n == 16 else 1.5 if n in (8, 24) else 2.0) for n in range(1, 30)]
        found += [(ROTL, n, 1.5 if n in (8, 16, 24) else 2.0) for n in range(1, 32)]
        found += [(SWAP, n, 3.0) for n in range(1, 32)]
        return found + [(op, n, 2.0) for op in (ROTL_LOW, ROTL_HIGH) for n in range(1, 16)]
    found = [(PLAIN, 0, 0.0)] + [(SHR, n, 1.5 if n == 8 else 2.0) for n in range(1, 13)]
    return (
        found
        + [(ROTL_LOW, n, 1.0 if n == 8 else 2.0) for n in range(1, 16)]
        + [(ROTL, n, 2.5) for n in range(17, 32)]
    )


@lru_cache(maxsize=8)
def plan(target: int) -> Plan:
    """The combinations for one target, cheapest first."""
    wide = BITS[target] == 32
    fields = [
        f
        for f in (DST, SPORT, DPORT, ID, WINDOW, SEQ)
        if f != target and not (target == SEQ_HIGH and f == SEQ)
    ]
    bases = [(name, bits == 32) for name, bits in zip(NAMES[: SEQ_HIGH + 1], BITS, strict=False)]
    made: list[tuple[tuple[int, int, int], int, tuple[int, int, int]]] = []
    parts: list[Part] = []

    def combined(a: tuple[int, int, int], sign: int, b: tuple[int, int, int]) -> int:
        made.append((a, sign, b))
        texts = [word_text(*bases[f], op, n) for f, op, n in (a, b)]
        bases.append((f"({texts[0]} {_SIGNS[sign]} {texts[1]})", True))
        return len(bases) - 1

    def add(base: int, shapes_of: list[tuple[int, int, float]], more: float = 0.0) -> list[int]:
        parts.extend(Part(base, op, n, cost + more) for op, n, cost in shapes_of)
        return [*range(len(parts) - len(shapes_of), len(parts))]

    lefts = add(target, _turns(wide))
    plain = len(lefts)
    own = {f: add(f, _words(BITS[f] == 32), 0.5 if f in (ID, WINDOW) else 0.0) for f in fields}
    single = [w for f in fields for w in own[f]]
    taken = [(f, PLAIN, 0) for f in fields if f != WINDOW]
    if wide:
        taken += [(f, SHL, 16) for f in fields if f in (SPORT, DPORT)]
        for word in taken:
            for sign in (0, 2):
                lefts += add(combined((target, PLAIN, 0), sign, word), _turns(wide), 2.0)
    else:
        halves = [(f, op, n) for f in fields if BITS[f] == 32 for op, n in ((PLAIN, 0), (SHR, 16))]
        for word in [t for t in taken if BITS[t[0]] == 16] + halves:
            for sign in (0, 2):
                lefts += add(combined((target, PLAIN, 0), sign, word), _turns(False), 2.0)
    operands = [(f, PLAIN, 0) for f in fields if f != WINDOW] + [
        (f, SHL, 16) for f in fields if f in (SPORT, DPORT)
    ]
    operands += [(f, op, n) for f in fields if BITS[f] == 32 for op, n in ((LOW, 0), (SHR, 16), (SWAP, 0))]
    turned = [t for t in _turns(True) if t[0] != PLAIN] + [(SHR, n, 2.0) for n in range(1, 25)]
    compound: list[int] = []
    for a, b in combinations(operands, 2):
        if (a[0] == b[0] and (a[1], b[1]) not in ((LOW, SHR), (PLAIN, SWAP))) or (a[1], b[1]) == (SHL, SHL):
            continue
        for sign in range(len(_SIGNS)):
            turns = [t for t in turned if t[0] != SWAP or t[1] == 0]
            compound += add(combined(a, sign, b), turns, 2.0 + 0.5 * (sign > 2))
    ops = {32: (PLAIN, SWAP, SHR, ROTL), 16: (PLAIN, ROTL_LOW, SHR)}
    front = {
        f: [w for w in own[f] if parts[w].op in ops[BITS[f]] and (parts[w].op != SWAP or parts[w].n % 8 == 0)]
        for f in fields
    }
    some = {f: [w for w in front[f] if parts[w].op in (PLAIN, SWAP) or parts[w].n in (8, 16)] for f in fields}
    pairs = [(a, b, -1) for f, g in combinations(fields, 2) for a in front[f] for b in front[g]]
    pairs += [(a, b, -1) for f in fields if BITS[f] == 32 for a, b in combinations(front[f], 2)]
    triples = [
        (a, b, c) for f, g, h in combinations(fields, 3) for a in (front[f] if f == DST else some[f])
        for b in some[g] for c in some[h]
    ]  # fmt: skip
    triples += [(a, b, c) for f in fields if BITS[f] == 32 for a, b in combinations(some[f], 2) for g in fields
                if g != f for c in some[g]]  # fmt: skip
    few = [(a, b, -1) for f, g in combinations(fields, 2) for a in some[f] for b in some[g]]
    pairs += [
        (a, parts_of, -1) for a in compound if parts[a].op != SHR for g in fields for parts_of in own[g][:1]
    ]

    def ordered(rows: list[tuple[int, int, int]]) -> np.ndarray:
        rows = sorted(rows, key=lambda t: (sum(parts[w].cost + 1 for w in t if w >= 0), t))
        return np.array(rows, np.int64)

    return Plan(
        target, tuple(bases), tuple(made), tuple(parts), np.array([(p.base, p.op, p.n) for p in parts]),
        np.array(lefts), plain,
        ordered([(w, -1, -1) for w in (*single, *compound)]),
        ordered(pairs + triples), ordered([(w, -1, -1) for w in single] + few),
    )  # fmt: skip
