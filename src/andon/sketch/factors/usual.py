"""How usual a port is: hosts per span that asked for it, remembered from span to span.

The published methods leave out ports that many hosts always ask for (23, 445, ...), and so are blind to a worm there.
This is the correction: per protocol and port the exponentially weighted mean and variance of the number of hosts, and
the probability that a span holds as many as it does. Only ports for which that is small are factorised then. Before a
half-life has passed, mean and variance are plain averages. Spans without any packet are left out of it: a telescope
that hears nothing is not working.
"""

from __future__ import annotations

from typing import Final, Self

import numpy as np

from andon.sketch.state import StateError, pack, unpack

LEAST_SPANS: Final = 3  # before so many spans nothing is called unusual
WORTH_A_LOOK: Final = 3.0  # surprise from which on a port is factorised, and so gets a row in the table
_HALF: Final = 48.0  # spans after which a span counts half: a day of half hours
_FLOOR: Final = 0.5  # hosts per span of a port never seen
_FORGET: Final = 0.01  # a mean below is not remembered
_DTYPE = np.dtype("<f8")


class Usual:
    """Means and variances by key (``protocol << 16 | port``, ascending).

    >>> usual = Usual()
    >>> for _ in range(9):
    ...     usual = usual.after(np.array([23]), np.array([100]))
    >>> usual.surprise(np.array([23, 23, 24]), np.array([100, 200, 40])).round().tolist()
    [0.0, 18.0, 60.0]
    """

    def __init__(self) -> None:
        self.spans = 0
        self.keys = np.empty(0, np.int64)
        self.mean = np.empty(0, _DTYPE)
        self.variance = np.empty(0, _DTYPE)

    @property
    def knows(self) -> bool:
        """Whether enough spans were seen to call anything unusual."""
        return self.spans >= LEAST_SPANS

    def of(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance for keys; of those not known 0."""
        if not len(self.keys):
            return np.zeros(len(keys)), np.zeros(len(keys))
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        known = self.keys[at] == keys
        return np.where(known, self.mean[at], 0.0), np.where(known, self.variance[at], 0.0)

    def surprise(self, keys: np.ndarray, hosts: np.ndarray) -> np.ndarray:
        """-log10 of the probability of so many hosts or more (0..300): negative binomial of the mean and variance
        remembered, Poisson where the variance is not above the mean."""
        from scipy.special import betainc, gammainc

        mean, variance = self.of(keys)
        mean = np.maximum(mean, _FLOOR)
        count = np.maximum(np.asarray(hosts, np.float64), 1e-9)
        tail = np.asarray(gammainc(count, mean))
        wide = variance > mean * 1.000001
        if wide.any():
            size = mean[wide] ** 2 / (variance[wide] - mean[wide])
            tail[wide] = betainc(count[wide], size, 1.0 - mean[wide] / variance[wide])
        return np.asarray(-np.log10(np.clip(tail, 1e-300, 1.0)) + 0.0)

    def share(self, keys: np.ndarray, hosts: np.ndarray, total: int) -> np.ndarray:
        """Share of all hosts that asks for a port without cause: what is usual, or before that is known that of this
        span. ``hosts`` of ``total`` asked in this span."""
        count = np.maximum(self.of(keys)[0], _FLOOR) if self.knows else hosts
        return np.asarray(np.minimum(count / max(total, 1), 1.0))

    def after(self, keys: np.ndarray, hosts: np.ndarray) -> Usual:
        """What is remembered after a span with so many hosts by key (distinct); this object stays as it is."""
        made = Usual()
        made.spans = self.spans + 1
        weight = max(1.0 / made.spans, 1.0 - 0.5 ** (1.0 / _HALF))
        every = np.union1d(self.keys, keys).astype(np.int64)
        mean, variance = self.of(every)
        now = np.zeros(len(every))
        now[np.searchsorted(every, keys)] = hosts
        off = now - mean
        # The recursion of exponentially weighted moments (West, Comm. ACM 22, 1979).
        mean = mean + weight * off
        variance = (1.0 - weight) * (variance + weight * off * off)
        kept = mean >= _FORGET
        made.keys, made.mean, made.variance = every[kept], mean[kept], variance[kept]
        return made

    def to_bytes(self) -> bytes:
        arrays = {"keys": self.keys.astype("<i8"), "mean": self.mean, "variance": self.variance}
        return pack("usual", 1, arrays, {"spans": self.spans})

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        arrays, scalars = unpack("usual", 1, data)
        self = cls()
        try:
            self.spans = scalars["spans"]
            self.keys, self.mean, self.variance = arrays["keys"], arrays["mean"], arrays["variance"]
        except KeyError as error:
            raise StateError(f"damaged history of ports: no {error}") from error
        if not len(self.keys) == len(self.mean) == len(self.variance):
            raise StateError("damaged history of ports: columns of different lengths")
        return self
