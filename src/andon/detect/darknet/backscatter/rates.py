"""From what a telescope sees to what a victim sends worldwide, with an interval."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

SMALLEST_TELESCOPE = 256  # below this many addresses a factor of 2^32/N says nothing
_Z = 1.96  # 95 %


@dataclass(frozen=True)
class Rate:
    """Packets a second, worldwide: best estimate and 95 % interval."""

    value: float
    low: float
    high: float


def poisson_interval(count: float) -> tuple[float, float]:
    """95 % interval of a Poisson mean of which ``count`` was seen (Byar's approximation; Breslow and Day 1987).

    >>> [round(x, 1) for x in poisson_interval(10)]
    [4.8, 18.4]
    """
    low = count * (1 - 1 / (9 * count) - _Z / (3 * sqrt(count))) ** 3 if count > 0 else 0.0
    up = count + 1
    return max(low, 0.0), up * (1 - 1 / (9 * up) + _Z / (3 * sqrt(up))) ** 3


def global_rate(packets: int, hits: float, nanoseconds: int, dark: int) -> Rate | None:
    """Answers a second that the victim sends to the whole Internet; None if it cannot be said.

    ``packets`` were seen at ``hits`` distinct of ``dark`` addresses. Forged addresses are taken as uniform over
    2^32 (Moore et al. 2001, section 3). The low end counts each dark address once, because a victim repeats
    unanswered SYN-ACKs, and repeats are not packets of the attacker; the high end counts all packets.
    """
    if dark < SMALLEST_TELESCOPE or nanoseconds <= 0 or packets <= 0:
        return None
    factor = 2**32 / dark / (nanoseconds / 1e9)
    low, _ = poisson_interval(min(hits, packets))
    _, high = poisson_interval(packets)
    return Rate(packets * factor, low * factor, high * factor)
