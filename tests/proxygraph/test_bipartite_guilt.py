from __future__ import annotations

import numpy as np
import pytest
from proxygraph_worlds import small, world

from andon.sketch.bipartite import Graph, build
from andon.sketch.bipartite.baselines import belief_propagation, label_propagation, share_of_infected
from andon.sketch.bipartite.communities import communities
from andon.sketch.bipartite.guilt import Belief, Evidence, Ledger, Rules, infer


def inferred(
    pairs: list[tuple[int, int]],
    terminals: int,
    black: set[int],
    base: float = -6.0,
    prior: dict[int, float] | None = None,
    domain: list[int] | None = None,
    leak: float = 1e-3,
    polls: set[tuple[int, int]] | None = None,
    first: dict[tuple[int, int], int] | None = None,
    shows: float = 0.9,
    like: bool = False,
) -> tuple[Belief, Ledger, Graph]:
    destinations = 1 + max(d for _, d in pairs)
    graph, _ = build(
        np.array([u for u, _ in pairs]), np.array([d for _, d in pairs]), terminals, destinations
    )
    held = np.full(destinations, base)
    for d, value in (prior or {}).items():
        held[d] = value
    known = np.isin(np.arange(destinations), list(black))
    seed = np.zeros(terminals, bool)
    seed[graph.visitor[known[graph.destination]]] = True
    ends = list(zip(graph.visitor.tolist(), graph.destination.tolist(), strict=True))
    evidence = Evidence(
        prior=np.stack([held, np.full(destinations, base)], axis=1),
        gray=~known,
        known=known.astype(float),
        domain=np.arange(destinations) if domain is None else np.array(domain),
        share=np.maximum(graph.degrees(), 1) / graph.edges,
        leak=np.full(terminals, leak),
        seed=seed,
        shows=np.full(graph.edges, shows),
        first=np.array([(first or {}).get(end, 0) for end in ends], np.int64),
        polls=np.array([end in (polls or set()) for end in ends], bool),
    )
    belief, ledger = infer(graph, evidence, communities(graph) if like else None)
    return belief, ledger, graph


CROWD = [
    (u, 1000 + 7 * u + i) for u in range(10, 200) for i in range(7)
]  # terminals 10..199, with sites of their own


def test_singletons_do_not_reinforce_themselves() -> None:
    """A terminal of 300 sites of its own, as busy as forty others, and one of a suspicion."""
    alone = [(0, d) for d in range(300)]
    belief, _, _ = inferred([*alone, *CROWD], 200, set())
    assert belief.infected[0] < 0.01
    assert belief.bad[:300].sum() < 0.5
    # Infected for certain: what it visits alone is more suspicious, but all of it by two destinations or three.
    belief, _, _ = inferred([(0, 999), *alone, *CROWD], 200, {999}, first={(0, 999): 10**6})
    assert belief.infected[0] > 0.85
    assert belief.bad[:300].sum() < 3
    assert belief.odds[:300].max() < -2


def test_sister_names_do_not_reinforce_one_another() -> None:
    """Thirty names of one domain, each a little suspicious, are one suspicion; of thirty domains they are many."""
    sites = [(u, d) for u in (0, 1) for d in range(30)]
    prior = dict.fromkeys(range(30), -1.5)
    apart, _, _ = inferred([*sites, *CROWD], 200, set(), prior=prior, leak=0.02)
    destinations = 1 + max(d for _, d in CROWD)
    one = [0] * 30 + list(range(1, destinations - 29))
    sisters, _, _ = inferred([*sites, *CROWD], 200, set(), prior=prior, leak=0.02, domain=one)
    assert sisters.infected[0] < 0.25
    assert apart.infected[0] > 2 * sisters.infected[0]


def test_infected_visitors_speak_for_guilt_and_clean_ones_against_it() -> None:
    shared = [(u, 0) for u in range(5)] + [(u, 1) for u in (*range(5), *range(20, 60))]
    seeds = [(u, 999) for u in range(5)]
    belief, _, _ = inferred([*shared, *seeds, *CROWD], 200, {999})
    assert belief.bad[0].sum() > 0.95
    assert belief.bad[1].sum() < 1e-3


def test_a_busy_terminal_spreads_less_guilt_than_a_quiet_one() -> None:
    """Both are infected; the busy one has 400 destinations, the quiet one 5."""
    pairs = [(0, 999), (1, 999), (0, 0), (1, 1)]
    pairs += [(0, 3000 + i) for i in range(400)] + [(1, 4000 + i) for i in range(5)]
    belief, ledger, _ = inferred([*pairs, *CROWD], 200, {999})
    (busy,), (quiet,) = (ledger.visits(d)[1][:, 0] for d in (0, 1))
    assert quiet > busy + 2
    assert belief.infected[0] == pytest.approx(belief.infected[1], abs=0.1)


def test_log_odds_are_the_prior_and_what_each_visit_adds() -> None:
    made = small()
    belief, ledger, graph = of_world(made)
    shown = np.argsort(-belief.odds.max(axis=1))[:200]
    for d in shown:
        _, said = ledger.visits(int(d))
        assert ledger.evidence.prior[d] + said.sum(axis=0) == pytest.approx(belief.odds[d], abs=0.02)
    assert graph.edges > 10_000


def test_a_visit_is_the_logarithm_that_the_model_says() -> None:
    pairs = [(0, 999), (0, 0), *CROWD]
    belief, ledger, graph = inferred(pairs, 200, {999})
    _, said = ledger.visits(0)
    share = 2 / graph.edges
    p = 1 - (1 - 1e-3) * (1 - 0.9)  # by the black contact, and the chance to be infected without a trace
    rules = Rules()
    expected = np.log((1 - rules.stray) * p / (belief.infections * share) + rules.stray)
    assert said[0, 0] == pytest.approx(min(expected, rules.most), abs=0.05)


def test_visitors_that_came_just_before_their_infection_make_a_landing_page() -> None:
    """Ten infected ones and as many clean ones go to either page, so neither is malicious itself."""
    sick = range(10, 20)
    seeds = [(u, 999) for u in sick]
    pages = [(u, d) for d in (0, 1) for u in (*sick, *range(20 + 10 * d, 30 + 10 * d))]
    infected_at = {(u, 999): 100_000 + 5_000 * u for u in sick}
    before = {(u, 0): at - 600 for (u, _), at in infected_at.items()}
    long_before = {(u, 1): at - 70_000 for (u, _), at in infected_at.items()}
    belief, _, _ = inferred([*pages, *seeds, *CROWD], 200, {999}, first=infected_at | before | long_before)
    assert belief.bad[0, 1] > 0.9
    assert belief.odds[0, 1] > belief.odds[1, 1] + 10


def test_what_some_terminals_without_a_known_contact_share_stays_a_suspicion() -> None:
    """Twelve terminals share five sites that they poll, as the users of one product do."""
    product = [(u, d) for u in range(12) for d in range(5)]
    belief, _, _ = inferred(
        [*product, *CROWD], 200, set(), prior=dict.fromkeys(range(5), -3.5), polls=set(product), leak=0.01
    )
    assert belief.bad[:5, 0].max() < 0.9
    seeded, _, _ = inferred(
        [*product, (0, 999), (1, 999), *CROWD],
        200,
        {999},
        prior=dict.fromkeys(range(5), -3.5),
        polls=set(product),
        leak=0.01,
    )
    assert seeded.odds[:5, 0].min() > belief.odds[:5, 0].max() + 1


def of_world(made: object, like: bool = True) -> tuple[Belief, Ledger, Graph]:
    """Inference on edges of a world alone, without timing of polls."""
    w: world.World = made  # type: ignore[valid-type, name-defined]
    keep = w.colour[w.destination] != world.WHITE
    graph, row = build(w.terminal[keep], w.destination[keep], len(w.campaign), len(w.colour))
    black = w.colour == world.BLACK
    seed = np.zeros(len(w.campaign), bool)
    seed[graph.visitor[black[graph.destination]]] = True
    base = np.log(seed.sum() / (graph.visitors() > 0).sum())
    again = (w.last - w.first)[keep][row] >= 3600
    evidence = Evidence(
        prior=np.full((len(w.colour), 2), base),
        gray=~black,
        known=black.astype(float),
        domain=np.arange(len(w.colour)),
        share=(graph.degrees() + 0.2 * graph.degrees().mean()) / (1.2 * graph.edges),
        leak=np.full(len(w.campaign), 0.01),
        seed=seed,
        shows=np.where(again, 0.9, 0.5),
        first=w.first[keep][row],
        polls=np.zeros(graph.edges, bool),
    )
    belief, ledger = infer(graph, evidence, communities(graph) if like else None)
    return belief, ledger, graph


def _hits(score: np.ndarray, made: object, most: int = 30) -> float:
    """Share of malicious and compromised ones among the first gray destinations."""
    w: world.World = made  # type: ignore[valid-type, name-defined]
    order = np.argsort(-np.where(w.colour == world.GRAY, score, -np.inf), kind="stable")[:most]
    return float(np.isin(w.kind[order], (world.MALICIOUS, world.COMPROMISED)).mean())


def test_the_graph_ranks_bad_destinations_before_all_baselines() -> None:
    made = small(seed=5, campaigns=12)
    belief, _, graph = of_world(made)
    black = made.colour == world.BLACK
    seeds = np.zeros(graph.terminals, bool)
    seeds[graph.visitor[black[graph.destination]]] = True
    ours = _hits(belief.odds.max(axis=1), made)
    priors = np.where(black, 0.99, 0.5)
    others = {
        "k/(n+2)": share_of_infected(graph, seeds),
        "label propagation": label_propagation(graph, black.astype(float))[0],
        "belief propagation": belief_propagation(graph, priors, np.full(graph.terminals, 0.5))[0],
    }
    scores = {name: _hits(score, made) for name, score in others.items()}
    assert ours > 0.8
    assert ours > max(scores.values()) + 0.1, scores


def test_a_department_cannot_talk_itself_into_guilt() -> None:
    """All campaigns are spear phishing: a fifth of some departments is infected, and each has sites of its own."""
    made = small(seed=1, spear=1.0, campaigns=10, largest=16)
    scores = {like: of_world(made, like=like)[0] for like in (True, False)}
    apart = communities(of_world(made)[2])
    held = apart.around((made.department == 3).astype(float))
    assert held[made.department == 3].mean() > 3 * held[made.department != 3].mean()
    clean = made.campaign < 0
    assert _hits(scores[True].odds.max(axis=1), made) > _hits(scores[False].odds.max(axis=1), made) + 0.2
    assert scores[True].infected[clean].sum() < scores[False].infected[clean].sum() / 3


def test_belief_propagation_sums_messages_on_a_tree_exactly() -> None:
    """Two terminals between a black and a gray destination, by hand."""
    graph, _ = build(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 2]), 2, 3)
    destination, terminal = belief_propagation(graph, np.array([0.99, 0.5, 0.5]), np.array([0.5, 0.5]), 0.6)
    message = 0.99 * 0.6 + 0.01 * 0.4
    assert 1 / (1 + np.exp(-terminal)) == pytest.approx([message] * 2, abs=1e-9)
    onward = message * 0.6 + (1 - message) * 0.4
    assert 1 / (1 + np.exp(-destination[1:])) == pytest.approx([onward] * 2, abs=1e-9)
