"""Which classes stay possible at a promised error: conformal sets, for each class on its own (Mondrian).

Vovk, Gammerman and Shafer, *Algorithmic Learning in a Random World* (2005), sections 2.2 and 4.5: a class is left out
only where a share of at most ``alpha`` of that class's own calibration profiles fits it as badly. So of each class at
most ``alpha`` is missed, however rare the class, as long as cases are like the profiles. What we do differently: the
profiles calibrated with were cut down to as many techniques as the case shows, and groups and families of malware are
calibrated apart, since a case may be like either: a class is left out only if both say so. And since a class that is
rare among the profiles would be named wrongly as often as rightly at that error alone, an answer of one class also
needs a calibrated probability of at least ``SURE``, both classes taken as equally frequent. Both additions only make
sets larger."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from andon.triage.attacker.knowledge import LEARNT, POPULATIONS, Knowledge

FEW: Final = 10  # techniques; at most so many are few
ALPHA, ALPHA_FEW = 0.1, 0.05  # error promised for each class, and with few techniques
SURE, SURE_FEW = 0.8, 0.9  # least probability of an answer of one class, and with few techniques


def p_value(scores: np.ndarray, value: float, label: int) -> float:
    """Share of calibration profiles of a class (``scores``, ascending log-odds for label 1) that fit the class at
    most as well as ``value`` does, the case counted among them; 1.0 where there are none.

    >>> p_value(np.array([0.0, 1.0, 2.0]), 0.5, 1)
    0.5
    """
    n = len(scores)
    worse = np.searchsorted(scores, value, "right") if label else n - np.searchsorted(scores, value, "left")
    return float(worse + 1) / (n + 1)


def p_values(knowledge: Knowledge, view: int, value: float) -> tuple[float, float]:
    """For LEARNT: the larger p of the populations."""
    found = [
        max(p_value(knowledge.scores[view, each, label], value, label) for each in range(len(POPULATIONS)))
        for label in range(len(LEARNT))
    ]
    return found[0], found[1]


def promised(techniques: int) -> float:
    return ALPHA_FEW if techniques <= FEW else ALPHA


def possible(p: tuple[float, float], value: float, techniques: int) -> tuple[str, ...]:
    """The classes of LEARNT that stay, for log-odds ``value`` of the second from so many techniques."""
    alpha = promised(techniques)
    names = tuple(name for name, each in zip(LEARNT, p, strict=True) if each > alpha)
    if len(names) == 1:
        sure = 1 / (1 + math.exp(-min(abs(value), 500.0)))
        likelier = LEARNT[int(value > 0)]
        if likelier != names[0] or sure < (SURE_FEW if techniques <= FEW else SURE):
            return LEARNT
    return names
