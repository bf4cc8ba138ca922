"""Does this block belong to the campaign? The weighing of what speaks for it, in log-odds.

A *block* is what strong pivots tie together (``graph.STRONG``): the names of one registrant, with their certificates
and
samples. A campaign is one block or several that meet at weaker pivots, addresses above all. For a block that shares
pivots with values v1 >= v2 >= ... with the campaign:

* the best pivot gives logit(v1); each further one adds its log-odds against those of strangers of whom one meeting is
  known (``AGAIN``; ``PRIOR`` where it is the first of its family of evidence), by halves within a family: who rents
  at the
  same crowded host meets there more than once;
* *opportunity*: of the k weak pivots of the smaller side, x are shared. Blocks of one hand share many of theirs, at
the rate
  at which the campaign's own names meet one another; strangers who met once at a crowded host live elsewhere
  for the rest. The ratio of two binomial probabilities, both given that x > 0;
* *profile*: what is too common to lead anywhere (registrar, provider's name servers, privacy service) may still fit
or not:
  the mean over the names of log(share among members / share among all), bounded.
"""

from __future__ import annotations

from math import exp, log
from typing import Final

PRIOR: Final = (
    5.0  # log-odds against two blocks that are known to meet, meeting in another family of evidence
)
AGAIN: Final = 2.0  # the same, once more in the same family
STRANGERS: Final = 0.1  # share of their pivots that strangers who met once have in common
_USUAL, _SHRINK = 0.4, 4.0  # the same within a campaign, and how many pivots that guess weighs
_LEAST, _MOST = 0.15, 0.8
_BOUNDS: Final = (-8.0, 2.0)
_PROFILE: Final = (-1.5, 1.5)


def logit(p: float) -> float:
    p = min(max(p, 1e-6), 1 - 1e-6)
    return log(p / (1 - p))


def probability(log_odds: float) -> float:
    return 1 / (1 + exp(-max(min(log_odds, 30.0), -30.0)))


def pivots(items: list[tuple[float, int]]) -> float:
    """Log-odds of shared pivots (log-odds of each alone, family).

    >>> pivots([(0.0, 1)]), pivots([(0.0, 1), (0.0, 2)]), pivots([(0.0, 1), (0.0, 1)])
    (0.0, 5.0, 1.0)
    """
    total, spoken = 0.0, dict[int, float]()
    for at, (odds, family) in enumerate(sorted(items, reverse=True)):
        if at == 0:
            total = odds
        elif family in spoken:
            total += max(odds + AGAIN, 0.0) * spoken[family]
        else:
            total += max(odds + PRIOR, 0.0)
        spoken[family] = spoken.get(family, 1.0) / 2
    return total


def meeting_rate(met: int, pivots: int) -> float:
    """Share of the campaign's weak pivots that several of its names have, from what is known of it so far."""
    return min(max((met + _USUAL * _SHRINK) / (pivots + _SHRINK), _LEAST), _MOST)


def opportunity(shared: float, all_of: int, rate: float) -> float:
    """Log of P(shared | one hand) / P(shared | strangers), both given that they share one.

    >>> opportunity(1, 1, 0.4), opportunity(1, 10, 0.4) < -1.5, opportunity(5, 10, 0.4) > 1
    (0.0, True, True)
    """
    k = max(float(all_of), shared)
    if k <= 1:
        return 0.0
    total = shared * log(rate / STRANGERS) + (k - shared) * log((1 - rate) / (1 - STRANGERS))
    total += log(1 - (1 - STRANGERS) ** k) - log(1 - (1 - rate) ** k)
    return min(max(total, _BOUNDS[0]), _BOUNDS[1])


def profile(terms: list[float]) -> float:
    """Bounded mean of what the common attributes of the names say."""
    if not terms:
        return 0.0
    low, high = _PROFILE
    return min(max(sum(terms) / len(terms), low), high)
