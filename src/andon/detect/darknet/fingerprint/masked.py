"""L2: exclusive-or sums of words that hold on some bits only, found in a pool through `walsh.py`.

Which bits a sender masks is not known, nor its constant; the transform answers for all of both. Sums are of 16-bit
words, so a relation of the sequence number is seen in either half. The rows that agree are then read: bits of the
target that stand still although the sum moves are an AND- or OR-mask, and belong to the relation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .candidate import FULL, Candidate
from .walsh import masks_shared
from .words import (
    BITS,
    DPORT,
    DST,
    ID,
    NAMES,
    PLAIN,
    ROTL,
    ROTL_HIGH,
    ROTL_LOW,
    SEQ,
    SEQ_HIGH,
    SEQ_LOW,
    SHR,
    SPORT,
    SWAP,
    WINDOW,
    Word,
    word_values,
)  # fmt: skip

LEAST_Z = 7.0
LEAST_BITS = 7
_SIZE_OF = 2.0 ** -np.bitwise_count(np.arange(65536, dtype=np.uint32)).astype(np.float64)


@dataclass(frozen=True)
class Masked:
    """Rows of a pool in which ``target`` and the sum of ``words`` agree on ``mask`` up to one constant."""

    target: int
    words: tuple[Word, ...]
    mask: int
    rows: np.ndarray
    z: float


def _turned(field: int) -> list[Word]:
    """16-bit words of a field up to bits that a mask can hide: shifts are rotations of which some bits are cut."""
    if BITS[field] == 16:
        return [Word(field, ROTL_LOW, n, 2.0) if n else Word(field, PLAIN, 0, 1.0) for n in range(16)]
    made = [Word(field, PLAIN, 0, 1.0), *(Word(field, ROTL, n, 3.0) for n in range(1, 32))]
    made[16] = Word(field, SHR, 16, 2.0)
    made += [Word(field, op, n, 3.0) for op in (ROTL_LOW, ROTL_HIGH) for n in range(1, 16)]
    return made + [Word(field, SWAP, n, 4.0) for n in (0, 8, 16, 24)]


def plan() -> tuple[list[Word], list[tuple[int, ...]]]:
    """Words, and sums of them: (target, word, ...) by number, plain ones first, by target."""
    words: dict[Word, int] = {}

    def number(word: Word) -> int:
        return words.setdefault(word, len(words))

    sums: list[tuple[int, ...]] = []
    plain = {f: Word(f, PLAIN, 0, 1.0) for f in (DST, SEQ, ID, SPORT, DPORT, WINDOW, SEQ_LOW, SEQ_HIGH)}
    high = Word(DST, SHR, 16, 2.0)
    for target in (SEQ_LOW, SEQ_HIGH, ID, WINDOW):
        inputs = {
            SEQ_LOW: (DST, SPORT, ID, SEQ_HIGH),
            SEQ_HIGH: (DST, SPORT, ID),
            ID: (DST, SEQ, SPORT),
            WINDOW: (ID, DST, SPORT),
        }[target]
        t = number(plain[target])
        for f in inputs:
            sums += [(t, number(w)) for w in _turned(f)]
        pairs: list[tuple[Word, ...]] = []
        for f in (SPORT, DPORT):
            pairs += [(a, plain[f]) for a in _turned(DST)[:32]]
            pairs += [(a, b) for a in (plain[DST], high) for b in _turned(f)[1:]]
            pairs += [(a, b) for a, b in zip(_turned(DST)[32:47], _turned(f)[1:], strict=True)]
        pairs += [(plain[DST], plain[SPORT], plain[DPORT]), (high, plain[SPORT], plain[DPORT])]
        if target == ID:
            low, up = plain[SEQ], Word(SEQ, SHR, 16, 2.0)
            pairs += [(low, up), (low, plain[SPORT]), (low, plain[DPORT]), (low, plain[DST]), (low, high)]
            pairs += [
                (up, plain[DST]),
                (up, high),
                (low, plain[DST], plain[DPORT]),
                (low, plain[DST], plain[SPORT]),
            ]
            pairs += [
                (low, plain[DST], plain[SPORT], plain[DPORT]),
                (plain[DST], high),
                (plain[SPORT], plain[DPORT]),
            ]
        if target == WINDOW:
            pairs += [(plain[ID], a) for a in (plain[DST], plain[SPORT], plain[DPORT], high)]
        sums += [(t, *(number(w) for w in pair)) for pair in pairs]
    return list(words), sums


def masked_sums(fields: np.ndarray, rows: np.ndarray, source: np.ndarray, least: int) -> Iterator[Masked]:
    """Sums on which rows of many sources agree in some bits; the farthest beyond chance first.

    ``fields``: (10, n) uint32; ``rows``: the pool, ascending; ``source``: of every row. Costs a millisecond a sum.
    """
    words, sums = plan()
    zero = bool((fields[ID][rows] == 0).all())
    if zero:
        gone = {i for i, w in enumerate(words) if w.field == ID}
        sums = [s for s in sums if not gone.intersection(s)]
    values = np.stack([word_values(w, fields[w.field][rows]).astype(np.uint16) for w in words])
    table = np.full((len(sums), 5), -1, np.int64)
    for i, one in enumerate(sums):
        table[i, : len(one)] = one
    z, mask = np.zeros(len(sums), np.float32), np.zeros(len(sums), np.int64)
    masks_shared(values, source[rows], table, _SIZE_OF, 2.0**-LEAST_BITS, z, mask)
    for i in np.argsort(-z, kind="stable").tolist():
        if z[i] < LEAST_Z:
            return
        target, *others = sums[i]
        x = values[target].copy()
        for w in others:
            x ^= values[w]
        kept = x & np.uint16(mask[i])
        constant = int(np.bincount(kept, minlength=1).argmax())
        hit = np.flatnonzero(kept == constant)
        if len(np.unique(source[rows[hit]])) >= 0.75 * least:
            yield Masked(
                words[target].field, tuple(words[w] for w in others), int(mask[i]), rows[hit], float(z[i])
            )


def read(fields: np.ndarray, one: Masked, share: float = 0.0) -> Candidate:
    """The candidate for a 16-bit field; bits of the target that stand still in the agreeing rows are masked ones.

    ``share``: of the rows that are expected to be strangers'.
    """
    rows = one.rows
    total = np.zeros(len(rows), np.uint32)
    for word in one.words:
        total ^= word_values(word, fields[word.field][rows])
    target = fields[one.target][rows]
    enough = max(0.75, 0.92 - share) * len(rows)
    mask = cut = 0
    for b in range(16):
        x, y = target >> np.uint32(b) & 1, (target ^ total) >> np.uint32(b) & 1
        same = int(y.sum())
        if max(same, len(rows) - same) >= enough:
            mask |= 1 << b
        elif max(int(x.sum()), len(rows) - int(x.sum())) >= enough:
            cut |= 1 << b
    right = " ^ ".join(str(w) for w in one.words)
    cost = sum(w.cost for w in one.words) + 1.0
    return Candidate(NAMES[one.target], "^", right, mask | cut, FULL & ~cut, "L2", cost, NAMES[one.target])
