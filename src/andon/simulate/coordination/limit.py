"""The limit of detectability, fixed before any engine was measured.

An event is above the limit if, on one of its ports and in some aligned span of 10 minutes, 1 hour or 1 day, the number
N of its new sources satisfies P(Poisson(b) >= N) <= 1e-6, where b is the true expectation of new sources on that port
in that span without the event. A stop is above it if the number M of its sources that would have been active in a span
satisfies P(Poisson(B + M) <= B) <= 1e-6, B being the expectation of other active sources. ``docs/benchmarks.md`` says
why this is fair.

Beside it, and stricter against a detector, stands the ``excess``: -log10 of the chance that the background alone, with
its true over-dispersion, brings b + N. Small botnets inside busy ports have a large excess long before they double
the port's new sources.
"""

from __future__ import annotations

from typing import Final

import numpy as np

LEVEL: Final = 1e-6


def least_new(b: np.ndarray | float) -> np.ndarray:
    """The smallest N that is above the limit where ``b`` new sources are expected (int64, at least 2).

    >>> least_new(np.array([0.001, 1.0, 100.0])).tolist()
    [2, 10, 152]
    """
    from scipy.stats import poisson

    b = np.atleast_1d(np.asarray(b, np.float64))
    found = np.where(b > 0, poisson.isf(LEVEL, np.maximum(b, 1e-300)) + 1, 1).astype(np.int64)
    at_least_two: np.ndarray = np.maximum(found, 2)
    return at_least_two


def is_missed(active: np.ndarray | float, others: np.ndarray | float) -> np.ndarray:
    """Whether ``active`` sources that fall silent are above the limit where ``others`` go on (bool)."""
    from scipy.stats import poisson

    active, others = np.asarray(active, np.float64), np.asarray(others, np.float64)
    found: np.ndarray = (active > 0) & (poisson.cdf(np.floor(others), others + active) <= LEVEL)
    return found


def excess(n: np.ndarray, b: np.ndarray, spread: float) -> np.ndarray:
    """-log10 P(X >= b + N), X negative binomial of mean ``b`` and variance b + (spread b)^2; at most 300.

    >>> round(float(excess(np.array([60]), np.array([100.0]), 0.0)[0]), 1)
    7.7
    """
    from scipy.stats import nbinom, poisson

    n, b = np.asarray(n, np.float64), np.maximum(np.asarray(b, np.float64), 1e-9)
    at = np.ceil(b + n) - 1
    size = 1 / max(spread, 1e-9) ** 2
    log = poisson.logsf(at, b) if spread == 0 else nbinom.logsf(at, size, size / (size + b))
    found: np.ndarray = np.clip(-log / np.log(10), 0, 300)
    return found


def missed_excess(active: float, others: float, spread: float) -> float:
    """-log10 P(X <= others), X negative binomial of mean active + others; at most 300."""
    from scipy.stats import nbinom

    if active <= 0:
        return 0.0
    size = 1 / max(spread, 1e-4) ** 2
    mean = active + others
    log = float(nbinom.logcdf(np.floor(others), size, size / (size + mean)))
    return min(300.0, float(-log / np.log(10)))
