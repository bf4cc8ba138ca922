"""The two passes of ``guilt``, compiled: from destinations to terminals and back.

Arrays by edge are in the order of the graph (by destination), but what the terminals' pass reads lies in their order.
``q`` is (destinations, 2): probability to be malicious, to be a landing page.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

NEVER: Final = np.int64(1) << 62
_FAINT: Final = 2e-3  # below it a destination's own part in p is taken out to first order
_FAINTLY, _SURE = (
    0.3,
    0.7,
)  # domains below the first count little, however many they are; above the other in full
_LEAST_OF_POLLS: Final = -0.2  # who polls did not stray there: its innocence says little of the destination
_AFTER: Final = (
    0.5  # of the visits to a landing page that are not timely: what one after the infection counts
)
_SUSPECT: Final = 0.5  # from here on a contact dates a terminal's infection


@njit(cache=True, nogil=True)
def to_terminals(
    start: np.ndarray,
    edge: np.ndarray,
    reached: np.ndarray,
    group: np.ndarray,
    shows: np.ndarray,
    first: np.ndarray,
    q: np.ndarray,
    base: np.ndarray,
    handed: float,
    doubts: float,
    date: bool,
    free: np.ndarray,
    own: np.ndarray,
    times: np.ndarray,
) -> None:
    """log(1 - p) of each terminal into ``free``; of each edge its domain's part in it into ``own``; and when the
    infection shows, if ``date``: ``times[u]`` = (earliest contact with a suspect, its domain, earliest with one of
    another domain).

    ``reached``, ``group`` (domain), ``shows`` in the order of ``edge``; ``first`` by edge."""
    for u in range(start.shape[0] - 1):
        total, weak = base[u], 0.0
        earliest, of, other = NEVER, np.int64(-1), NEVER
        i = start[u]
        end = start[u + 1]
        while i < end:
            domain = group[i]
            best, trust = 0.0, 0.0
            when = NEVER
            j = i
            while j < end and group[j] == domain:
                d = reached[j]
                bad = q[d, 0]
                best = max(best, shows[j] * bad + handed * q[d, 1])
                if bad == 1.0:
                    trust = 1.0  # it is known
                if bad > _SUSPECT:
                    when = min(when, np.int64(first[edge[j]]))
                j += 1
            part = -best
            if best > 1e-4:
                part = np.log1p(-min(best, 0.999999))
            trust = max(trust, best)
            if trust < _SURE:
                sure = max(0.0, (trust - _FAINTLY) / (_SURE - _FAINTLY))
                little = part * min(1.0, 2.0 * trust)
                total += sure * part
                weak += (1.0 - sure) * little
                part = sure * part + (1.0 - sure) * little
            else:
                total += part
            for k in range(i, j):
                own[edge[k]] = part
            if when < earliest:
                other = earliest
                earliest, of = when, np.int64(domain)
            elif when < other:
                other = when
            i = j
        free[u] = total + doubts * np.expm1(weak / doubts)
        if date:
            times[u, 0], times[u, 1], times[u, 2] = earliest, of, other


@njit(cache=True, nogil=True)
def prepare(free: np.ndarray, crowd: np.ndarray, numbers: np.ndarray, plain: np.ndarray) -> None:
    """``plain[u]``: what any visit of u says, malicious and landing page, how that falls with a part taken out."""
    most = numbers[5]
    for u in range(free.shape[0]):
        p = -np.expm1(min(free[u], 0.0))
        for k in range(2):
            eps = numbers[k]
            inside = (1.0 - eps) * p / crowd[u] + eps
            said = np.log(inside)
            plain[u, k] = min(max(said, -most), most)
            steep = (1.0 - eps) * (1.0 - p) / crowd[u] / inside
            plain[u, 2 + k] = steep if -most < said < most else 0.0


@njit(cache=True, nogil=True)
def _visit(p: float, factor: float, stray: float, crowd: float, most: float) -> float:
    """What a visit says; ``crowd`` is N * g_u."""
    said = np.log((1.0 - stray) * factor * p / crowd + stray)
    return float(min(max(said, -most), most))


@njit(cache=True, nogil=True)
def _said(
    e: int,
    u: int,
    domain: int,
    free: np.ndarray,
    own: np.ndarray,
    times: np.ndarray,
    first: np.ndarray,
    crowd: np.ndarray,
    numbers: np.ndarray,
) -> tuple[float, float]:
    """What edge e says of its destination being malicious, and of it being a landing page, its own part taken out."""
    stray, passing, before, timely, active, most = numbers
    p = -np.expm1(min(free[u] - own[e], 0.0))
    when = times[u, 2] if times[u, 1] == domain else times[u, 0]
    factor = 1.0
    if when != NEVER:
        ago = when - np.int64(first[e])
        factor = 1.0 - timely
        if ago < 0:
            factor *= _AFTER
        elif ago <= before:
            factor += timely * active / before
    return _visit(p, 1.0, stray, crowd[u], most), _visit(p, factor, passing, crowd[u], most)


@njit(cache=True, nogil=True)
def to_destinations(
    begin: np.ndarray,
    visitor: np.ndarray,
    domain: np.ndarray,
    gray: np.ndarray,
    prior: np.ndarray,
    free: np.ndarray,
    own: np.ndarray,
    times: np.ndarray,
    first: np.ndarray,
    polls: np.ndarray,
    crowd: np.ndarray,
    plain: np.ndarray,
    numbers: np.ndarray,
    seed: np.ndarray,
    hearsay: float,
    eager: float,
    q: np.ndarray,
    odds: np.ndarray,
) -> None:
    """Log-odds of each gray destination into ``odds``; ``q`` moves towards what they say by the share ``eager``.

    What visitors that are no ``seed`` say for guilt counts less than ``hearsay`` together."""
    for d in range(begin.shape[0] - 1):
        if not gray[d]:
            continue
        closely = q[d, 0] + q[d, 1] > _FAINT
        a, b = prior[d, 0], prior[d, 1]
        soft_a, soft_b = 0.0, 0.0
        for e in range(begin[d], begin[d + 1]):
            u = visitor[e]
            if closely or times[u, 0] != NEVER:
                x, y = _said(e, u, domain[d], free, own, times, first, crowd, numbers)
            else:
                x = plain[u, 0] + plain[u, 2] * own[e]
                y = plain[u, 1] + plain[u, 3] * own[e]
            if polls[e]:
                x = max(x, _LEAST_OF_POLLS)
            if x > 0.0 and not seed[u]:
                soft_a += x
            else:
                a += x
            if y > 0.0 and not seed[u]:
                soft_b += y
            else:
                b += y
        a -= hearsay * np.expm1(-soft_a / hearsay)
        b -= hearsay * np.expm1(-soft_b / hearsay)
        odds[d, 0], odds[d, 1] = a, b
        top = max(a, b, 0.0)
        x, y = np.exp(a - top), np.exp(b - top)
        whole = x + y + np.exp(-top)
        q[d, 0] += eager * (x / whole - q[d, 0])
        q[d, 1] += eager * (y / whole - q[d, 1])


@njit(cache=True, nogil=True)
def tell(
    edges: np.ndarray,
    visitor: np.ndarray,
    destination: np.ndarray,
    domain: np.ndarray,
    free: np.ndarray,
    own: np.ndarray,
    times: np.ndarray,
    first: np.ndarray,
    polls: np.ndarray,
    crowd: np.ndarray,
    numbers: np.ndarray,
    out: np.ndarray,
) -> None:
    """What each of some edges says, as in ``to_destinations``."""
    for i in range(edges.shape[0]):
        e = edges[i]
        out[i, 0], out[i, 1] = _said(
            e, visitor[e], domain[destination[e]], free, own, times, first, crowd, numbers
        )
        if polls[e]:
            out[i, 0] = max(out[i, 0], _LEAST_OF_POLLS)
