"""How often ports meet by chance: sources that draw their ports independently, each by its popularity.

Sources are taken as they are in number of ports; which ports they draw is left to chance: one after the other, a port
in proportion to its popularity, until a source has as many different ones as it had. Rosén ("Asymptotic theory for
successive sampling", Annals of Mathematical Statistics 43, 1972): a port of popularity q is then among the first d
with probability 1 - exp(-t_d q), where t_d makes these add up to d. The popularities are those with which every
port is met as often as it was (five rounds of iterative proportional fitting). TCP, UDP and mixed sources are fitted
apart, since who scans UDP rarely scans TCP and their ports would seem to seek each other's company.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from andon.detect.darknet.portsets.kernel import CODES, PORTS, UDP_CODE
from andon.detect.darknet.portsets.scanners import Scanners

TCP, UDP, MIXED = range(3)
_ROUNDS = 5
_LARGEST = 1 - 1e-9


def protocols(scanners: Scanners) -> np.ndarray:
    """TCP, UDP or MIXED of each source (codes are ascending, so first and last tell)."""
    if not len(scanners):
        return np.zeros(0, np.int64)
    first = scanners.codes[scanners.begin[:-1]] >= UDP_CODE
    last = scanners.codes[scanners.begin[1:] - 1] >= UDP_CODE
    return np.where(first, UDP, np.where(last, MIXED, TCP))


def protocol(codes: tuple[int, ...]) -> int:
    """TCP, UDP or MIXED of a set."""
    udp = [code >= UDP_CODE for code in codes]
    return UDP if all(udp) else MIXED if any(udp) else TCP


@dataclass(frozen=True)
class Popularity:
    """``met[d - 1, g]``: probability that a source of d ports has a given port of group g; the group of a code is
    ``group[code]`` (-1: never met). ``sources[d - 1]``: number of sources with d ports. ``rest[d - 1]``: log of the
    probability that none of all ports is met, less that of meeting d of them."""

    group: np.ndarray  # int64[CODES]
    met: np.ndarray  # float64 (16, groups)
    sources: np.ndarray  # float64[16]
    rest: np.ndarray  # float64[16]

    @classmethod
    def of(cls, scanners: Scanners) -> Self:
        """Fit to sources of one class."""
        sources = np.bincount(scanners.sizes, minlength=PORTS + 1)[1:].astype(float)
        times = np.bincount(scanners.codes, minlength=CODES)
        # Ports that were met equally often are equally popular: one group.
        values, inverse = np.unique(times, return_inverse=True)
        group = inverse - int(values[0] == 0)
        ports = np.bincount(inverse)[int(values[0] == 0) :].astype(float)
        seen = values[int(values[0] == 0) :].astype(float)
        share = seen / max(float(seen @ ports), 1.0)
        met = np.zeros((PORTS, len(seen)))
        for _ in range(_ROUNDS):
            met = np.stack([_successive(share, ports, d + 1) for d in range(PORTS)])
            expected = sources @ met
            share = share * np.where(expected > 0, seen / np.maximum(expected, 1e-12), 1.0)
            share /= max(float(share @ ports), 1e-12)
        spread = (met * (1 - met)) @ ports
        # Probability of exactly d ports of independent ones with mean d: normal, and 1 where nothing is left to chance.
        exactly = -0.5 * np.log1p(2 * np.pi * spread)
        return cls(group, met, sources, np.log1p(-met) @ ports - exactly)

    def of_set(self, codes: tuple[int, ...]) -> float:
        """Log of the probability that a source with so many ports has exactly these."""
        d = len(codes) - 1
        groups = self.group[list(codes)]
        if np.any(groups < 0):
            return -np.inf
        met = self.met[d, groups]
        return min(0.0, float(np.sum(np.log(met) - np.log1p(-met)) + self.rest[d]))

    def of_pairs(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Expected number of sources that have both codes, for arrays of codes that were met."""
        several = self.met[1:]
        product: np.ndarray = np.einsum(
            "d,dn,dn->n", self.sources[1:], several[:, self.group[a]], several[:, self.group[b]]
        )
        return product


def _successive(share: np.ndarray, ports: np.ndarray, size: int) -> np.ndarray:
    """Probability for a port of each group to be among the first ``size`` different ones."""
    if float(ports.sum()) <= size:
        return np.full(len(share), _LARGEST)
    low, high = 0.0, 60.0
    for _ in range(48):
        middle = (low + high) / 2
        few = float(-np.expm1(-np.exp(middle - 20) * share) @ ports) < size
        low, high = (middle, high) if few else (low, middle)
    met: np.ndarray = np.minimum(-np.expm1(-np.exp(high - 20) * share), _LARGEST)
    return met


def log_tail(count: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Log of the probability that a Poisson number is ``count`` or more.

    >>> log_tail(np.array([1.0, 50.0]), np.array([1.0, 1.0])).round(1).tolist()
    [-0.5, -149.5]
    """
    from scipy.special import gammainc

    k, mean = np.asarray(count, float), np.maximum(np.asarray(expected, float), 1e-300)
    exact = gammainc(np.maximum(k, 1e-9), mean)
    above = np.maximum(k, 1.0)
    # Chernoff's bound where the tail is too small for a float.
    bound = np.where(k > mean, above - mean + above * (np.log(mean) - np.log(above)), 0.0)
    return np.where(exact > 1e-280, np.log(np.maximum(exact, 1e-300)), np.minimum(bound, 0.0))


def discoveries(log_p: np.ndarray, tests: float, level: float) -> np.ndarray:
    """Which of the hypotheses are rejected so that at most a share ``level`` of the rejected are true, expected
    (Benjamini and Hochberg, J. R. Stat. Soc. B 57, 1995); ``tests``: how many there are, with those not given.

    >>> discoveries(np.log([1e-6, 0.02, 0.5]), 100, 0.05).tolist()
    [True, False, False]
    """
    order = np.argsort(log_p, kind="stable")
    rank = np.arange(1, len(log_p) + 1)
    fine = np.flatnonzero(log_p[order] <= np.log(level * rank / max(tests, 1.0)))
    out = np.zeros(len(log_p), np.bool_)
    if len(fine):
        out[order[: fine[-1] + 1]] = True
    return out
