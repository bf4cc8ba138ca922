"""Fragments: what seems a relation because part of the packets of a richer one satisfy it.

A sender that masks bits gives, for every value of the bits it drops, a constant of its own to the plain sum without
the mask; one that adds the port gives a constant for every port to the sum without the port. Each such constant is
shared by many sources and looks like a family. It is known by its siblings: constants that differ in a bit and are as
frequent, or constants that are frequent one for each port, or very many of them: the difference of two counters that
begin low has a narrow range, and every value of it is common. A fragment is not reported; the richer relation is
another layer's to find.
"""

from __future__ import annotations

import numpy as np

LEAST = 8
MOST_ALIKE = 16  # constants; more of them are the narrow range of a counter
_SHARE = 0.2


def is_fragment(residue: np.ndarray, port: np.ndarray, bitwise: bool, port_known: bool = False) -> bool:
    """Whether the commonest residue of a pool's rows (uint32) has siblings.

    ``port``: destination port of every row. ``bitwise``: the sum is an exclusive-or, so that siblings differ in a
    bit. ``port_known``: the port is part of the sum.

    >>> x = np.repeat(np.array([5, 7, 900, 901], np.uint32), [40, 38, 1, 1])  # bit 1 is free
    >>> is_fragment(x, np.zeros(80, np.uint16), bitwise=True)
    True
    """
    seen, counts = np.unique(residue, return_counts=True)
    top = int(counts.argmax())
    often = max(LEAST, _SHARE * counts[top])
    heavy = seen[counts >= often]
    if len(heavy) < 2:
        return False
    if len(heavy) > MOST_ALIKE:
        return True
    if bitwise:
        apart = heavy ^ seen[top]
        if bool((np.bitwise_count(apart) == 1).any()):
            return True
    if port_known:
        return False
    mine = np.flatnonzero(np.isin(residue, heavy))
    place = np.searchsorted(heavy, residue[mine])
    pair, count = np.unique(place << 16 | port[mine], return_counts=True)
    own, total = np.zeros(len(heavy), np.int64), np.bincount(place, minlength=len(heavy))
    own[pair[count * 10 >= total[pair >> 16] * 9] >> 16] = 1
    if not own.all():
        return False
    of = np.zeros(len(heavy), np.uint32)
    of[pair >> 16] = np.where(count * 10 >= total[pair >> 16] * 9, pair & 0xFFFF, of[pair >> 16])
    if len(np.unique(of)) < len(heavy):
        return False
    if len(heavy) >= 3:
        return True
    (c0, c1), (p0, p1) = heavy.tolist(), of.tolist()
    constants, ports = (c0 - c1) & 0xFFFFFFFF, p0 - p1
    return bool(
        (c0 ^ c1) in (p0 ^ p1, (p0 ^ p1) << 16 & 0xFFFFFFFF)
        or constants & 0xFFFF in (ports & 0xFFFF, -ports & 0xFFFF)
        or constants == ports << 16 & 0xFFFFFFFF
    )


def selects(dst: np.ndarray, of_pool: np.ndarray) -> bool:
    """Whether rows were selected by their target's low bits, which no scanner does: destinations (uint32) of the rows
    and of their pool."""
    for b in range(8):
        mine = float((dst >> np.uint32(b) & 1).mean())
        every = float((of_pool >> np.uint32(b) & 1).mean())
        if 0.3 < every < 0.7 and abs(mine - 0.5) > 0.3 + 1.5 / len(dst) ** 0.5:
            return True
    return False
