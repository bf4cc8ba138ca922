"""From what a telescope sees to what a victim suffers worldwide, with an interval."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, sqrt

SMALLEST_TELESCOPE = 256  # below this many addresses a factor of 2^32/N says nothing
MOST_COPIES = 6  # of a SYN-ACK that nobody answers (Linux, tcp_synack_retries = 5)
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


def counting_error(items: float, bits: int = 64) -> float:
    """Relative standard error of linear counting (Whang et al. 1990, eq. 3) of so many items with so many bits."""
    load = items / bits
    return sqrt(bits * (exp(load) - load - 1)) / items if items > 0 else 0.0


@dataclass(frozen=True)
class Hits:
    """How many forged packets the telescope saw answered; ``error`` is relative (one standard error)."""

    number: float
    error: float = 0.0


def global_rate(packets: int, hits: Hits | None, nanoseconds: int, dark: int) -> Rate | None:
    """Forged packets a second that reach the victim from the whole Internet; None if it cannot be said.

    ``packets`` answers came from ``hits`` forged packets (None: not known) to ``dark`` addresses. Forged addresses
    are taken as uniform over 2^32 (Moore et al. 2001, section 3), and each forged packet as answered. A victim
    repeats unanswered SYN-ACKs, so the high end goes by all packets. The first packet only starts the clock.
    """
    if dark < SMALLEST_TELESCOPE or nanoseconds <= 0 or packets < 2:
        return None
    factor = 2**32 / dark / (nanoseconds / 1e9)
    _, high = poisson_interval(packets - 1)
    if hits is None:
        low, _ = poisson_interval(packets / MOST_COPIES - 1)
        return Rate((packets - 1) * factor, low * factor, high * factor)
    number = min(hits.number, packets)
    low, _ = poisson_interval(max(number * (1 - _Z * hits.error) - 1, 0.0))
    return Rate((number - 1) * factor, low * factor, high * factor)
