"""What a candidate is worth: counted over every row of every source.

One pass gives each row's residue. A residue that rows of many sources share is the constant of a global relation; a
residue that repeats within a source is a session key. Hits are counted, not shares, so that foreign packets and
several infections behind one address do no harm. Rows that repeat the left side's value count once: a source whose
sequence number never changes shows nothing by repeating it.

Evidence of a source, in bits: h hits of r bits each among n rows are worth h r - log2 C(n, h); one hit less in a
session, whose key is not known beforehand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from andon.records.expression import Expression, chance_rate

from .candidate import Candidate, columns_of, values
from .proof import GLOBAL_BITS, SESSION_BITS, log2_choose

_NEIGHBOURS = 8
_SMALL_STEP = 4096


@dataclass(frozen=True)
class Verified:
    """A candidate with its constant: rows (bool, one per row searched) and sources (indices) that carry it."""

    candidate: Candidate
    expression: Expression
    scope: str
    constant: int
    rows: np.ndarray
    sources: np.ndarray
    bits: float
    strength: int

    @property
    def worth(self) -> float:
        """For choosing between candidates: rows times bits, a global relation before a session's."""
        return self.strength * min(self.bits, 32.0) * (2.0 if self.scope == "global" else 1.0)


@dataclass(frozen=True)
class Rows:
    """The rows that are searched: packet-record columns, the source of each (ascending), source sizes."""

    columns: Mapping[str, NDArray[Any]]
    source: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, columns: Mapping[str, NDArray[Any]], source: np.ndarray, sources: int) -> Rows:
        return cls(columns, source, np.bincount(source, minlength=sources))


@dataclass
class Tally:
    """``candidates`` verified, and how many ``families`` unrelated rows would make of them.

    Residues of unrelated rows are taken as uniform. Of 2^w constants each is then shown by a Poisson number of
    sources, whose mean is that of the (source, residue) pairs strong enough to count, those of true families among
    them; a family needs ``least`` sources, one of which may have suggested the candidate. A session is a chance of
    2^-40 for each number of hits that a source could have."""

    candidates: int = 0
    families: float = 0.0

    def add_constants(self, width: int, mean: float, needed: float) -> None:
        """One candidate with an open constant of ``width`` bits; ``needed`` sources make a family."""
        self.candidates += 1
        self.families += 2.0 ** (width + _log2_tail(needed, mean))

    def add_session(self, sizes: np.ndarray, needed: float) -> None:
        """One candidate with an open key; ``sizes``: rows of every source."""
        self.families += 2.0 ** _log2_tail(needed, float(sizes.sum()) * 2.0**-SESSION_BITS)


def _log2_tail(needed: float, mean: float) -> float:
    """log2 of an upper bound of P(X >= needed), X Poisson: Chernoff's."""
    if mean <= 0:
        return -1000.0
    if needed <= mean:
        return 0.0
    return (needed - mean - needed * log(needed / mean)) / log(2)


def verify(
    rows: Rows, candidate: Candidate, least: int, worth: np.ndarray | None = None, tally: Tally | None = None
) -> list[Verified]:
    """All constants (or the session key) with which at least ``least`` sources carry the candidate.

    ``worth`` (bool per row): rows that count; others are taken already. ``tally`` is added to.
    """
    use = np.arange(len(rows.source)) if worth is None else np.flatnonzero(worth)
    if len(use) < least:
        return []
    columns = (
        {name: rows.columns[name][use] for name in _needed(candidate)} if worth is not None else rows.columns
    )
    source = rows.source[use]
    residue = values(candidate.residue, columns)
    left = _left(candidate, columns, len(use))
    counted = Counted.of(source, residue, left)
    sizes = np.bincount(source, minlength=len(rows.sizes))
    found = _constants(rows, candidate, use, counted, sizes, residue, least, tally)
    if candidate.right:
        if tally is not None:
            tally.add_session(sizes, least - 1)
        session = _session(rows, candidate, use, counted, sizes, residue, least)
        found += [session] if session is not None else []
    return found


def with_constants(
    rows: Rows, candidate: Candidate, constants: list[int], least: int, worth: np.ndarray
) -> list[Verified]:
    """As ``verify``, for constants that are known: only rows that hit one are sorted."""
    use = np.flatnonzero(worth)
    columns = {name: rows.columns[name][use] for name in _needed(candidate)}
    residue = values(candidate.residue, columns)
    sizes = np.bincount(rows.source[use], minlength=len(rows.sizes))
    hit = np.flatnonzero(np.isin(residue, np.array(constants, np.uint32)))
    mine = {name: column[hit] for name, column in columns.items()}
    counted = Counted.of(rows.source[use[hit]], residue[hit], _left(candidate, mine, len(hit)))
    return _constants(rows, candidate, use[hit], counted, sizes, residue[hit], least, None)


def _needed(candidate: Candidate) -> list[str]:
    return sorted(columns_of(candidate.residue) | columns_of(candidate.target))


def _left(candidate: Candidate, columns: Mapping[str, NDArray[Any]], rows: int) -> np.ndarray:
    """What must vary for a row to count: the target, without bits outside the mask if it is compared as it stands."""
    if not candidate.right:
        return np.arange(rows, dtype=np.uint32)
    target = values(candidate.target, columns)
    return target & np.uint32(candidate.mask) if candidate.left == candidate.target else target


@dataclass(frozen=True)
class Counted:
    """Pairs (source, residue) that occur, ``hits``: distinct left values, ``varied``: bits of left that varied."""

    source: np.ndarray
    residue: np.ndarray
    hits: np.ndarray
    varied: np.ndarray
    of_row: np.ndarray
    rows: np.ndarray
    left: np.ndarray

    @classmethod
    def of(cls, source: np.ndarray, residue: np.ndarray, left: np.ndarray) -> Counted:
        """Of rows in order of their source."""
        order = sorted_within(source, residue, left)
        pair = source.astype(np.uint64) << np.uint64(32) | residue.astype(np.uint64)
        ordered, mine = pair[order], left[order]
        new = np.ones(len(order), np.bool_)
        new[1:] = ordered[1:] != ordered[:-1]
        first = np.flatnonzero(new)
        group = np.cumsum(new) - 1
        other = new.copy()
        other[1:] |= mine[1:] != mine[:-1]
        if len(first):
            hits = np.add.reduceat(other.astype(np.int64), first)
            varied = np.bitwise_or.reduceat(mine ^ mine[first][group], first)
        else:
            hits, varied = np.zeros(0, np.int64), np.zeros(0, np.uint32)
        of_row = np.empty(len(order), np.int64)
        of_row[order] = group
        sizes = np.diff(np.r_[first, len(order)])
        return cls(source[order[first]], residue[order[first]], hits, varied, of_row, sizes, mine[first])


@njit(cache=True, nogil=True)
def sorted_within(source: Any, residue: Any, left: Any) -> Any:
    """Row numbers (int64) in order of (source, residue, left); ``source`` is ascending already (Shell's sort)."""
    n = len(source)
    key = np.empty(n, np.uint64)
    order = np.empty(n, np.int64)
    for i in range(n):
        key[i] = np.uint64(residue[i]) << np.uint64(32) | np.uint64(left[i])
        order[i] = i
    begin = 0
    while begin < n:
        stop = begin + 1
        while stop < n and source[stop] == source[begin]:
            stop += 1
        gap = 1
        while gap < (stop - begin) // 3:
            gap = 3 * gap + 1
        while gap >= 1:
            for i in range(begin + gap, stop):
                k, o = key[i], order[i]
                j = i
                while j - gap >= begin and key[j - gap] > k:
                    key[j], order[j] = key[j - gap], order[j - gap]
                    j -= gap
                key[j], order[j] = k, o
            gap //= 3
        begin = stop
    return order


def _constants(
    rows: Rows, candidate: Candidate, use: np.ndarray, counted: Counted, sizes: np.ndarray, residue: np.ndarray,
    least: int, tally: Tally | None,
) -> list[Verified]:  # fmt: skip
    width = candidate.mask.bit_count()
    evidence = counted.hits * width - log2_choose(sizes[counted.source], counted.hits)
    strong = evidence >= GLOBAL_BITS
    still = np.zeros(len(strong), np.bool_)
    if width >= 12 and candidate.right:
        # A sender whose fields are all constant shows one value; senders with different values that agree in the
        # residue show the relation together.
        still = ~strong & (counted.rows >= 3) & (counted.rows * 2 >= sizes[counted.source])
        strong = strong | still
    shared, count = np.unique(counted.residue[strong], return_counts=True)
    made: list[Verified] = []
    if not len(shared):
        if tally is not None:
            tally.candidates += 1
        return made
    everywhere = count.sum() / max(2.0**width, len(shared))  # near-minimum level
    if tally is not None:
        tally.add_constants(width, float(everywhere), max(least - 1, 8 * everywhere))
    for at in np.flatnonzero(count >= max(least, 8 * everywhere)).tolist():
        constant = int(shared[at])
        expression = candidate.expression(constant)
        rate = chance_rate(expression)
        if rate > 2.0**-6:
            continue
        bits = -np.log2(rate)
        groups = np.flatnonzero(counted.residue == constant)
        worth = counted.hits[groups] * bits - log2_choose(sizes[counted.source[groups]], counted.hits[groups])
        groups = groups[(worth >= GLOBAL_BITS) | still[groups]]
        if len(groups) < least:
            continue
        if still[groups].any() and 2 * len(np.unique(counted.left[groups])) < len(groups):
            groups = groups[~still[groups]]
            if len(groups) < least:
                continue
        hit = np.zeros(len(rows.source), np.bool_)
        hit[use] = residue == constant
        strength = int(counted.hits[groups].sum())
        made.append(
            Verified(
                candidate,
                expression,
                "global",
                constant,
                hit,
                np.sort(counted.source[groups]),
                bits,
                strength,
            )
        )
    return sorted(made, key=lambda v: -v.strength)


def _session(
    rows: Rows, candidate: Candidate, use: np.ndarray, counted: Counted, sizes: np.ndarray, residue: np.ndarray,
    least: int,
) -> Verified | None:  # fmt: skip
    varied = np.minimum(np.bitwise_count(counted.varied), candidate.mask.bit_count()).astype(np.int64)
    evidence = (counted.hits - 1) * varied - log2_choose(sizes[counted.source], counted.hits)
    strong = (evidence >= SESSION_BITS) & (counted.hits >= 3)
    sources = np.unique(counted.source[strong])
    if len(sources) < least:
        return None
    expression = candidate.expression(None)
    hit = np.zeros(len(rows.source), np.bool_)
    hit[use] = strong[counted.of_row]
    bits = float(candidate.mask.bit_count())
    return Verified(candidate, expression, "session", 0, hit, sources, bits, int(counted.hits[strong].sum()))


def without_traces(found: list[Verified]) -> list[Verified]:
    """Those whose senders do not show another constant of the same candidate as well.

    What differs between two constants of the same senders (a carry, a bit that is rotated out, what a mask lets
    through) is no constant: such a candidate is a trace of another relation, and so is a session with those senders.
    """
    known = [one for one in found if one.scope == "global" and one.candidate.right]
    traces: set[int] = set()
    for i, one in enumerate(known):
        for other in known[max(0, i - _NEIGHBOURS) : i]:
            both = len(np.intersect1d(one.sources, other.sources, assume_unique=True))
            traces |= {id(x) for x in (one, other) if 2 * both > len(x.sources)}
    kept = [one for one in found if id(one) not in traces]
    if traces:
        theirs = np.unique(np.concatenate([one.sources for one in known if id(one) in traces]))
        kept = [
            one
            for one in kept
            if one.scope == "global" or 2 * np.isin(one.sources, theirs).sum() <= len(one.sources)
        ]
    return kept


def counts_up(rows: Rows, found: Verified) -> bool:
    """Whether a session's target is a counter: in order of arrival it grows in small steps.

    Systems count ip.id and source ports up, a few steps a connection, so that one follows the other at a distance that
    stays for a while. That is what the system does, not what a scanner marks.
    """
    c = found.candidate
    if found.scope != "session" or c.mask != 0xFFFF:
        return False
    at = np.flatnonzero(found.rows)
    target = values(c.target, {name: rows.columns[name][at] for name in columns_of(c.target)})
    number = target.astype(np.int64)
    step = ((number[1:] - number[:-1]) & 0xFFFF)[rows.source[at][1:] == rows.source[at][:-1]]
    return len(step) > 0 and float(((step > 0) & (step < _SMALL_STEP)).mean()) > 0.7


def pure(rows: Rows, found: Verified, voice: np.ndarray, worth: np.ndarray) -> bool:
    """Whether the relation is what its senders do, not what some of their packets do by the way.

    ``voice`` numbers, per row, what one program sends (source, TTL, length). Of the voices with four packets or more
    that carry the relation, the median must carry it in half of its rows: a sum that agrees whenever some bits
    happen to be zero does so in few.
    """
    total = np.bincount(voice[worth], minlength=int(voice.max()) + 1)
    hits = np.bincount(voice[found.rows], minlength=len(total))
    of_source = np.zeros(len(rows.sizes), np.bool_)
    of_source[found.sources] = True
    source_of = np.zeros(len(total), np.int64)
    source_of[voice] = rows.source
    mine = np.flatnonzero((hits >= 1) & (total >= 4) & of_source[source_of])
    if len(mine) < 5:
        return True
    return float(np.median(hits[mine] / total[mine])) >= 0.5


def is_trace(rows: Rows, found: Verified) -> bool:
    """Whether free bits beside the mask follow the relation more often than not: a sum's low bits, say, of which only
    the carries are missing. Then the mask is not the sender's but ours."""
    c = found.candidate
    if c.op != "^" or not c.right or c.mask in (0xFFFF, 0xFFFFFFFF):
        return False
    at = np.flatnonzero(found.rows)
    if len(at) < 64:
        return False
    columns = {name: column[at] for name, column in rows.columns.items()}
    left, right = values(c.left, columns), values(c.right, columns)
    same = rows.source[at][1:] == rows.source[at][:-1]
    d_left, d_right = (left[1:] ^ left[:-1])[same], (right[1:] ^ right[:-1])[same]
    n = len(d_left)
    for bit in range(32):
        if c.mask >> bit & 1:
            continue
        x, y = d_left >> np.uint32(bit) & 1, d_right >> np.uint32(bit) & 1
        if not (0.2 < x.mean() < 0.8 and 0.2 < y.mean() < 0.8):
            continue
        agree = abs(float((x == y).mean()) - 0.5)
        if agree > 0.04 and agree * 2 * n**0.5 > 5:
            return True
    return False
