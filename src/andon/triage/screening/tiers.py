"""What is put before a person: the conformal set or the day's budget, whichever is more, and a random audit.

An episode is to *inspect* if its score reaches the threshold of the promise (``conformal``) or its rank is within the
budget of its day and site. Of the others some are drawn for *audit* by a keyed hash of the id: nobody chooses, nobody
can predict it without the key, and every run draws the same. Each carries the probability with which it came before
a person, so that what screening misses can be estimated without bias.

The probability of the draw is one in a hundred, and less where that would be more than a tenth of the budget: the
looks for the audit are spread evenly over the day's ``SLOTS`` of ten minutes, and the n episodes of a site that begin
in one share its part, ``min(audit, looks / SLOTS / n)``. That is known when the ten minutes are over and the same
when the day is, so both draw the same episodes with the same probability, and a flood brings no flood of audits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from andon.records.triage import AUDIT, INSPECT, SCREENED
from andon.sketch.hashing import mix64_array
from andon.triage.screening.conformal import Promise

CONFORMAL, BUDGET, DRAWN, BELOW = "conformal", "budget", "audit", "below"
_WORDS: Final = (CONFORMAL, BUDGET, DRAWN, BELOW)
SLOTS: Final = 144  # of a day
_SLOT: Final = 86_400_000_000_000 // SLOTS  # ns
_TIERS: Final = (INSPECT, INSPECT, AUDIT, SCREENED)


@dataclass(frozen=True)
class Tiers:
    """``why`` (n,): number of the reason; ``drawn`` (n,): probability of coming before a person."""

    why: np.ndarray
    drawn: np.ndarray

    @property
    def tiers(self) -> list[str]:
        return [_TIERS[n] for n in self.why.tolist()]

    @property
    def reasons(self) -> list[str]:
        return [_WORDS[n] for n in self.why.tolist()]

    @property
    def shown(self) -> np.ndarray:
        return np.asarray(self.why < 3)


def chances(site: np.ndarray, first: np.ndarray, audit: float, looks: float) -> np.ndarray:
    """(n,) probability of the draw of episodes of these sites that began then (ns): at most ``audit`` each, ``looks``
    expected in a day. All episodes of a slot have to be there.

    >>> [chances(np.zeros(4, int), np.arange(4), 0.01, looks).tolist() for looks in (1.44, 9.0)]
    [[0.0025, 0.0025, 0.0025, 0.0025], [0.01, 0.01, 0.01, 0.01]]
    """
    slot = first // _SLOT
    order = np.lexsort((slot, site))
    new = np.ones(len(order), bool)
    new[1:] = (site[order][1:] != site[order][:-1]) | (slot[order][1:] != slot[order][:-1])
    number = np.cumsum(new) - 1
    out = np.empty(len(order))
    out[order] = np.minimum(audit, looks / SLOTS / np.bincount(number)[number]) if len(order) else 0.0
    return out


def tiers(
    score: np.ndarray,
    rank: np.ndarray,
    ids: list[str],
    promise: Promise | None,
    budget: int,
    audit: np.ndarray,
    key: int,
) -> Tiers:
    """``score`` (n,): as the promise was calibrated; ``rank`` in the day, from 1; ``audit`` (n,): probability of the
    draw, 0..1; ``key``: of its hash."""
    words = np.array([int(each[:16], 16) for each in ids], np.uint64)
    chance = (mix64_array(words, np.uint64(key)) >> np.uint64(11)).astype(np.float64) / 2.0**53
    why = np.where(chance < audit, 2, 3)
    why[rank <= budget] = 1
    if promise is not None and promise.kept:
        why[score >= promise.threshold] = 0
    return Tiers(why, np.where(why < 2, 1.0, audit))
