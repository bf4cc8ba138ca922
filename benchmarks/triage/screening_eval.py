"""Looks a day, steps found and precision of a ranking of episodes; rows to train on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ait
import numpy as np
import pyarrow as pa
from ait import DAY, Network

from andon.learn.screening.training import Rows
from andon.triage.screening import queue

BUDGETS = (5, 10, 20, 50, 100)


def labelled(networks: Sequence[Network]) -> Rows:
    """Episodes to train on: unclear ones are left out."""
    parts = [(one, np.flatnonzero(~one.unclear)) for one in networks]
    return Rows(
        np.concatenate([one.features[at] for one, at in parts]),
        np.concatenate([one.true[at] for one, at in parts]).astype(np.float64),
        np.concatenate([np.full(len(at), one.name) for one, at in parts]),
        [one.rules[i] for one, at in parts for i in at.tolist()],
        np.ones(sum(len(at) for _, at in parts)),
    )


def noisy(
    tables: Mapping[str, pa.Table], networks: Mapping[str, Network], times: Sequence[int] = (3, 8)
) -> Rows:
    """Extra rows: the networks under more noise, whose days come from these networks alone; of the false episodes one
    in two (x3) and one in three (x8)."""
    parts = []
    for name, one in networks.items():
        own = {each: tables[each] for each in networks}
        for many in times:
            made = ait.network(name, ait.with_noise(own, name, many))
            thin = np.arange(len(made)) % (2 if many <= 3 else 3) == 0
            at = np.flatnonzero(made.true | (thin & ~made.unclear))
            parts.append((one.name, made, at))
    n = sum(len(at) for _, _, at in parts)
    return Rows(
        np.concatenate([made.features[at] for _, made, at in parts]),
        np.concatenate([made.true[at] for _, made, at in parts]).astype(np.float64),
        np.concatenate([np.full(len(at), name) for name, _, at in parts]),
        [made.rules[i] for _, made, at in parts for i in at.tolist()],
        np.ones(n),
        np.ones(n, bool),
    )


def both(a: Rows, b: Rows) -> Rows:
    return Rows(
        np.concatenate([a.features, b.features]),
        np.concatenate([a.labels, b.labels]),
        np.concatenate([a.groups, b.groups]),
        [*a.signatures, *b.signatures],
        np.concatenate([a.weights, b.weights]),
        np.concatenate([a.extra, b.extra]),
    )


def everything(one: Network) -> Rows:
    n = len(one)
    return Rows(one.features, one.true.astype(np.float64), np.full(n, one.name), one.rules, np.ones(n))


def average_precision(true: np.ndarray, score: np.ndarray) -> float:
    hit = true[np.argsort(-score, kind="stable")]
    return float((np.cumsum(hit) / np.arange(1, len(hit) + 1))[hit].mean())


@dataclass
class Looks:
    """By budget: steps found, true episodes among those looked at, and looks."""

    steps: dict[int, int]
    true: dict[int, int]
    looks: dict[int, int]
    missed: dict[int, list[str]]


@dataclass
class Result:
    """``daily``: the first k of each day's queue; ``mean``: k looks a day on average, the best of all days by worth;
    ``plain``: the same by score."""

    ap: float
    daily: Looks
    mean: Looks
    plain: Looks


def queued(one: Network, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rank in its day, worth) of each episode, as the engine queues them."""
    rank, worth = np.zeros(len(one), np.int64), np.zeros(len(one))
    day = one.first // DAY
    for each in np.unique(day).tolist():
        at = np.flatnonzero(day == each)
        rank[at], worth[at] = queue.ranks(score[at], one.signature[at], one.host[at], one.first[at])
    return rank, worth


def evaluate(networks: Mapping[str, Network], scores: Mapping[str, np.ndarray]) -> Result:
    """``scores``: of all episodes of each network; higher is more worth a look."""
    made = [Looks({}, {}, {}, {}) for _ in range(3)]
    aps = []
    for name, one in networks.items():
        score = np.nan_to_num(scores[name], nan=-np.inf)
        # The queue discounts by factors: it needs scores from 0 on, in the same order.
        if score.min() < 0 or score.max() > 1:
            score = np.argsort(np.argsort(score, kind="stable"), kind="stable") / len(score)
        aps.append(average_precision(one.true, score))
        rank, worth = queued(one, score)
        by_worth, by_score = np.argsort(-worth, kind="stable"), np.argsort(-score, kind="stable")
        for budget in BUDGETS:
            chosen = (
                np.flatnonzero(rank <= budget),
                by_worth[: budget * one.days],
                by_score[: budget * one.days],
            )
            for looks, at in zip(made, chosen, strict=True):
                found = frozenset[str]().union(*(one.steps[i] for i in at.tolist()))
                looks.steps[budget] = looks.steps.get(budget, 0) + len(found)
                looks.true[budget] = looks.true.get(budget, 0) + int(one.true[at].sum())
                looks.looks[budget] = looks.looks.get(budget, 0) + len(at)
                all_steps = frozenset[str]().union(*one.steps)
                looks.missed.setdefault(budget, []).extend(
                    f"{name}/{step}" for step in sorted(all_steps - found)
                )
    return Result(float(np.mean(aps)), *made)


def line(title: str, result: Result) -> str:
    """One line of a table."""
    daily, mean, plain = (
        "/".join(f"{one.steps[budget]:>2}" for budget in BUDGETS)
        for one in (result.daily, result.mean, result.plain)
    )
    precision = "/".join(f"{result.plain.true[b] / max(result.plain.looks[b], 1):.2f}" for b in BUDGETS)
    return f"{title:<34} {result.ap:.3f}  {mean}  {daily}  {plain}  {precision}"


HEAD = f"{'ranker':<34} AP     by worth        rank of the day by score        precision of the last at 5/10/20/50/100"
