"""Which marks and behaviours go together more often than chance, among the sources that matched at all.

For mark f and behaviour b: n matched sources, n_f with the mark, n_b with the behaviour, n_fb with both;
p = P(Hypergeometric(n, n_f, n_b) >= n_fb). Conditioning on matched sources keeps those that match more than others
from counting as evidence; but those that come to honeypots more often show more of everything as well, so n_f is
raised, where need be, until the expectation is that of the sources in classes of equal numbers of sessions. Sources of
one /24 are no independent witnesses, so the same test is made with each /24
counted once: its one vote for a behaviour is shared by its sources with the behaviour, its one place in the population
by all of its sources; and the larger p stands. A pair needs three sources in three /24s. False discoveries are held at
1 % over all pairs whose margins reach three (Benjamini, Hochberg, JRSS B 57, 1995; filtering by margins leaves it
valid: Bourgon, Gentleman, Huber, PNAS 107, 2010).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

LEAST: Final = 3
DISCOVERY: Final = 0.002
_TERMS = 100_000
_SINGLY = 8


@dataclass(frozen=True)
class Labels:
    """For each matched source its /24 (``network``) and number of sessions that matched (``visits``), marks and
    behaviours as (source, number) pairs without repetition, and which (source, mark, behaviour) were seen together in
    one match, as ``triples`` (n, 3)."""

    network: np.ndarray
    visits: np.ndarray
    marks: np.ndarray  # (n, 2) source, mark
    behaviours: np.ndarray  # (n, 2)
    triples: np.ndarray


@dataclass(frozen=True)
class Pairings:
    """One entry for each (mark, behaviour) with three sources in three /24s; ``p`` after the larger of both tests,
    ``passed`` by Benjamini-Hochberg, ``tests`` the number of pairs it was over."""

    mark: np.ndarray
    behaviour: np.ndarray
    sources: np.ndarray
    networks: np.ndarray
    with_mark: np.ndarray
    with_behaviour: np.ndarray
    effect: np.ndarray
    p: np.ndarray
    passed: np.ndarray
    matched: int
    tests: int

    def __len__(self) -> int:
        return len(self.mark)


def tail(n: np.ndarray, with_f: np.ndarray, with_b: np.ndarray, both: np.ndarray) -> np.ndarray:
    """P(X >= both) of Hypergeometric(n, with_f, with_b), for integers; 1 where ``both`` is not above its mean.

    >>> round(float(tail(*(np.array([v]) for v in (10, 5, 5, 5)))[0]), 6)
    0.003968
    """
    from scipy.special import gammaln

    n, f, b, k = (np.asarray(values, np.float64) for values in (n, with_f, with_b, both))

    def choose(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
        return np.asarray(gammaln(top + 1) - gammaln(bottom + 1) - gammaln(top - bottom + 1))

    least, most = np.maximum(f + b - n, 0), np.minimum(f, b)
    k = np.maximum(k, least)
    possible = k <= most
    below = k <= f * b / np.maximum(n, 1)
    start = np.where(below, most, np.minimum(k, most))  # from above the mean the terms only fall
    logarithm = choose(f, start) + choose(n - f, b - start) - choose(n, b)
    total = np.ones(len(n))
    term = np.ones(len(n))
    at = start.copy()
    for _ in range(_TERMS):
        term = term * np.maximum((f - at) * (b - at), 0) / ((at + 1) * np.maximum(n - f - b + at + 1, 1))
        if not np.any(term > 1e-15 * total):
            break
        total += term
        at += 1
    p = np.where(possible, np.minimum(np.exp(np.minimum(logarithm, 0)) * total, 1.0), 0.0)
    return np.where(below, 1.0, p)


def discoveries(p: np.ndarray, tests: int, rate: float = DISCOVERY) -> np.ndarray:
    """Which p-values are discoveries among ``tests`` tests, those not given being 1.

    >>> discoveries(np.array([0.001, 0.5, 0.004]), 10, 0.05).tolist()
    [True, False, True]
    """
    order = np.argsort(p, kind="stable")
    good = p[order] <= rate * np.arange(1, len(p) + 1) / max(tests, 1)
    cut = p[order][np.flatnonzero(good)[-1]] if good.any() else -1.0
    return np.asarray(p <= cut)


def associate(labels: Labels, marks: int, behaviours: int) -> Pairings:
    """Test all pairs; ``marks`` and ``behaviours`` are how many numbers there are of each."""
    network = labels.network
    matched = len(network)
    nets = len(np.unique(network))
    with_mark = np.bincount(labels.marks[:, 1], minlength=marks)
    with_behaviour = np.bincount(labels.behaviours[:, 1], minlength=behaviours)
    mark_nets = _distinct(labels.marks[:, 1], network[labels.marks[:, 0]], marks)
    behaviour_nets = _distinct(labels.behaviours[:, 1], network[labels.behaviours[:, 0]], behaviours)
    tests = int((mark_nets >= LEAST).sum()) * int((behaviour_nets >= LEAST).sum())
    key = labels.triples[:, 1] * behaviours + labels.triples[:, 2]
    pair, inverse, sources = np.unique(key, return_inverse=True, return_counts=True)
    networks = _distinct(inverse, network[labels.triples[:, 0]], len(pair))
    keep = np.flatnonzero((sources >= LEAST) & (networks >= LEAST))
    pair, sources, networks = pair[keep], sources[keep], networks[keep]
    mark, behaviour = pair // max(behaviours, 1), pair % max(behaviours, 1)
    f, b = with_mark[mark], with_behaviour[behaviour]
    busy = _busy(labels, mark, behaviour, marks, behaviours) / np.maximum(f * b / max(matched, 1), 1e-9)
    raised = np.maximum(busy, 1.0)
    p = tail(np.full(len(pair), matched), np.minimum(np.ceil(f * raised - 1e-9), matched), b, sources)
    places = _shares(labels.marks, network, marks)
    votes = _votes(labels, key, pair, behaviours)
    whole = np.full(len(pair), nets)
    in_nets = np.minimum(np.ceil(places[mark] * raised - 1e-9), nets)
    p_networks = tail(whole, in_nets, behaviour_nets[behaviour], np.floor(votes + 1e-9))
    p = np.maximum(p, p_networks)
    return Pairings(
        mark=mark,
        behaviour=behaviour,
        sources=sources,
        networks=networks,
        with_mark=f,
        with_behaviour=b,
        effect=sources * matched / np.maximum(f * b * raised, 1),
        p=p,
        passed=discoveries(p, tests),
        matched=matched,
        tests=tests,
    )


def _distinct(group: np.ndarray, value: np.ndarray, groups: int) -> np.ndarray:
    """How many distinct values each group has."""
    pair = np.unique(group.astype(np.int64) << 32 | value.astype(np.int64))
    return np.bincount(pair >> 32, minlength=groups)


def _busy(labels: Labels, mark: np.ndarray, behaviour: np.ndarray, marks: int, behaviours: int) -> np.ndarray:
    """Sources of each pair that independence gives among sources with equal numbers of sessions (1, 2, ... 8, then by
    powers of two)."""
    visits = np.maximum(labels.visits, 1)
    stratum = np.where(visits <= _SINGLY, visits - 1, np.log2(visits).astype(np.int64) + _SINGLY - 3)
    strata = int(stratum.max(initial=0)) + 1
    size = np.bincount(stratum, minlength=strata)

    def table(pairs: np.ndarray, wanted: np.ndarray, numbers: int) -> np.ndarray:
        members, place = np.unique(wanted, return_inverse=True)
        of = np.full(numbers, -1)
        of[members] = np.arange(len(members))
        kept = pairs[of[pairs[:, 1]] >= 0]
        cell = of[kept[:, 1]] * strata + stratum[kept[:, 0]]
        counts = np.bincount(cell, minlength=len(members) * strata).reshape(-1, strata)
        return np.asarray(counts[place])

    if not len(mark):
        return np.zeros(0)
    with_mark, with_behaviour = (
        table(labels.marks, mark, marks),
        table(labels.behaviours, behaviour, behaviours),
    )
    return np.asarray((with_mark * with_behaviour / np.maximum(size, 1)).sum(axis=1))


def _shares(pairs: np.ndarray, network: np.ndarray, numbers: int) -> np.ndarray:
    """For each number the /24s that have it, a /24 in which a third of the sources do counting as a third."""
    _, compact, size = np.unique(network, return_inverse=True, return_counts=True)
    weight = 1.0 / size[compact[pairs[:, 0]]] if len(pairs) else np.zeros(0)
    return np.bincount(pairs[:, 1], weights=weight, minlength=numbers)


def _votes(labels: Labels, key: np.ndarray, pair: np.ndarray, behaviours: int) -> np.ndarray:
    """For each pair the votes of the /24s with its behaviour for its mark, each /24's one vote shared equally by its
    sources with the behaviour. ``key`` is the pair of each triple."""
    network = labels.network.astype(np.int64)

    def place(source: np.ndarray, behaviour: np.ndarray) -> np.ndarray:
        return np.asarray(network[source] * behaviours + behaviour)

    held, count = np.unique(place(labels.behaviours[:, 0], labels.behaviours[:, 1]), return_counts=True)
    at = np.searchsorted(pair, key)
    wanted = (
        np.flatnonzero((at < len(pair)) & (pair[np.minimum(at, max(len(pair) - 1, 0))] == key))
        if len(pair)
        else at[:0]
    )
    triples = labels.triples[wanted]
    weight = 1.0 / count[np.searchsorted(held, place(triples[:, 0], triples[:, 2]))]
    return np.bincount(at[wanted], weights=weight, minlength=len(pair))


__all__ = ["DISCOVERY", "LEAST", "Labels", "Pairings", "associate", "discoveries", "tail"]
