"""Guilt by association on a graph of terminals and destinations, normalised by how active each terminal is.

Unknown are whether terminal u is infected (p_u) and whether destination d is malicious, a landing page (a legitimate
page that hands its visitors on to malware), or neither. If d is malicious, a visitor is with probability 1 - eps one
of the N infected terminals, else a stray one; if it is neither, visitor u comes with the share g_u of all edges that
are u's. So a visit says of d

    log( [ (1 - eps) * p_u^(-d) / N_u + eps * g_u ] / g_u ),     N = 1 + sum_u p_u,

the same for a landing page with another eps, and there a factor in the infected part for the time of the visit: those
whom a page infected came shortly before their first contact with malware. N_u is N, or more where more of u's like are
infected (``communities``): what a whole department visits is not guilty because some of it are infected, and a
department cannot talk itself into guilt. A terminal is free of infection with

    1 - p_u = (1 - leak_u) * product over domains of (1 - max over destinations of the domain of r_ud * q_d),

r_ud being how surely such a visit to a malicious destination shows infection. p_u^(-d) leaves out d and its sister
names (the same domain), so that nothing reinforces itself. ``leak`` is the chance to be infected without a trace here;
it keeps the visit of a terminal of which nothing is known from counting as innocence in full, and it is never so large
that such a visit speaks for guilt. Why it works: evidence is divided by activity, so busy terminals do not spread guilt
over all they touch, and visitors of whom nothing is known speak against d, so that popularity does not make guilt.

Cost: O(edges) a round. Few destinations are in doubt, so after two whole rounds (``Rules.whole``) rounds go over those
alone, with what the others add frozen, then over all again, until nothing moves. Sums are in the order of the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from andon.sketch.bipartite import kernels
from andon.sketch.bipartite.communities import Communities
from andon.sketch.bipartite.graph import Graph, build

_DOUBT: Final = -5.5  # log-odds from which a destination is looked at in every round
NEVER: Final = kernels.NEVER


@dataclass(frozen=True)
class Rules:
    """Numbers of the model. ``stray``: eps of malicious destinations, ``passing``: of landing pages; ``handed``: how
    surely a visit to a landing page shows infection; ``before``: seconds before the first contact with malware in which
    landing pages are visited, ``timely`` their share, ``active``: seconds over which other visits spread;
    ``most``: no visit counts more, either way; ``hearsay``: no more do all visits together that speak for guilt by
    terminals without a known contact, or any few terminals that share some programs would talk themselves into it;
    ``doubts``: no more do all domains together add to -ln(1 - p) that are more probably harmless.
    ``cycles`` of ``whole`` rounds over all and ``inner`` rounds over what
    is in doubt, until no p moves by ``close``; after the first ``bold`` rounds beliefs move by the share ``eager``, and
    half as much in each cycle."""

    stray: float = 0.1
    passing: float = 0.5
    handed: float = 0.2
    before: int = 3600
    timely: float = 0.6
    active: int = 40_000
    most: float = 4.5
    hearsay: float = 4.0
    doubts: float = 1.0
    cycles: int = 3
    whole: int = 1
    inner: int = 20
    bold: int = 3
    eager: float = 0.4
    close: float = 1e-3


@dataclass(frozen=True)
class Evidence:
    """What is known before anybody's visit counts. By destination: ``prior`` (destinations, 2), log-odds of being
    malicious and of being a landing page against being neither; ``gray``: to be judged, else ``known`` is the
    probability that it is malicious; ``domain``, equal for sister names, which must be neighbours. By terminal:
    ``share`` (g, above 0), ``leak``, ``seed`` (has a contact that is known to be bad). By edge: ``shows`` (r),
    ``first`` (s), ``polls`` (the terminal asks as a machine does)."""

    prior: np.ndarray
    gray: np.ndarray
    known: np.ndarray
    domain: np.ndarray
    share: np.ndarray
    leak: np.ndarray
    seed: np.ndarray
    shows: np.ndarray
    first: np.ndarray
    polls: np.ndarray


@dataclass(frozen=True)
class Belief:
    """``infected``: p by terminal; ``bad``: (destinations, 2) probabilities to be malicious and a landing page;
    ``odds``: log-odds of both against being neither; ``infections`` N; ``rounds`` it took (whole, inner), and the last
    ``change`` of any p."""

    infected: np.ndarray
    bad: np.ndarray
    odds: np.ndarray
    infections: float
    rounds: tuple[int, int]
    change: float


class _Pass:
    """A graph, or the part of it in doubt, laid out for the kernels."""

    def __init__(self, graph: Graph, evidence: Evidence, q: np.ndarray, odds: np.ndarray) -> None:
        self.graph, self.evidence, self.q, self.odds = graph, evidence, q, odds
        self.reached = graph.destination[graph.edge]
        self.group = evidence.domain[self.reached]
        self.shows = evidence.shows[graph.edge]
        self.first = np.ascontiguousarray(evidence.first, np.int64)
        self.base = np.log1p(-evidence.leak)
        self.prior = np.ascontiguousarray(evidence.prior, np.float64)
        self.free, self.own = np.zeros(graph.terminals), np.zeros(graph.edges)
        self.times = np.zeros((graph.terminals, 3), np.int64)
        self.crowd = np.ones(graph.terminals)
        self.plain = np.zeros((graph.terminals, 4))

    def terminals(self, rules: Rules, date: bool) -> None:
        graph = self.graph
        kernels.to_terminals(
            graph.start,
            graph.edge,
            self.reached,
            self.group,
            self.shows,
            self.first,
            self.q,
            self.base,
            rules.handed,
            rules.doubts,
            date,
            self.free,
            self.own,
            self.times,
        )

    def destinations(self, crowd: np.ndarray, numbers: np.ndarray, hearsay: float, eager: float) -> None:
        self.crowd = crowd
        kernels.prepare(self.free, crowd, numbers, self.plain)
        kernels.to_destinations(
            self.graph.begin,
            self.graph.visitor,
            self.evidence.domain,
            self.evidence.gray,
            self.prior,
            self.free,
            self.own,
            self.times,
            self.first,
            self.evidence.polls,
            crowd,
            self.plain,
            numbers,
            self.evidence.seed,
            hearsay,
            eager,
            self.q,
            self.odds,
        )

    def infected(self) -> np.ndarray:
        return np.asarray(-np.expm1(np.minimum(self.free, 0.0)))

    def part(self, rules: Rules) -> tuple[Self, np.ndarray]:
        """Those destinations that are in doubt or known to be bad, with their sister names, and their numbers."""
        of, graph = self.evidence, self.graph
        doubt = np.where(of.gray, self.odds.max(axis=1) > _DOUBT, of.known > 0)
        chosen = np.flatnonzero(np.isin(of.domain, np.unique(of.domain[doubt])))
        number = np.full(graph.destinations, -1, np.int32)
        number[chosen] = np.arange(len(chosen), dtype=np.int32)
        edges = np.flatnonzero(number[graph.destination] >= 0)
        smaller, order = build(
            graph.visitor[edges], number[graph.destination[edges]], graph.terminals, len(chosen)
        )
        edges = edges[order]
        evidence = Evidence(
            prior=of.prior[chosen],
            gray=of.gray[chosen],
            known=of.known[chosen],
            domain=of.domain[chosen],
            share=of.share,
            leak=np.zeros(graph.terminals),
            seed=of.seed,
            shows=of.shows[edges],
            first=of.first[edges],
            polls=of.polls[edges],
        )
        inner = type(self)(smaller, evidence, self.q[chosen].copy(), self.odds[chosen].copy())
        # What all others add to log(1 - p) stays as it is now.
        self.terminals(rules, False)
        inner.times = self.times
        inner.terminals(rules, False)
        inner.base = self.free - inner.free
        return inner, chosen


@dataclass(frozen=True)
class Ledger:
    """What the last belief was made of, so that it can be told edge by edge."""

    graph: Graph
    evidence: Evidence
    numbers: np.ndarray
    hearsay: float
    free: np.ndarray
    own: np.ndarray
    times: np.ndarray
    crowd: np.ndarray

    def visits(self, d: int) -> tuple[np.ndarray, np.ndarray]:
        """Edges of a destination, and (n, 2) what each adds to its log-odds, malicious and landing page."""
        edges = np.arange(self.graph.begin[d], self.graph.begin[d + 1])
        out = np.empty((len(edges), 2))
        kernels.tell(
            edges,
            self.graph.visitor,
            self.graph.destination,
            self.evidence.domain,
            self.free,
            self.own,
            self.times,
            np.ascontiguousarray(self.evidence.first, np.int64),
            self.evidence.polls,
            self.crowd,
            self.numbers,
            out,
        )
        soft = (out > 0) & ~self.evidence.seed[self.graph.visitor[edges]][:, None]
        heard = np.where(soft, out, 0).sum(axis=0)
        counted = -self.hearsay * np.expm1(-heard / self.hearsay)
        return edges, np.where(soft, out * (counted / np.maximum(heard, 1e-300)), out)


def infer(
    graph: Graph,
    evidence: Evidence,
    like: Communities | None = None,
    rules: Rules | None = None,
    warm: np.ndarray | None = None,
) -> tuple[Belief, Ledger]:
    """The belief, and how it came about. ``warm``: ``Belief.bad`` to begin with."""
    rules = rules or Rules()
    q = np.zeros((graph.destinations, 2)) if warm is None else warm.astype(np.float64)
    q[~evidence.gray] = 0.0
    q[~evidence.gray, 0] = evidence.known[~evidence.gray]
    outer = _Pass(graph, evidence, q, evidence.prior.astype(np.float64))
    numbers = np.array(
        [rules.stray, rules.passing, rules.before, rules.timely, rules.active, rules.most], np.float64
    )
    infected = np.zeros(graph.terminals)
    share = np.maximum(evidence.share, 1e-300)
    whole, inside, infections, change = 0, 0, 1.0, 1.0

    def around(at: _Pass, eager: float, date: bool) -> float:
        nonlocal infected, infections
        at.terminals(rules, date)
        before, infected = infected, at.infected()
        infections = 1.0 + float(infected.sum())
        crowd = infections * share
        if like is not None:
            crowd = np.maximum(crowd, like.around(infected) * graph.terminals * share)
        at.destinations(crowd, numbers, rules.hearsay, eager)
        return float(np.abs(infected - before).max(initial=0.0))

    for cycle in range(rules.cycles):
        slowly = rules.eager / 2**cycle
        for _ in range(rules.whole + (cycle == 0)):
            whole += 1
            # Times of infection hold for a cycle, or what stands at the threshold would flicker.
            change = around(outer, 1.0, cycle + 1 < rules.cycles)
        if cycle and change < rules.close:
            break
        inner, chosen = outer.part(rules)
        for turn in range(rules.inner):
            inside += 1
            moved = around(inner, 1.0 if not cycle and turn + whole < rules.bold else slowly, False)
            if moved < rules.close and turn:
                break
        outer.q[chosen] = inner.q
    # The last word is whole and not held back, so that log-odds are the sum of what is told.
    whole += 1
    change = around(outer, 1.0, False)
    belief = Belief(infected, outer.q, outer.odds, infections, (whole, inside), change)
    return belief, Ledger(
        graph, evidence, numbers, rules.hearsay, outer.free, outer.own, outer.times, outer.crowd
    )


def unknown_leak(share: np.ndarray, leak: float, infections: float) -> np.ndarray:
    """``leak`` for each terminal, and less where a visit of a terminal of which nothing is known would speak for guilt
    (those that hardly visit anything)."""
    return np.minimum(leak, np.maximum(share * infections, 1e-12))
