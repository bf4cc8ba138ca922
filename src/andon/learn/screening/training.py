"""Labelled episodes -> a screening model (``triage.screening.rank.Ranker``).

Rows belong to groups (networks; for one site alone: weeks) that are left out together:

* the *prior* of a signature in a training row is the share of true episodes of that signature in all other groups,
  drawn to the mean by ``DRAWN`` rows, so that the trees learn how much such a figure is worth on a network that it is
  not from;
* *calibration scores* are those that each group gets from a forest trained on the others alone (whose priors, in turn,
  know nothing of it): from them come the probabilities and the promise of what is missed.

The forest and the additive model that are kept are then trained on all rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from andon.learn.screening import curves, forest
from andon.records.model import Model
from andon.sketch.trees import Forest
from andon.triage.screening.conformal import miss_rate
from andon.triage.screening.features import INPUTS
from andon.triage.screening.rank import KIND, Prior, signature_key

OUTCOMES: Final = 20_000  # of true episodes that a model carries
DRAWN: Final = 5.0
TREES: Final = 300
LEAF: Final = 2
Signature = tuple[str, str, str]  # product, rule, title


@dataclass(frozen=True)
class Rows:
    """``features`` (n, len(FEATURES)); ``labels`` (n,) 0 or 1; ``groups`` (n,) names; ``weights`` (n,) above 0;
    ``signatures``: of each; ``extra`` (n,) bool: rows that the trees learn from and nothing is counted by (episodes
    of the same network under more noise). Raises ValueError for columns that differ in length."""

    features: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    signatures: Sequence[Signature]
    weights: np.ndarray
    extra: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))

    def __post_init__(self) -> None:
        n = len(self.labels)
        if not len(self.extra):
            object.__setattr__(self, "extra", np.zeros(n, bool))
        if len(self.extra) != n:
            raise ValueError("extra is of another length than the labels")
        if not n == len(self.features) == len(self.groups) == len(self.signatures) == len(self.weights):
            raise ValueError("features, labels, groups, signatures and weights differ in length")
        if n and (not np.isfinite(self.features).all() or not (self.weights > 0).all()):
            raise ValueError("features have to be numbers and weights above 0")

    def where(self, chosen: np.ndarray) -> Rows:
        at = np.flatnonzero(chosen)
        signatures = [self.signatures[i] for i in at.tolist()]
        return Rows(
            self.features[at], self.labels[at], self.groups[at], signatures, self.weights[at], self.extra[at]
        )


@dataclass(frozen=True)
class Audit:
    """What became of a site's true episodes, in order of time: ``missed`` (n,) bool, whether each had been screened out
    and came before a person by the draw alone; ``drawn`` (n,): with which probability, 1 for what was shown."""

    missed: np.ndarray
    drawn: np.ndarray

    def rate(self) -> tuple[float, float]:
        """(estimated share of true episodes that are missed, its standard error); NaN without any."""
        return miss_rate(self.missed, self.drawn)


def audited(labels: np.ndarray, inclusion: np.ndarray, times: np.ndarray) -> Audit:
    """From labelled episodes: ``labels`` (n,) 1 for true, ``inclusion`` (n,) with which probability each came before a
    person (below 1 only for those that the audit drew), ``times`` (n,) ns. The newest ``OUTCOMES`` true ones.

    >>> audited(np.array([1, 0, 1]), np.array([0.01, 1.0, 1.0]), np.array([5, 6, 4])).missed.tolist()
    [False, True]
    """
    if ((inclusion <= 0) | (inclusion > 1)).any():
        raise ValueError("probabilities of coming before a person lie above 0 and at most at 1")
    at = np.flatnonzero(labels > 0)
    at = at[np.argsort(times[at], kind="stable")][-OUTCOMES:]
    return Audit(inclusion[at] < 1, np.asarray(inclusion[at], np.float64))


def prior(rows: Rows) -> Prior:
    """How often each signature was true, by rule and by title. Extra rows do not count."""
    rows = rows.where(~rows.extra)
    total, true = float(rows.weights.sum()), float((rows.weights * rows.labels).sum())
    mean = (true + 0.5) / (total + 1)
    sums: dict[int, list[float]] = {}
    known: dict[Signature, tuple[int, ...]] = {}
    for signature, label, weight in zip(
        rows.signatures, rows.labels.tolist(), rows.weights.tolist(), strict=True
    ):
        if signature not in known:
            product, rule, title = signature
            known[signature] = tuple({signature_key(product, words) for words in (rule, title) if words})
        for key in known[signature]:
            held = sums.setdefault(key, [0.0, 0.0])
            held[0] += weight * label
            held[1] += weight
    keys = np.array(sorted(sums), np.uint64)
    share = [(sums[key][0] + DRAWN * mean) / (sums[key][1] + DRAWN) for key in keys.tolist()]
    return Prior(keys, np.log(np.array(share, np.float64)), float(np.log(mean)))


def inputs(rows: Rows) -> np.ndarray:
    """(n, len(INPUTS)) f4: features and out-of-fold priors."""
    told = np.empty(len(rows.labels))
    for group in np.unique(rows.groups):
        mine = rows.groups == group
        others = rows.where(~mine)
        known = prior(others)
        told[mine] = known.of([rows.signatures[i] for i in np.flatnonzero(mine).tolist()])
    return np.concatenate([rows.features, told[:, None]], axis=1).astype(np.float32)


def balanced(rows: Rows) -> np.ndarray:
    """Weights under which true and false episodes count the same."""
    true = rows.weights[rows.labels > 0].sum()
    false = rows.weights[rows.labels <= 0].sum()
    if not true or not false:
        raise ValueError(
            "there are no true episodes to learn from"
            if not true
            else "there are no false episodes to learn from"
        )
    return np.asarray(rows.weights * np.where(rows.labels > 0, false / true, 1.0))


def grown(rows: Rows, seed: int, trees: int = TREES) -> Forest:
    made = forest.grow(inputs(rows), rows.labels, balanced(rows), seed=seed, trees=trees, leaf=LEAF)
    return Forest.of(made)


def scores(rows: Rows, asked: Rows, seed: int, trees: int = TREES) -> np.ndarray:
    """Scores of ``asked`` by a forest that learned from ``rows`` alone."""
    whole = np.concatenate([asked.features, prior(rows).of(asked.signatures)[:, None]], axis=1)
    return grown(rows, seed, trees).mean(whole.astype(np.float32))


def held_out(rows: Rows, seed: int, trees: int = TREES) -> np.ndarray:
    """Score of each row by a forest that learned from the other groups; NaN where these have not both classes, and for
    extra rows."""
    out = np.full(len(rows.labels), np.nan)
    for group in np.unique(rows.groups):
        others, mine = rows.where(rows.groups != group), (rows.groups == group) & ~rows.extra
        if 0 < others.labels.sum() < len(others.labels):
            out[mine] = scores(others, rows.where(mine), seed, trees)
    return out


def train(
    features: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    weights: np.ndarray | None = None,
    seed: int = 1,
    *,
    signatures: Sequence[Signature] = (),
    extra: np.ndarray | None = None,
    own: str | Collection[str] = (),
    audit: Audit | None = None,
    trees: int = TREES,
    card: Mapping[str, Any] | None = None,
) -> Model:
    """A model from labelled episodes (see ``Rows`` for all columns). ``own``: the groups whose calibration
    scores are this site's own; ``audit``: what became of its true episodes, from which the promise's alpha moves;
    ``card``: what the model card says besides. Raises ValueError where there are not both kinds of
    episodes."""
    n = len(labels)
    rows = Rows(
        np.asarray(features, np.float32),
        np.asarray(labels, np.float64),
        np.asarray(groups),
        list(signatures) or [("", "", "")] * n,
        np.ones(n) if weights is None else np.asarray(weights, np.float64),
        np.zeros(n, bool) if extra is None else np.asarray(extra, bool),
    )
    heavy = balanced(rows)
    whole = inputs(rows)
    made = forest.grow(whole, rows.labels, heavy, seed=seed, trees=trees, leaf=LEAF)
    explained = curves.fit(whole, rows.labels, heavy, seed)
    out = held_out(rows, seed, trees)
    seen = ~np.isnan(out)
    known = prior(rows)
    names = np.unique(rows.groups).tolist()
    mine = {own} if isinstance(own, str) else set(own)
    number = np.array([-1 if name in mine else i for i, name in enumerate(names)], np.int64)
    true = seen & (rows.labels > 0)
    x, y = probability_curve(out[seen], rows.labels[seen], rows.weights[seen])
    arrays = {f"forest {name}": values for name, values in made.items()}
    arrays |= explained.arrays("additive ")
    arrays |= {
        "prior keys": known.keys,
        "prior values": known.values,
        "prior other": np.array([known.other]),
        "probability score": x,
        "probability": y,
        "calibration scores": out[true],
        "calibration networks": number[np.searchsorted(names, rows.groups[true])],
    }
    if audit is not None:
        arrays |= {"audit missed": audit.missed, "audit drawn": audit.drawn}
    said = {
        "features": list(INPUTS),
        "episodes": int((~rows.extra).sum()),
        "true": int((rows.labels[~rows.extra] > 0).sum()),
        "extra": int(rows.extra.sum()),
        "groups": [str(name) for name in names],
        "trees": trees,
        "seed": seed,
        "agreement": agreement(out[seen], explained.log_odds(whole[seen]), int(true.sum())),
    }
    return Model(KIND, arrays, said | dict(card or {}))


def agreement(first: np.ndarray, second: np.ndarray, many: int) -> float:
    """Share of the ``many`` highest by one score that are among the ``many`` highest by the other."""
    a, b = (set(np.argsort(-score, kind="stable")[:many].tolist()) for score in (first, second))
    return round(len(a & b) / max(many, 1), 4)


def probability_curve(
    score: np.ndarray, label: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points of a rising function from score to the share of true ones: pooled adjacent violators (Ayer et al.
    1955)."""
    if not len(score):
        return np.array([0.0, 1.0]), np.array([0.0, 1.0])
    order = np.argsort(score, kind="stable")
    blocks: list[list[float]] = []  # weight x score, weight x label, weight
    for x, y, w in zip(score[order].tolist(), label[order].tolist(), weight[order].tolist(), strict=True):
        blocks.append([w * x, w * y, w])
        while len(blocks) > 1 and blocks[-2][1] * blocks[-1][2] >= blocks[-1][1] * blocks[-2][2]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    made = np.array(blocks)
    share = float(made[:, 1].sum() / made[:, 2].sum())  # blocks of few rows are drawn towards all
    x = np.maximum.accumulate(made[:, 0] / made[:, 2])
    y = np.clip(np.maximum.accumulate((made[:, 1] + share) / (made[:, 2] + 1)), 1e-5, 1 - 1e-5)
    fresh = np.r_[True, np.diff(x) > 0]
    return x[fresh], y[fresh]
