"""How often does a terminal meet something malicious? A Poisson rate for each, shrunk to that of all (gamma-Poisson).

Counts k of new malicious contacts, exponentially forgotten, over T days forgotten alike, have k ~ Poisson(rate T) and
rate ~ Gamma(a, b); a and b are fitted to all terminals by moments: with m = sum k / sum T, a = sum (m T)^2 / (sum (k -
m T)^2 - sum m T), b = a / m. The posterior is Gamma(a + k, b + T): mean (a + k) / (b + T), and the chance of at least
one contact in t days is 1 - ((b + T) / (b + T + t))^(a + k). A terminal of which little is known has the rate of all;
what was seen of it moves it from there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DAYS = 7.0
LOW, HIGH = 0.1, 0.9  # of the interval


@dataclass(frozen=True)
class Prior:
    a: float
    b: float

    @classmethod
    def fit(cls, k: np.ndarray, t: np.ndarray) -> Prior:
        """From counts and days of all terminals. Without a single contact: half of one in all the days there are."""
        total = float(t.sum())
        if total <= 0:
            return cls(0.5, 500.0)
        m = max(float(k.sum()), 0.5) / total
        expected = m * t
        beyond = float(((k - expected) ** 2).sum() - expected.sum())
        a = float(np.clip((expected**2).sum() / max(beyond, 1e-9), 0.02, 20.0))
        return cls(a, a / m)


@dataclass(frozen=True)
class Rates:
    """By terminal: contacts a week with an 80 % interval, and the chance of at least one in the next seven days."""

    rate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    probability: np.ndarray


def rates(k: np.ndarray, t: np.ndarray, prior: Prior) -> Rates:
    """
    >>> r = rates(np.array([0.0, 4.0]), np.array([30.0, 30.0]), Prior(0.5, 50.0))
    >>> r.rate.round(3).tolist(), r.probability.round(3).tolist()
    ([0.044, 0.394], [0.041, 0.314])
    """
    from scipy.special import gammaincinv

    a, b = prior.a + k, prior.b + t
    return Rates(
        DAYS * a / b,
        DAYS * gammaincinv(a, LOW) / b,
        DAYS * gammaincinv(a, HIGH) / b,
        1.0 - (b / (b + DAYS)) ** a,
    )
