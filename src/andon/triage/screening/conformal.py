"""How much is missed below a threshold, and when nothing can be promised.

Split conformal miss control (Vovk, Gammerman, Shafer 2005; as conformal risk control, Angelopoulos et al. 2022): with
n scores of episodes known to be true, given by models that did not learn from them, and ``k = floor(alpha (n + 1))``,
the next true one scores below the k-th smallest of them with a chance of at most alpha, if it is exchangeable with
them. For k < 1 no threshold is allowed and everything has to be shown.

Another network is not this one. ``transferred`` therefore measures how much of alpha is lost on the way: each network
of the calibration is left out in turn, and the smallest divisor of alpha is taken with which the threshold of the
others keeps every one of them at alpha, within two standard deviations of its number of true episodes. Were networks
exchangeable, the next one would be worse than all m seen with a chance of 1 / (m + 1), so m / (m + 1) is printed as
the confidence. ``adapted`` is adaptive conformal inference (Gibbs, Candes 2021), fed by the audit: ``alpha <- alpha +
g (target - miss)``, misses weighted by the inclusion probability of the draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

RATE: Final = 0.02  # g of the adaptive update
DIVISORS: Final = (1, 2, 3, 5, 8, 12)


@dataclass(frozen=True)
class Promise:
    """``threshold``: what scores at least so much is shown; -inf: everything is, because no promise is possible
    (``kept`` False). ``n``: true episodes it rests on, ``networks`` they are from, ``k``: how many of them may be
    missed; ``confidence``: that the promise holds (NaN: only on average over calibrations)."""

    threshold: float
    alpha: float
    n: int
    k: int
    kept: bool
    confidence: float
    networks: int = 1
    statement: str = ""


def split(scores: np.ndarray, alpha: float) -> Promise:
    """Threshold from scores of true episodes. Raises ValueError for an alpha that is not between 0 and 1.

    >>> split(np.arange(1.0, 100.0), 0.05).threshold, split(np.arange(9.0), 0.05).kept
    (5.0, False)
    """
    _between(alpha)
    scores = np.sort(scores[~np.isnan(scores)])
    n = len(scores)
    k = int(np.floor(alpha * (n + 1) + 1e-9))
    if k < 1:
        need = int(np.ceil(1 / alpha - 1e-9)) - 1
        return Promise(
            -np.inf, alpha, n, 0, False, float("nan"), 1,
            f"no promise at alpha {alpha:g}: it needs {need:,} confirmed true episodes and there are {n:,}",
        )  # fmt: skip
    return Promise(
        float(scores[k - 1]), alpha, n, k, True, float("nan"), 1,
        f"at most {alpha:.1%} of true episodes are expected below the threshold (n = {n:,}, k = {k})",
    )  # fmt: skip


def certain(scores: np.ndarray, alpha: float, confidence: float = 0.95) -> Promise:
    """As ``split``, but the share of misses is at most alpha with this confidence over the draw of the calibration
    (Vovk 2012): the largest k for which a binomial of n at alpha gives fewer than k with at most 1 - confidence. Needs
    ``n >= ln(1 - confidence) / ln(1 - alpha)``."""
    _between(alpha)
    _between(confidence)
    from scipy.special import bdtr

    scores = np.sort(scores[~np.isnan(scores)])
    n = len(scores)
    below = bdtr(np.arange(n, dtype=float), n, alpha)  # chance of at most 0, 1, ... misses
    k = int((below <= 1 - confidence).sum())
    if k < 1:
        need = int(np.ceil(np.log(1 - confidence) / np.log1p(-alpha)))
        return Promise(
            -np.inf, alpha, n, 0, False, confidence, 1,
            f"no promise at alpha {alpha:g} with {confidence:.0%} confidence: it needs {need:,} confirmed true "
            f"episodes and there are {n:,}",
        )  # fmt: skip
    return Promise(
        float(scores[k - 1]), alpha, n, k, True, confidence, 1,
        f"at most {alpha:.1%} of true episodes lie below the threshold with {confidence:.0%} confidence "
        f"(n = {n:,}, k = {k})",
    )  # fmt: skip


def transferred(scores: np.ndarray, network: np.ndarray, alpha: float) -> Promise:
    """Threshold for a network that gave no labels yet, from scores (n,) of true episodes and the networks (n,) they are
    of. Raises ValueError."""
    _between(alpha)
    names = np.unique(network)
    m, n = len(names), len(scores)
    if m < 2:
        return Promise(
            -np.inf, alpha, n, 0, False, float("nan"), m,
            f"no promise at alpha {alpha:g} for a new network: it needs true episodes of two; there are {n:,} of {m}",
        )  # fmt: skip
    for divisor in DIVISORS:
        made = split(scores, alpha / divisor)
        if not made.kept:
            break
        if all(_holds(scores, network == name, alpha, divisor) for name in names):
            return Promise(
                made.threshold, alpha, n, made.k, True, m / (m + 1), m,
                f"at most {alpha:.1%} of true episodes are expected below the threshold (n = {n:,} of {m} networks, "
                f"k = {made.k}, alpha divided by {divisor}; it held on each network when left out: confidence "
                f"{m / (m + 1):.0%})",
            )  # fmt: skip
    return Promise(
        -np.inf, alpha, n, 0, False, float("nan"), m,
        f"no promise at alpha {alpha:g} for a new network: {n:,} true episodes of {m} networks are too few, or the "
        "networks too different",
    )  # fmt: skip


def _holds(scores: np.ndarray, left_out: np.ndarray, alpha: float, divisor: float) -> bool:
    others = split(scores[~left_out], alpha / divisor)
    own = int(left_out.sum())
    missed = float((scores[left_out] < others.threshold).mean())
    return missed <= alpha + 2 * float(np.sqrt(alpha * (1 - alpha) / own))


def adapted(
    alpha: float,
    target: float,
    missed: Sequence[bool],
    drawn: Sequence[float],
    rate: float = RATE,
    most: float = 0.999,
) -> float:
    """Alpha after audit outcomes of true episodes: ``missed`` says whether each lay below the threshold, ``drawn``
    with which probability it came before a person (1 for what was shown). Each one moves alpha by ``rate`` times the
    difference, weighted by 1 / drawn (at most 100 for one). At 0 or below everything has to be shown; it may go
    there, down to -1, since what is cut off would be forgotten and the share of misses drift upwards. ``most``:
    alpha never rises above."""
    _between(target)
    for miss, probability in zip(missed, drawn, strict=True):
        if not 0 < probability <= 1:
            raise ValueError(f"a draw with probability {probability}")
        weight = min(1 / probability, 100.0) if miss else 1.0
        alpha += rate * (target - weight * bool(miss))
        alpha = min(max(alpha, -1.0), most)
    return alpha


def miss_rate(missed: np.ndarray, drawn: np.ndarray) -> tuple[float, float]:
    """(Horvitz-Thompson estimate of the share of true episodes that were screened out, its standard error), from true
    episodes (n,) that people saw: ``missed`` bool, ``drawn`` with which probability. NaN without any."""
    if not len(missed):
        return float("nan"), float("nan")
    weight = 1 / drawn
    total = float(weight.sum())
    rate = float((weight * missed).sum() / total)
    # Linearised variance of a ratio under independent draws.
    spread = (1 - drawn) * (weight * (missed - rate)) ** 2
    return rate, float(np.sqrt(spread.sum()) / total)


def _between(value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{value} is not between 0 and 1")
