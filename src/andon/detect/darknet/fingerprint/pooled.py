"""L1: every short sum of words, over the few packets that each of many sources sent.

A slow scanner sends a packet or two per source; no source shows its relation, all of them together do. For each of
some thousands of sums the residues of up to three rows per source are hashed into buckets; a global relation fills
one bucket with as many rows as it has, where chance leaves a few. Complete for this grammar, and it needs one
packet per source. Darknet notes 1.3, layer L1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from .candidate import FULL, Candidate
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
    ROTL_LOW_UP,
    SEQ,
    SHL,
    SHR,
    SPORT,
    SWAP,
    WINDOW,
    Word,
    word_of,
    words_of,
)  # fmt: skip

XOR, SUM, AND, OR, TIMES, PLUS, DIFF = range(7)
_TABLE = 17


@njit(cache=True, nogil=True)
def fullest(
    fields: Any, rows: Any, words: Any, sums: Any, low: Any, limit: Any, out: Any, spread: Any
) -> None:
    """``out[i]``: rows in the fullest bucket of sum i; ``spread[i]``: distinct targets among up to 64 of them.

    ``words`` (w, 3): field, operation, amount. ``sums`` (n, 5): target field, kind, up to three words (-1 = none).
    """
    table = np.zeros(1 << _TABLE, np.int32)
    buckets = np.empty(len(rows), np.int32)
    values = np.zeros((len(words), len(rows)), np.uint32)
    seen = np.zeros(64, np.uint32)
    for w in range(len(words)):
        for i in range(len(rows)):
            values[w, i] = word_of(words[w, 1], words[w, 2], fields[words[w, 0], rows[i]])
    for s in range(len(sums)):
        table[:] = 0
        target, kind, wa, wb, wc = sums[s, 0], sums[s, 1], sums[s, 2], sums[s, 3], sums[s, 4]
        mask = low[s]
        best = np.int64(0)
        top = np.int32(-1)
        for i in range(len(rows)):
            x = fields[target, rows[i]]
            a = values[wa, i]
            b = values[wb, i] if wb >= 0 else np.uint32(0)
            c = values[wc, i] if wc >= 0 else np.uint32(0)
            if kind == XOR:
                x = x ^ a ^ b ^ c
            elif kind == SUM:
                x = np.uint32(x - a - b - c)
            elif kind == AND:
                x = x ^ (a & b) ^ c
            elif kind == OR:
                x = x ^ (a | b) ^ c
            elif kind == TIMES:
                x = x ^ np.uint32(a * b) ^ c
            elif kind == PLUS:
                x = x ^ np.uint32(a + b) ^ c
            else:
                x = np.uint32(x - (a ^ b)) ^ c
            x = np.uint32(x & mask)
            at = np.int32((np.uint64(x) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - _TABLE))
            buckets[i] = at
            table[at] += 1
            if table[at] > best:
                best = np.int64(table[at])
                top = at
        out[s] = best
        count = 0
        if best >= limit:
            for i in range(len(rows)):
                if buckets[i] == top and count < 64:
                    x = fields[target, rows[i]]
                    new = True
                    for j in range(count):
                        if seen[j] == x:
                            new = False
                            break
                    if new:
                        seen[count] = x
                        count += 1
        spread[s] = count


def _some(field: int) -> list[Word]:
    shapes: tuple[tuple[int, int], ...]
    if BITS[field] == 32:
        shapes = (
            (PLAIN, 0),
            (SWAP, 0),
            (LOW, 0),
            (SHR, 16),
            (SHL, 16),
            (ROTL, 8),
            (ROTL, 16),
            (ROTL, 24),
            (SHR, 8),
            (SHL, 8),
        )
    else:
        shapes = ((PLAIN, 0), (SHL, 16), (ROTL_LOW, 8), (ROTL_LOW_UP, 8), (SHL, 8))
    return [Word(field, op, n, 1.0 if op == PLAIN else 2.0) for op, n in shapes]


def _halves(field: int) -> list[Word]:
    """Words that matter to 16 bits."""
    if BITS[field] == 16:
        return [Word(field, ROTL_LOW, n, 2.0) if n else Word(field, PLAIN, 0, 1.0) for n in range(16)]
    made = [Word(field, PLAIN, 0, 1.0), Word(field, SHR, 16, 2.0)] + [
        Word(field, SHR, n, 3.0) for n in range(1, 16)
    ]
    return made + [Word(field, op, n, 3.0) for op in (ROTL_LOW, ROTL_HIGH) for n in range(1, 16)]


def plan() -> tuple[list[Word], np.ndarray]:
    """The words and the sums that are tried, plain ones first."""
    words: dict[Word, int] = {}

    def number(word: Word) -> int:
        return words.setdefault(word, len(words))

    sums: list[tuple[int, int, int, int, int]] = []
    others = (SPORT, DPORT, ID, WINDOW)
    small = [w for f in others for w in _some(f)]
    for a in words_of(DST):
        sums.append((SEQ, XOR, number(a), -1, -1))
        sums.append((SEQ, SUM, number(a), -1, -1))
        sums += [(SEQ, XOR, number(a), number(b), -1) for b in small]
    for w in (w for f in others for w in words_of(f)):
        sums.append((SEQ, XOR, number(w), -1, -1))
    for a in _some(DST):
        sums += [(SEQ, SUM, number(a), number(b), -1) for b in small]
        sums += [
            (SEQ, kind, number(a), number(b), -1) for b in small[:10] for kind in (AND, OR, TIMES, PLUS, DIFF)
        ]
        sums += [
            (SEQ, kind, number(a), number(b), number(c))
            for b in _some(SPORT) for c in _some(DPORT) for kind in (XOR, SUM)
        ]  # fmt: skip
    for b in _some(SPORT):
        sums += [
            (SEQ, kind, number(b), number(c), -1)
            for c in _some(DPORT) + _some(ID)
            for kind in (XOR, SUM, TIMES, PLUS)
        ]
    for target in (ID, WINDOW):
        sources = [
            f
            for f in (DST, SEQ, SPORT, DPORT, ID, WINDOW)
            if f != target and not (target == WINDOW and f == SEQ)
        ]
        for f in sources:
            for a in _halves(f):
                sums.append((target, XOR, number(a), -1, -1))
                sums.append((target, SUM, number(a), -1, -1))
        plain = [Word(f, PLAIN, 0, 1.0) for f in sources]
        plain += [Word(f, SHR, 16, 2.0) for f in sources if BITS[f] == 32]
        plain += [Word(f, ROTL_LOW, 8, 2.0) for f in sources if BITS[f] == 16]
        for i, a in enumerate(plain):
            for j, b in enumerate(plain[i + 1 :], i + 1):
                sums += [
                    (target, kind, number(a), number(b), -1) for kind in (XOR, SUM, AND, OR, TIMES, PLUS)
                ]
                sums += [(target, XOR, number(a), number(b), number(c)) for c in plain[j + 1 :]]
    return list(words), np.array(sums, np.int64)


def pooled_candidates(fields: np.ndarray, rows: np.ndarray, least: int) -> list[Candidate]:
    """Sums that more rows share than chance allows; fullest first. ``rows``: a few per source."""
    words, sums = plan()
    low = np.where(np.array([BITS[t] for t in sums[:, 0]]) == 32, FULL, 0xFFFF).astype(np.uint32)
    level = len(rows) / 65536
    limit = max(0.75 * least, level + 12 + 7 * level**0.5)
    out, spread = np.zeros(len(sums), np.int32), np.zeros(len(sums), np.int32)
    table = np.array([(w.field, w.op, w.n) for w in words], np.int64)
    fullest(fields, rows, table, sums, low, np.int64(limit), out, spread)
    good = np.flatnonzero((out >= limit) & (spread >= np.minimum(out, 64) // 2))
    order = sorted(
        good.tolist(), key=lambda i: (-int(out[i]), sum(words[w].cost for w in sums[i, 2:] if w >= 0))
    )
    return [_candidate(words, sums[i]) for i in order]


def _candidate(words: list[Word], row: np.ndarray) -> Candidate:
    target, kind, *numbers = row.tolist()
    picked = [str(words[w]) for w in numbers if w >= 0]
    cost = sum(words[w].cost for w in numbers if w >= 0)
    name, mask = NAMES[target], FULL if BITS[target] == 32 else 0xFFFF
    left = name
    if kind == XOR:
        op, right = "^", " ^ ".join(picked)
    elif kind == SUM:
        op, right = "-", " + ".join(picked)
    else:
        sign = {AND: "&", OR: "|", TIMES: "*", PLUS: "+", DIFF: "^"}[kind]
        op, right = "-" if kind == DIFF else "^", f"{picked[0]} {sign} {picked[1]}"
    return Candidate(left, op, right, mask, FULL, "L1", cost, name)
