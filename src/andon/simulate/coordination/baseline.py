"""What the background is expected to bring to a port: new sources and active sources per span, from its own laws.

New to the telescope are visitors that come for the first time, those that come again and were there last before the
scenario began, and addresses of survey organisations that reach a port for the first time. Left out: sessions that
were under way when the scenario began (the first hours), and visitors of a set of ports that find the second port
only on a later visit.
"""

from __future__ import annotations

import numpy as np

from .background import AGAIN, Background
from .scenario import DAY, HOUR
from .services import QUANTUM, TAIL, Service
from .sizes import at_least_one
from .surveys import Surveys

_SAMPLE = 4000


class Baseline:
    """Expectations under the scenario's background, wandering and drift of the rates included."""

    def __init__(self, background: Background, surveys: Surveys) -> None:
        self._background, self._surveys = background, surveys
        self.begin = background.scenario.start_ns
        self._rates: dict[int, np.ndarray] = {}

    def new(self, port: int, protocol: int, starts: np.ndarray, length: int) -> np.ndarray:
        """Expected new sources on a port in spans of ``length`` (ns) from ``starts`` on (float64)."""
        b = self._background
        births = b.births * self._shares(port, protocol, lambda i, share: b.sizes[i].hits(share))
        found = self._summed(births, starts, length)
        for i, (days, share) in enumerate(AGAIN):
            for j, start in enumerate(starts.tolist()):
                if start - days * DAY >= self.begin:
                    continue
                # Not seen yet: none of its earlier returns fell into the scenario.
                fresh = share
                for earlier, other in AGAIN[:i]:
                    if start - (days - earlier) * DAY >= self.begin:
                        fresh *= 1 - other
                found[j] += fresh * float(self._summed(births, np.array([start - days * DAY]), length)[0])
        found += self._from_surveys(port, protocol, starts, length)
        return found

    def _from_surveys(self, port: int, protocol: int, starts: np.ndarray, length: int) -> np.ndarray:
        found = np.zeros(len(starts))
        if protocol != 6:
            return found
        for who in self._surveys.organisations:
            found += self._surveys.news(who, port, starts, length)
        return found

    def active(self, port: int, protocol: int, starts: np.ndarray, length: int) -> np.ndarray:
        """Expected distinct sources on a port per span (float64)."""
        b = self._background
        visits = 1 + sum(share for _, share in AGAIN)
        touched = self._shares(port, protocol, lambda i, share: self._touched(i, share, length))
        return self._summed(b.births * touched * visits, starts, length)

    def spread(self, port: int, protocol: int, length: int) -> float:
        """Relative standard deviation of the rate in a span beyond Poisson: what its wandering leaves after averaging
        (two thirds of the hourly variance within an hour, by interpolation; independent hours)."""
        b = self._background
        births = b.births * self._shares(port, protocol, lambda i, share: b.sizes[i].hits(share))
        if not births.any():
            return 0.0
        sigma = np.sqrt(((births * b.rates.sigma) ** 2).sum()) / births.sum()
        return float(sigma * np.sqrt(2 / 3 if length < HOUR else HOUR / length))

    def _summed(self, births: np.ndarray, starts: np.ndarray, length: int) -> np.ndarray:
        found = np.zeros(len(starts))
        busy = np.flatnonzero(births)
        for i, start in enumerate(starts.tolist()):
            for quantum in range(start // QUANTUM, (start + length) // QUANTUM):
                if quantum not in self._rates:
                    self._rates[quantum] = self._background.rates.at(quantum)
                found[i] += float((births[busy] * self._rates[quantum][busy]).sum()) * 600.0
        return found

    def _shares(self, port: int, protocol: int, of_share) -> np.ndarray:  # type: ignore[no-untyped-def]
        """For every service, the part of its visitors that reach the port."""
        b = self._background
        found = np.zeros(len(b.table))
        for i, row in enumerate(b.table):
            if _protocol(row) != protocol:
                continue
            if row.ports is TAIL:
                if row.name != "answers":
                    found[i] = b.tail[port] * of_share(i, 1.0)
            else:
                share = sum(w for p, w in row.ports if p == port) / sum(w for _, w in row.ports)
                found[i] = of_share(i, share) if share else 0.0
        return found

    def _touched(self, i: int, share: float, length: int) -> float:
        """Expected number of spans in which a visitor sends to a port, by a sample of its service's visits."""
        rng = np.random.default_rng([i, length])
        mu = self._background.sizes[i].strengths(rng.random(_SAMPLE))
        n = rng.binomial(at_least_one(mu, rng), share)
        lasts = self._background.table[i].hours * HOUR * np.exp(rng.normal(0, 1.3, _SAMPLE))
        cells = np.maximum(lasts / length, 1.0)
        crossing = np.where(n > 1, np.minimum(lasts / length, 1.0) * 0.5, 0.0)
        return float((cells * -np.expm1(n * np.log1p(-1 / np.maximum(cells, 1.0000001))) + crossing).mean())


def _protocol(row: Service) -> int:
    tools = {name for name, _ in row.tools}
    if "echo" in tools:
        return 1
    return 17 if "udp" in tools else 6
