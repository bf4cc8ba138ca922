"""Where the mixture starts from: the sets that stand out, each with the weights of the sources that have it."""

from __future__ import annotations

from typing import Final

import numpy as np

from andon.detect.darknet.portsets.candidates import PAIR, SINGLE, Candidates
from andon.detect.darknet.portsets.scanners import Scanners, set_hash

MOST_PACKETS: Final = 48.0  # of a source count at most
SAME: Final = 0.15  # total variation between weights of two families of one set that are one
_MOST_STARTS = 64
_START_SHARE = 0.1  # of the sources with a pair: ports that fewer have do not belong to the start
_PAIRS_OF_ONE_START = 3


def starts_of(
    scanners: Scanners, found: Candidates, chosen: np.ndarray
) -> tuple[list[dict[int, float]], list[int]]:
    """Weights by code to start from, and sources: of each candidate, most surprising first."""
    order = [int(i) for i in np.argsort(found.log_p, kind="stable") if chosen[i] and found.kind[i] != SINGLE]
    hashes = scanners.set_hash()
    starts: list[dict[int, float]] = []
    size: list[int] = []
    covered: dict[tuple[int, ...], int] = {}
    for i in order:
        if len(starts) >= _MOST_STARTS:
            break
        codes = found.sets[i]
        if found.kind[i] == PAIR and covered.get(codes, 0) >= _PAIRS_OF_ONE_START:
            continue
        if found.kind[i] == PAIR:
            mine = scanners.holders(codes)
            mine = mine[~scanners.sweeps[mine]]
        else:
            mine = np.flatnonzero(hashes == np.uint64(set_hash(codes)))
        start = _profile(scanners, mine)
        for a in start:
            for b in start:
                if a < b:
                    covered[a, b] = covered.get((a, b), 0) + 1
        if not any(start.keys() == other.keys() and _apart(start, other) < SAME for other in starts):
            starts.append(start)
            size.append(len(mine))
    return starts, size


def _profile(scanners: Scanners, mine: np.ndarray) -> dict[int, float]:
    """Weights of the ports that at least a tenth of these sources have."""
    some = scanners.take(mine)
    codes, inverse = np.unique(some.codes, return_inverse=True)
    total = np.bincount(some.owner, some.counts, minlength=len(some))
    packets = np.bincount(inverse, some.counts * np.minimum(1, MOST_PACKETS / total)[some.owner])
    often = np.bincount(inverse) >= _START_SHARE * len(some)
    whole = float(packets[often].sum())
    return {int(c): float(p) / whole for c, p in zip(codes[often], packets[often], strict=True)}


def _apart(a: dict[int, float], b: dict[int, float]) -> float:
    """Total variation between two distributions over the same ports."""
    return sum(abs(a[code] - b[code]) for code in a) / 2
