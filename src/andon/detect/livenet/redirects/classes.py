"""Social engineering or drive-by: who is lured pauses, reads and clicks; who is hit does not.

The features are the rules of thumb that analysts use, the weights a logistic regression on planted chains
(``benchmarks/livenet/redirects.py --fit``), with up to 60 % of the referers taken away, as in logs.
Chains of many users to one page are judged together, as SpiderWeb does (Stringhini, Kruegel, Vigna, CCS 2013): a single
user's pause may be chance, ten users' are not; but they are not independent, so the sum is damped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

NAMES: Final = (
    "share of automatic hops",
    "the last hop was automatic",
    "longest pause, log s",
    "share of 30x hops",
    "hops",
    "registered domains",
    "begins with an advertisement, a shortened or a search link",
    "fetched from the site of the page before",
    "share of hops that are guesses",
    "ends in a download",
    "the page before looks like phishing",
    "ends at a host that is an address or on an odd port",
)
MEAN: Final = np.array(
    [0.8123, 0.6369, 1.7241, 0.3157, 1.3948, 1.4237, 0.5832, 0.7040, 0.2832, 0.9200, 0.6477, 0.1103]
)
SPREAD: Final = np.array(
    [0.2752, 0.4809, 1.0506, 0.2731, 0.3020, 0.2400, 0.4930, 0.4565, 0.3108, 0.2713, 0.3949, 0.3133]
)
WEIGHTS: Final = np.array(
    [1.3599, 1.5147, -1.6828, -1.3334, 0.0125, 1.3082, 0.1640, 0.5394, -0.3483, 0.4489, 0.1471, 0.0593]
)
OFFSET: Final = -0.2121
DRIVE_BY, SOCIAL = "drive-by", "social engineering"


@dataclass(frozen=True)
class Traits:
    """What the class is judged by; see NAMES."""

    gaps: tuple[float, ...]  # s, of each hop
    signs: tuple[str, ...]
    redirects: int  # hops by status or location
    domains: int
    lured: bool
    same_site: bool
    guesses: int
    download: bool
    phishing: float  # log-odds of the URL score of the page before the end
    odd: bool

    def vector(self) -> np.ndarray:
        n = max(len(self.gaps), 1)
        automatic = sum(gap < 5 for gap in self.gaps)
        return np.array(
            [
                automatic / n,
                float(bool(self.gaps) and self.gaps[-1] < 5),
                float(np.log1p(max(self.gaps, default=0.0))),
                self.redirects / n,
                float(np.log1p(len(self.gaps))),
                float(np.log1p(self.domains)),
                float(self.lured),
                float(self.same_site),
                self.guesses / n,
                float(self.download),
                float(np.clip(self.phishing, -5, 5)) / 5,
                float(self.odd),
            ]
        )


def log_odds(traits: Traits) -> float:
    """That the chain is a drive-by rather than social engineering."""
    return float((traits.vector() - MEAN) / SPREAD @ WEIGHTS + OFFSET)


def together(odds: Sequence[float], certainties: Sequence[float]) -> float:
    """Probability of a drive-by from the chains of several users to one page."""
    weights = np.sqrt(np.maximum(np.array(certainties), 0.05))
    mean = float(np.sum(np.array(odds) * weights) / np.sum(weights))
    damped = mean * min(float(np.sqrt(len(odds))), 3.0)
    return float(1 / (1 + np.exp(-np.clip(damped, -30, 30))))
