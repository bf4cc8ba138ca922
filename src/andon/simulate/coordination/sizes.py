"""How many packets a visitor sends to a telescope: a power law cut off above, thinned by the telescope's size.

A source that sends lambda packets per dark address, lambda from a Pareto law of exponent ALPHA, sends Poisson(lambda n)
packets to n addresses; most sources of a small telescope are never seen. Of those that are, mu = lambda n has density
proportional to mu^(-ALPHA-1) (1 - e^-mu) up to ``largest`` n, and the number of packets is Poisson(mu), not zero. So a
/24 sees fewer sources than a /16 by 256^ALPHA, not by 256, as real telescopes do. ALPHA = 0.6 gives about 50,000
sources a day at a /24 and 1.4 million at a /16 for 5,789 packets per address and day.
"""

from __future__ import annotations

from typing import Final

import numpy as np

ALPHA: Final = 0.6
_GRID: Final = 4096


class Sizes:
    """The law for one ``largest`` (packets per dark address) and number of ``addresses``."""

    def __init__(self, largest: float, addresses: int) -> None:
        top = max(largest * addresses, 2.0)
        # On a fine logarithmic grid from where a source sends one packet in ten thousand visits.
        edges = np.geomspace(1e-4, top, 20001)
        middle = np.sqrt(edges[1:] * edges[:-1])
        weight = middle ** (-ALPHA - 1) * -np.expm1(-middle) * np.diff(edges)
        weight /= weight.sum()
        self.mean = float((weight * middle / -np.expm1(-middle)).sum())  # packets of a visit that is seen
        self._middle, self._weight = middle, weight
        self._quantiles = np.interp((np.arange(_GRID) + 0.5) / _GRID, np.cumsum(weight), middle)

    def strengths(self, u: np.ndarray) -> np.ndarray:
        """mu of visitors, from uniform numbers in [0, 1)."""
        found: np.ndarray = self._quantiles[(u * _GRID).astype(np.int64)]
        return found

    def hits(self, share: float) -> float:
        """Chance that a seen visit sends at least one packet of the ``share`` of its packets that goes to a port."""
        seen = -np.expm1(-self._middle)
        return float((self._weight * -np.expm1(-self._middle * share) / seen).sum())


def at_least_one(mu: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Poisson(mu) given that it is not zero (int64): the first arrival in a unit of time, then the rest."""
    first = -np.log1p(rng.random(len(mu)) * np.expm1(-mu))
    found: np.ndarray = 1 + rng.poisson(np.maximum(mu - first, 0.0))
    return found
