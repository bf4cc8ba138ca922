"""L1: every short sum of words, over the few packets that each of many sources sent.

A slow scanner sends a packet or two per source; no source shows its relation, all of them together do. For each of
some thousands of sums the residues of up to three rows per source are hashed into buckets; a global relation fills
one bucket with as many rows as it has, where chance leaves a few. Complete for this grammar, and it needs one
packet per source. Darknet notes 1.3, layer L1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numba import njit

from .candidate import FULL, Candidate, values
from .fragments import is_fragment
from .words import (
    BITS,
    DPORT,
    DST,
    ID,
    LOW,
    PLAIN,
    ROTL,
    ROTL_HIGH,
    ROTL_LOW,
    ROTL_LOW_UP,
    SEQ,
    SHL,
    SHR,
    SPORT,
    SRC,
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
    fields: Any, rows: Any, source: Any, words: Any, sums: Any, low: Any, limit: Any, out: Any, spread: Any, pairs: Any
) -> None:  # fmt: skip
    """``out[i]``: rows in the fullest bucket of sum i; ``pairs[i]``: neighbouring rows of one source that agree in it;
    ``spread[i]``: distinct targets among up to 64 rows of the bucket.

    ``words`` (w, 3): field, operation, amount. ``sums`` (n, 5): target word, kind, up to three words (-1 = none).
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
        same = 0
        last = np.uint32(0)
        for i in range(len(rows)):
            x = values[target, i]
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
            if x == last and i and source[i] == source[i - 1] and values[target, i] != values[target, i - 1]:
                same += 1
            last = x
            at = np.int32((np.uint64(x) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - _TABLE))
            buckets[i] = at
            table[at] += 1
            if table[at] > best:
                best = np.int64(table[at])
                top = at
        out[s] = best
        pairs[s] = same
        count = 0
        if best >= limit:
            for i in range(len(rows)):
                if buckets[i] == top and count < 64:
                    x = values[target, i]
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
    seq = number(Word(SEQ, PLAIN, 0, 1.0))
    others = (SPORT, DPORT, ID, WINDOW)
    small = [w for f in others for w in _some(f)]
    for a in words_of(DST):
        sums.append((seq, XOR, number(a), -1, -1))
        sums.append((seq, SUM, number(a), -1, -1))
        sums += [(seq, XOR, number(a), number(b), -1) for b in small]
    for w in (w for f in others for w in words_of(f)):
        sums.append((seq, XOR, number(w), -1, -1))
    for a in _some(DST):
        sums += [(seq, SUM, number(a), number(b), -1) for b in small]
        sums += [
            (seq, kind, number(a), number(b), -1) for b in small[:10] for kind in (AND, OR, TIMES, PLUS, DIFF)
        ]
        sums += [
            (seq, kind, number(a), number(b), number(c))
            for b in _some(SPORT) for c in _some(DPORT) for kind in (XOR, SUM)
        ]  # fmt: skip
    for b in _some(SPORT):
        sums += [
            (seq, kind, number(b), number(c), -1)
            for c in _some(DPORT) + _some(ID)
            for kind in (XOR, SUM, TIMES, PLUS)
        ]
    for target in (ID, WINDOW):
        t = number(Word(target, PLAIN, 0, 1.0))
        sources = [
            f
            for f in (DST, SEQ, SPORT, DPORT, ID, WINDOW)
            if f != target and not (target == WINDOW and f == SEQ)
        ]
        for f in sources:
            for a in _halves(f):
                sums.append((t, XOR, number(a), -1, -1))
                sums.append((t, SUM, number(a), -1, -1))
        plain = [Word(f, PLAIN, 0, 1.0) for f in sources]
        plain += [Word(f, SHR, 16, 2.0) for f in sources if BITS[f] == 32]
        plain += [Word(f, ROTL_LOW, 8, 2.0) for f in sources if BITS[f] == 16]
        for i, a in enumerate(plain):
            for j, b in enumerate(plain[i + 1 :], i + 1):
                sums += [(t, kind, number(a), number(b), -1) for kind in (XOR, SUM, AND, OR, TIMES, PLUS)]
                sums += [(t, XOR, number(a), number(b), number(c)) for c in plain[j + 1 :]]
                if target == ID:
                    sums += [
                        (t, kind, number(a), number(b), number(c))
                        for c in plain if c not in (a, b) for kind in (AND, OR, TIMES, PLUS)
                    ]  # fmt: skip
    dst, ports = Word(DST, PLAIN, 0, 1.0), [w for f in (SPORT, DPORT) for w in _some(f)[:2]]
    for b in small[:10]:
        sums += [
            (seq, kind, number(dst), number(b), number(c))
            for c in ports if c != b for kind in (AND, OR, TIMES, PLUS)
        ]  # fmt: skip
    turned = [Word(SEQ, ROTL, n, 3.0) for n in range(1, 32)] + [Word(SEQ, SWAP, 0, 2.0)]
    for turn in turned:
        for b in ports:
            kinds = (SUM, AND, OR, TIMES, PLUS)
            sums += [(number(turn), kind, number(dst), number(b), -1) for kind in kinds]
        sums += [(number(turn), kind, number(dst), number(ports[0]), number(ports[2])) for kind in (SUM, XOR)]
        sums.append((number(turn), SUM, number(dst), -1, -1))
    return list(words), np.array(sums, np.int64)


def pooled_candidates(
    fields: np.ndarray, rows: np.ndarray, least: int, still_open: Callable[[], np.ndarray] | None = None
) -> Iterator[Candidate]:
    """Sums that more rows share than chance allows, fullest first. ``rows``: a few per source, in order.

    ``still_open`` says, for each row of the search, whether no family has it by now: sums whose rows are taken are
    passed over, and one that was taken with one constant is tried for the next. What agrees in part of its bits or
    for one port at a time (`fragments.py`) is left to other layers.
    """
    words, sums = plan()
    level = len(rows) / 65536
    limit = max(0.75 * least, level + 12 + 7 * level**0.5)
    out, spread, _ = _counted(fields, rows, words, sums, limit)
    good = np.flatnonzero((out >= limit) & (spread >= np.minimum(out, 64) // 2))
    cost = _costs(words, sums)
    for i in good[np.lexsort((cost[good], -out[good]))].tolist():
        made = _candidate(words, sums[i])
        known = any(words[w].field == DPORT for w in sums[i, 2:].tolist() if w >= 0)
        left = len(rows) + 1
        while True:
            mine = rows if still_open is None else rows[still_open()[rows]]
            if len(mine) == left or len(mine) < limit:
                break
            left = len(mine)
            columns = {
                name: fields[f][mine].astype(np.uint16 if BITS[f] == 16 else np.uint32)
                for f, name in enumerate(_NAMED)
            }
            residue = values(made.residue, columns)
            if int(np.unique(residue, return_counts=True)[1].max()) < limit:
                break
            if is_fragment(residue, columns["dst_port"], made.op == "^", known):
                break
            yield made


def session_candidates(fields: np.ndarray, rows: np.ndarray, least: int) -> Iterator[Candidate]:
    """Sums that differ from source to source but stay the same within one, as those with a key of each session do.

    ``rows``: two or three of every source, in order. Two rows of one source agree by chance once in 2^16 or 2^32.
    """
    words, sums = plan()
    level = len(rows) / 65536
    limit = max(0.5 * least, level + 8 + 7 * level**0.5)
    out, _, pairs = _counted(fields, rows, words, sums, np.inf)
    good = np.flatnonzero((pairs >= limit) & (out < 0.5 * pairs))
    cost = _costs(words, sums)
    for i in good[np.lexsort((cost[good], -pairs[good]))].tolist():
        yield _candidate(words, sums[i])


def _counted(
    fields: np.ndarray, rows: np.ndarray, words: list[Word], sums: np.ndarray, limit: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    low = np.array([FULL if BITS[words[t].field] == 32 else 0xFFFF for t in sums[:, 0]], np.uint32)
    out, spread, pairs = (np.zeros(len(sums), np.int32) for _ in range(3))
    table = np.array([(w.field, w.op, w.n) for w in words], np.int64)
    most = np.int64(min(limit, len(rows) + 1))
    fullest(fields, rows, fields[SRC][rows], table, sums, low, most, out, spread, pairs)
    return out, spread, pairs


def _costs(words: list[Word], sums: np.ndarray) -> np.ndarray:
    return np.array([sum(words[w].cost for w in one if w >= 0) for one in sums[:, 2:].tolist()])


_NAMED = ("dst", "tcp_seq", "tcp_ack", "ip_id", "src_port", "dst_port", "tcp_window", "src")


def _candidate(words: list[Word], row: np.ndarray) -> Candidate:
    target, kind, *numbers = row.tolist()
    picked = [str(words[w]) for w in numbers if w >= 0]
    cost = sum(words[w].cost for w in numbers if w >= 0)
    left, mask = str(words[target]), FULL if BITS[words[target].field] == 32 else 0xFFFF
    if kind == XOR:
        op, right = "^", " ^ ".join(picked)
    elif kind == SUM:
        op, right = "-", " + ".join(picked)
    else:
        sign = {AND: "&", OR: "|", TIMES: "*", PLUS: "+", DIFF: "^"}[kind]
        op, right = "-" if kind == DIFF else "^", f"{picked[0]} {sign} {picked[1]}"
        if len(picked) == 3:
            right = f"({right}) ^ {picked[2]}"
    return Candidate(left, op, right, mask, FULL, "L1", cost, left)
