"""L2: bit parities of packets that are pooled over many sources.

For a bit of a target and bits of other fields, one each, the share c / n of a pool's rows in which their exclusive-or
is 1 shows a family that is only a share p of the pool: |1 - 2 c / n| is p, whatever constant the sender adds. Bits are
packed 64 to a word, so that a hundred thousand combinations cost a second. Of the bias the product of the biases of
target and inputs is subtracted: what remains is dependence, not that a bit is seldom set.

A parity that stands out halves the others: among the rows that obey it the family's share is larger, the next parity
of the same family stands out more, and so on until the rows are nearly the family's alone. Such a *cluster* is handed
on as units, to the exact layers that need the packets of one program. Darknet notes 1.3, layer L2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from .units import Units
from .words import BITS, DPORT, DST, ID, SEQ, SEQ_HIGH, SEQ_LOW, SPORT, WINDOW

LEAST_Z = 8.0
LEAST_ROWS = 24
MOST_ROWS = 8192
# Target, and the fields of which one bit each may enter.
_COMBINED: tuple[tuple[int, tuple[tuple[int, ...], ...]], ...] = (
    (SEQ, (
        (DST,), (SPORT,), (DPORT,), (ID,), (DST, SPORT), (DST, DPORT), (DST, ID), (SPORT, DPORT), (DST, SPORT, DPORT),
    )),
    (SEQ_LOW, ((SEQ_HIGH,), (SEQ_HIGH, DST), (SEQ_HIGH, SPORT))),
    (ID, (
        (DST,), (SEQ,), (SPORT,), (DST, SPORT), (DST, DPORT), (SEQ, DST), (SEQ, SPORT), (SPORT, DPORT),
        (DST, SPORT, DPORT),
    )),
    (WINDOW, ((ID,), (DST,), (SPORT,), (ID, DST), (ID, SPORT), (DST, SPORT))),
)  # fmt: skip


@njit(cache=True, nogil=True)
def _ones(x: Any) -> Any:
    """Bits that are set in a uint64."""
    x = x - ((x >> np.uint64(1)) & np.uint64(0x5555555555555555))
    x = (x & np.uint64(0x3333333333333333)) + ((x >> np.uint64(2)) & np.uint64(0x3333333333333333))
    x = (x + (x >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((x * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True, nogil=True)
def biases(planes: Any, targets: Any, a: Any, b: Any, c: Any, n: Any, best: Any, chosen: Any) -> None:
    """For every target plane the inputs (one of each list; [-1] = none) whose parity depends on it most.

    ``planes`` (p, words) uint64: bits of n rows, packed. ``best`` (targets) float64: signed dependence times the root
    of n, larger magnitudes replace smaller ones; ``chosen`` (targets, 3).
    """
    words = planes.shape[1]
    line = np.empty(words, np.uint64)
    lean = np.empty(len(targets), np.float64)
    for t in range(len(targets)):
        count = 0
        for w in range(words):
            count += _ones(planes[targets[t], w])
        lean[t] = 1.0 - 2.0 * count / n
    root = np.sqrt(np.float64(n))
    for i in a:
        for j in b:
            for k in c:
                count = 0
                for w in range(words):
                    x = planes[i, w]
                    if j >= 0:
                        x ^= planes[j, w]
                    if k >= 0:
                        x ^= planes[k, w]
                    line[w] = x
                    count += _ones(x)
                own = 1.0 - 2.0 * count / n
                if abs(own) > 0.95:
                    continue
                for t in range(len(targets)):
                    if abs(lean[t]) > 0.95:
                        continue
                    count = 0
                    for w in range(words):
                        count += _ones(line[w] ^ planes[targets[t], w])
                    spread = np.sqrt((1.0 - own * own) * (1.0 - lean[t] * lean[t]))
                    z = (1.0 - 2.0 * count / n - own * lean[t]) * root / spread
                    if abs(z) > abs(best[t]):
                        best[t] = z
                        chosen[t, 0] = i
                        chosen[t, 1] = j
                        chosen[t, 2] = k


def packed(fields: np.ndarray) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """(planes (bits, words) uint64, for each field the numbers of its planes, lowest bit first) of a pool's fields."""
    n = fields.shape[1]
    numbers: dict[int, np.ndarray] = {}
    made: list[np.ndarray] = []
    for f in (SEQ, ID, WINDOW, DST, SPORT, DPORT):
        numbers[f] = np.arange(len(made), len(made) + BITS[f])
        made += [fields[f] >> np.uint32(b) & np.uint32(1) for b in range(BITS[f])]
    numbers[SEQ_LOW], numbers[SEQ_HIGH] = numbers[SEQ][:16], numbers[SEQ][16:]
    bits = np.zeros((len(made), -(-n // 64) * 64), np.uint8)
    bits[:, :n] = np.array(made, np.uint8)
    return np.packbits(bits, axis=1, bitorder="little").view(np.uint64), numbers


def strongest(fields: np.ndarray) -> list[tuple[float, int, tuple[int, ...]]]:
    """(dependence in standard deviations, target plane, input planes) for every target bit, strongest first.

    ``fields``: (10, n) uint32 in the order of ``words.NAMES``.
    """
    n = fields.shape[1]
    planes, numbers = packed(fields)
    found: list[tuple[float, int, tuple[int, ...]]] = []
    none = np.array([-1])
    for target, inputs in _COMBINED:
        targets = numbers[target]
        best, chosen = np.zeros(len(targets)), np.full((len(targets), 3), -1, np.int64)
        for names in inputs:
            lists = [numbers[f] for f in names] + [none] * (3 - len(names))
            biases(planes, targets, lists[0], lists[1], lists[2], n, best, chosen)
        for t, plane in enumerate(targets.tolist()):
            if best[t]:
                found.append((float(best[t]), plane, tuple(p for p in chosen[t].tolist() if p >= 0)))
    return sorted(found, key=lambda one: (-abs(one[0]), one[1]))


def cluster(fields: np.ndarray, rows: np.ndarray, least_z: float = LEAST_Z) -> np.ndarray:
    """The rows of a pool that obey the same parities, nearly one family's; none if no parity stands out.

    ``fields``: (10, n) uint32; ``rows``: the pool. Deterministic; of large pools every few rows are searched.
    """
    used: set[tuple[int, tuple[int, ...]]] = set()
    for _ in range(16):
        if len(rows) < LEAST_ROWS:
            return rows[:0]
        seen = rows[:: -(-len(rows) // MOST_ROWS)] if used else rows
        ranked = [one for one in strongest(fields[:, seen]) if (one[1], one[2]) not in used]
        if not ranked or abs(ranked[0][0]) < least_z:
            return rows if len(used) >= 6 else rows[:0]
        strong = 0.6 * len(seen) ** 0.5
        agreed = [one for one in ranked if abs(one[0]) >= max(strong, least_z)]
        if len(agreed) < 4:
            agreed = ranked[:1]
        votes = np.zeros(len(rows), np.int64)
        for z, target, inputs in agreed:
            used.add((target, inputs))
            odd = _plane(fields, rows, target)
            for plane in inputs:
                odd = odd ^ _plane(fields, rows, plane)
            votes += odd == (z < 0)
        rows = rows[votes >= 0.95 * len(agreed)]
        if len(agreed) >= 8:
            return rows if len(rows) >= LEAST_ROWS else rows[:0]
    return rows if len(used) >= 6 and len(rows) >= LEAST_ROWS else rows[:0]


def _plane(fields: np.ndarray, rows: np.ndarray, plane: int) -> np.ndarray:
    for f in (SEQ, ID, WINDOW, DST, SPORT, DPORT):
        if plane < BITS[f]:
            found: np.ndarray = (fields[f][rows] >> np.uint32(plane) & np.uint32(1)).astype(np.bool_)
            return found
        plane -= BITS[f]
    raise IndexError(plane)


def as_units(rows: np.ndarray, source: np.ndarray) -> Units:
    """Parts of a cluster as units: of 16, 32 and 64 rows, several of each, so that some hold no stranger.

    ``source``: of every row of the search. A unit is named after the source of its first row.
    """
    rng = np.random.default_rng(len(rows))
    parts: list[np.ndarray] = []
    for size, times in ((16, 8), (32, 8), (64, 4), (128, 2)):
        if size <= len(rows):
            parts += [np.sort(rng.choice(rows, size, replace=False)) for _ in range(times)]
    if not parts and len(rows):
        parts.append(rows)
    if not parts:
        return Units.none()
    return Units(
        np.array([source[part[0]] for part in parts]),
        np.r_[0, np.cumsum([len(part) for part in parts])],
        np.concatenate(parts),
    )
