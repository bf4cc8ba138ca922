"""Weights of techniques: naive Bayes over what is present, ridge logistic regression, and their mean.

Naive Bayes shrinks to what both classes do: A pseudo-profiles are shared between the classes by their size, half of
them with the technique, ``log((n_f + A p_f / 2) / (N_f + A p_f)) - log((n_t + A p_t / 2) / (N_t + A p_t))`` with p
the classes' shares. (Laplace's rule with the same a for both makes a technique that one targeted profile has alone a
sign of the smaller class, financial.) Logistic regression: ``|w|^2 / 2 + C * sum of balanced log losses``, over whole
profiles and random parts of them, since a case is a part. Both are scaled to scores of standard deviation 1 on the
profiles they were learnt from, and their mean is the weight."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np

from andon.learn.attacker.corpus import Profile
from andon.triage.attacker.vocabulary import parent

A: Final = 6.0
C: Final = 0.2
PARTS: Final = (20, 10, 5)  # techniques of the partial profiles that logistic regression learns from as well
MIX: Final = 0.5  # of logistic regression


def drawn(profile: Profile, most: int, seed: int) -> tuple[str, ...]:
    """At most so many techniques of a profile, the same ones for the same seed."""
    numbers = profile.techniques
    if len(numbers) <= most:
        return numbers
    chance = np.random.default_rng([seed, most, zlib.crc32(profile.number.encode())])
    return tuple(numbers[at] for at in np.sort(chance.choice(len(numbers), most, replace=False)))


def features(numbers: Sequence[str]) -> set[str]:
    """Techniques with those above them."""
    return {*numbers, *(parent(number) for number in numbers)}


def matrix(rows: Sequence[Sequence[str]], names: Sequence[str]) -> np.ndarray:
    """float64 (rows, names): 1 where a row has the technique, or a part of it."""
    place = {name: at for at, name in enumerate(names)}
    made = np.zeros((len(rows), len(names)))
    for at, numbers in enumerate(rows):
        made[at, [place[name] for name in features(numbers) if name in place]] = 1.0
    return made


def bayes(seen: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Log-odds of each column for label 1 against 0."""
    rates = []
    for each in (0, 1):
        own = label == each
        share = A * own.mean()
        rates.append((seen[own].sum(0) + share / 2) / (own.sum() + share))
    return np.asarray(np.log(rates[1]) - np.log(rates[0]))


def logistic(seen: np.ndarray, label: np.ndarray, c: float = C) -> np.ndarray:
    """Coefficients of ridge logistic regression, both labels weighing alike; the intercept is not penalised."""
    from scipy.optimize import minimize

    count = np.array([(label == 0).sum(), (label == 1).sum()], float)
    weight = (c * len(label) / (2 * count))[label]
    sign = 2.0 * label - 1

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (seen @ w[:-1] + w[-1])
        slope = -weight * sign / (1 + np.exp(np.clip(margin, -500, 500)))
        value = 0.5 * w[:-1] @ w[:-1] + weight @ np.logaddexp(0, -margin)
        return float(value), np.r_[w[:-1] + seen.T @ slope, slope.sum()]

    found = minimize(loss, np.zeros(seen.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return np.asarray(found.x[:-1])


def weights(profiles: Sequence[Profile], seed: int = 1, mix: float = MIX) -> dict[str, float]:
    """technique -> weight for financial (1) against targeted (0). Raises ValueError where a class is missing."""
    label = np.array([each.cls == "financial" for each in profiles], np.int64)
    if len(set(label.tolist())) < 2:
        raise ValueError("there are no profiles of both classes, financial and targeted, to learn from")
    names = sorted({name for each in profiles for name in features(each.techniques)})
    whole = matrix([each.techniques for each in profiles], names)
    parts = [matrix([drawn(each, most, seed) for each in profiles], names) for most in PARTS]
    root = np.sqrt(np.maximum(whole.sum(1), 1.0))
    total = np.zeros(len(names))
    made = (
        (1 - mix, bayes(whole, label)),
        (mix, logistic(np.vstack([whole, *parts]), np.tile(label, 1 + len(PARTS)))),
    )
    for share, w in made:
        spread = float((whole @ w / root).std())
        total += share * w / (spread if spread > 0 else 1.0)
    return dict(zip(names, np.round(total, 6).tolist(), strict=True))
