"""How much it says that two things share a third: the probability that everything at a pivot is in one hand.

Three things decide. *Kind and size*: a / (1 + (d/h)^2) of the number d of things that have the pivot at the same time;
``h`` is learned from the graph within bounds, as twice the middle size of pivots of the kind that more than one
thing has. *Coherence*:
how many pairs of what the pivot holds meet again at a pivot of another family of evidence (names on one address that
also
share a registrant or a certificate); strangers on a shared host hardly ever do. The rate among pivots of small size and
that among crowded ones are estimated from the graph itself, so a graph with many missing facts expects less
(cf. the agreement weights of Fellegi and Sunter, JASA 64, 1969, here for pivots instead of record fields). *Lists*:
what the
operator's lists or a name say is shared is never a pivot.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from andon.records.infrastructure import (
    ADDRESS,
    ALIAS,
    ANNOUNCED,
    CASE,
    CERTIFICATE,
    CERTIFIED,
    CONFIGURED,
    CONTACTS,
    DETECTED,
    DETECTION,
    DOMAIN,
    DROPS,
    FAMILIES,
    FETCHED,
    FILE,
    FILE_NAME,
    HOST,
    IS_A,
    MAIL,
    MALWARE,
    NAME_SERVER,
    NAMED,
    NODE_KINDS,
    OPERATOR,
    PRESENTS,
    REGISTERED,
    REGISTERED_AT,
    REGISTERED_BY,
    REGISTRANT,
    REGISTRAR,
    RELATED,
    RELATIONS,
    RESOLVES,
    SAME,
    SEEN_IN,
    SERVED,
    UNDER,
)
from andon.triage.infrastructure.nodes import NEVER, VERB

# Probability at size one, and the bounds of the size at which it has halved.
_CURVES: Final = {
    DOMAIN: (0.97, 8, 15),
    REGISTERED: (0.97, 8, 15),
    NAME_SERVER: (0.97, 8, 15),
    ADDRESS: (0.85, 4, 10),
    REGISTRANT: (0.97, 60, 200),
    CERTIFICATE: (0.95, 20, 60),
    FILE: (0.97, 30, 60),
    CASE: (0.7, 15, 40),
    FILE_NAME: (0.3, 2, 3),
    DETECTION: (0.2, 2, 3),
    MALWARE: (0.2, 2, 3),
    OPERATOR: (0.05, 1, 2),
    REGISTRAR: (0.05, 1, 2),
    HOST: (0.2, 2, 4),
}
# What only describes: it is shown with a group and never leads from one thing to another.
DESCRIPTIVE: Final = np.array(
    [kind in (FILE_NAME, DETECTION, MALWARE, OPERATOR, REGISTRAR, HOST) for kind in NODE_KINDS]
)
IS_NAME: Final = np.array([kind in (DOMAIN, REGISTERED, NAME_SERVER) for kind in NODE_KINDS])
# Probability that a tie holds: that both ends are in one hand if neither is shared.
_TIES: Final = {
    UNDER: 0.5,
    ALIAS: 0.6,
    RESOLVES: 1.0,
    MAIL: 0.5,
    SERVED: 0.9,
    ANNOUNCED: 0.05,
    REGISTERED_BY: 1.0,
    REGISTERED_AT: 0.05,
    CERTIFIED: 1.0,
    PRESENTS: 0.9,
    CONFIGURED: 0.97,
    CONTACTS: 0.4,
    FETCHED: 0.6,
    DROPS: 0.9,
    SAME: 1.0,
    NAMED: 0.3,
    DETECTED: 0.2,
    IS_A: 0.2,
    SEEN_IN: 1.0,
    RELATED: 0.9,
}
TIE: Final = np.array([_TIES[name] for name in RELATIONS])
_FAMILY_NAMES: Final = sorted(set(FAMILIES.values()))
FAMILY: Final = np.array([_FAMILY_NAMES.index(FAMILIES[name]) for name in RELATIONS], np.int8)
_NAMESAKE: Final = 0.45
CROWDED: Final = 0.03  # below it a pivot is a hub
_SAMPLE, _PIVOTS = 16, 12  # things of a pivot and other pivots of each that coherence looks at
_LEAST, _MOST = 0.004, 0.6


@njit(cache=True, nogil=True)
def _sizes(
    ptr: np.ndarray,
    other: np.ndarray,
    relation: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    outward: np.ndarray,
    counts: np.ndarray,
    timed: np.ndarray,
) -> np.ndarray:
    """Things that have each entity: neighbours by relations that count; for addresses, the most at one time."""
    out = np.zeros(ptr.shape[0] - 1, np.int64)
    for p in range(out.shape[0]):
        begin, end = ptr[p], ptr[p + 1]
        if not timed[p]:
            before = -1
            for i in range(begin, end):
                if counts[relation[i], 1 if outward[i] else 0] and other[i] != before:
                    out[p] += 1
                    before = other[i]
            continue
        starts = np.empty(end - begin, np.int64)
        stops = np.empty(end - begin, np.int64)
        n, always, before = 0, 0, -1
        for i in range(begin, end):
            if not counts[relation[i], 1 if outward[i] else 0] or other[i] == before:
                continue
            before = other[i]
            if first[i] == NEVER or last[i] == NEVER:
                always += 1
            else:
                starts[n], stops[n] = first[i], last[i]
                n += 1
        a, b = np.sort(starts[:n]), np.sort(stops[:n])
        at, now, most = 0, 0, 0
        for i in range(n):
            while b[at] < a[i]:
                at += 1
                now -= 1
            now += 1
            most = max(most, now)
        out[p] = most + always
    return out


def sizes(
    ptr: np.ndarray,
    other: np.ndarray,
    relation: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    outward: np.ndarray,
    kinds: np.ndarray,
) -> np.ndarray:
    """int64 by entity. A controller does not become a hub by the samples that are configured with it, nor a file by the
    names that it has."""
    counts = np.zeros((len(RELATIONS), 2), np.bool_)  # [relation, seen from its source?]
    counts[:, 0] = True
    for name in (CONFIGURED, DROPS, UNDER):
        counts[VERB[name], 0] = False
    for name in (CONFIGURED, CONTACTS, FETCHED):
        counts[VERB[name], 1] = True
    return np.asarray(
        _sizes(ptr, other, relation, first, last, outward, counts, kinds == NODE_KINDS.index(ADDRESS))
    )


def by_size(kinds: np.ndarray, size: np.ndarray, namesakes: np.ndarray) -> np.ndarray:
    """float64 probability by kind and size alone. ``namesakes``: bool, registrants by a name that others may have
    too."""
    out = np.zeros(len(kinds))
    for number, name in enumerate(NODE_KINDS):
        at = kinds == number
        if not at.any():
            continue
        top, low, high = _CURVES[name]
        several = size[at & (size >= 2)]
        half = min(max(2.0 * float(np.median(several)) if len(several) else low, low), high)
        out[at] = top / (1.0 + ((np.maximum(size[at], 1) - 1) / half) ** 2)
    out[namesakes] = _NAMESAKE / (1.0 + ((np.maximum(size[namesakes], 1) - 1) / 20) ** 2)
    return out


@njit(cache=True, nogil=True)
def _closed(
    ptr: np.ndarray,
    other: np.ndarray,
    relation: np.ndarray,
    family: np.ndarray,
    usable: np.ndarray,
    asked: np.ndarray,
    out: np.ndarray,
    looked: np.ndarray,
) -> None:
    """Share of the pairs at each pivot that meet at another one of another family; how many things were looked at."""
    keys = np.empty(_SAMPLE * _PIVOTS, np.int64)
    owners = np.empty(_SAMPLE * _PIVOTS, np.int64)
    met = np.empty(_SAMPLE, np.int64)
    for p in range(ptr.shape[0] - 1):
        begin, end = ptr[p], ptr[p + 1]
        if not asked[p] or end - begin < 2:
            continue
        step = max((end - begin) // _SAMPLE, 1)
        n, size, before = 0, 0, -1
        for i in range(begin, end, step):
            x = other[i]
            if n == _SAMPLE or x == before:
                continue
            if not usable[x] and not asked[x]:
                continue
            before = x
            mine = family[relation[i]]
            taken = 0
            for j in range(ptr[x], ptr[x + 1]):
                q = other[j]
                if q != p and usable[q] and family[relation[j]] != mine:
                    keys[size], owners[size] = q, n
                    size += 1
                    taken += 1
                    if taken == _PIVOTS:
                        break
            n += 1
        looked[p] = n
        if n < 2:
            continue
        order = np.argsort(keys[:size])
        met[:n] = 0
        for i in range(size):
            for j in range(i + 1, size):
                if keys[order[j]] != keys[order[i]]:
                    break
                a, b = owners[order[i]], owners[order[j]]
                if a != b:
                    met[a] |= 1 << b
                    met[b] |= 1 << a
        pairs = 0
        for i in range(n):
            for j in range(i + 1, n):
                pairs += met[i] >> j & 1
        out[p] = 2.0 * pairs / (n * (n - 1))


def values(
    ptr: np.ndarray,
    other: np.ndarray,
    relation: np.ndarray,
    kinds: np.ndarray,
    size: np.ndarray,
    hub: np.ndarray,
    namesakes: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """(value of each entity as a pivot, coherence or NaN, (rate among small pivots, among crowded ones))."""
    plain = by_size(kinds, size, namesakes)
    usable = (plain >= 0.3) & ~hub & ~DESCRIPTIVE[kinds]
    asked = (size >= 2) & ~hub & ~DESCRIPTIVE[kinds]
    share, looked = np.full(len(kinds), np.nan), np.zeros(len(kinds), np.int64)
    _closed(ptr, other, relation, FAMILY, usable, asked, share, looked)
    known = ~np.isnan(share) & (looked >= 3)
    small, crowd = known & (plain > 0.6), known & (plain < 0.15)
    low = float(np.clip(share[crowd].mean() if crowd.sum() >= 5 else 0.02, _LEAST, 0.1))
    high = float(np.clip(share[small].mean() if small.sum() >= 5 else 0.2, 3 * low, _MOST))
    weight = np.minimum(looked, 10) - 1.0
    told = weight * (share * np.log(high / low) + (1 - share) * np.log((1 - high) / (1 - low)))
    value = np.clip(plain, 1e-6, 1 - 1e-6)
    odds = np.log(value / (1 - value)) + np.where(
        known, np.clip(told, -2.0, np.where(namesakes, 0.0, 1.0)), 0.0
    )
    value = np.minimum(1 / (1 + np.exp(-odds)), 0.99)
    value[hub] = 0.0
    return value, share, (high, low)
