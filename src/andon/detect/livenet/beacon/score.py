"""From what was measured to what it means: a score, and what a destination's log-odds of being bad gain.

Three steps, each with its numbers here.

1. *Is it a machine?* A logistic model of nine measurements gives the logarithm of a likelihood ratio, machine against
   person (``WEIGHTS``). It was fitted on generated edges (``benchmarks/livenet/beacon.py fit``: polls of 20 s to 6
   h with jitter, losses, office hours; sessions of people, readers, feeds, steady clicking); it sees no name and no
   count of users.
2. *Do others have it too?* Good software polls as well. ``automated(visitors, terminals)`` is the share of harmless
   gray destinations with so many visitors that are polled: 1 % where one terminal goes there, towards one half where
   a twentieth of the organisation does. ``POLLED`` is the share of bad destinations that are. These are assumptions,
   stated as such: there is no public count of either.
3. ``log_odds`` = ln((POLLED r + 1 - POLLED) / (automated r + 1 - automated)) with r the likelihood ratio of step 1.
   It ends at ln(POLLED / automated) however regular the polls are: 3.4 for a destination of one terminal, below 0 for
   what the organisation polls. A regular edge of many is no innocence either, so it ends at ``LEAST``; an edge
   without evidence of a machine is 0, since most bad destinations are not polled. It speaks of a destination: of
   several edges to one, take the largest, do not add them up.

``score`` is the probability of a machine (prior one in a hundred) times 1 - (automated - LONELY) / COMMON: of equally
regular edges those that few have come first.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from andon.detect.livenet.beacon.chance import Judged

POLLED: Final = 0.3
LONELY: Final = 0.01
COMMON: Final = 0.5
HALFWAY: Final = 0.02  # share of the terminals at which half of COMMON is reached
SMOOTH: Final = 100  # terminals: in a handful of them a share says little
UNTOLD: Final = 0.25
FEW: Final = 10.0
PRIOR: Final = -4.6
LEAST: Final = -1.0
MOST_RATIO: Final = 12.0  # nats of step 1, and the same below 0
NAMES: Final = (
    "one",
    "interval p",
    "line p",
    "again",
    "again, sure",
    "ratio",
    "one size",
    "covered",
    "hours",
    "period",
)
WEIGHTS: Final = np.array([-11.67, 1.21, 0.08, 1.67, 0.42, 1.74, 3.44, 1.37, 6.9, 4.47])
SLOW_WEIGHTS: Final = np.array(
    [-7.86, 0.75, 0.08, 0.0, 0.0, 2.1, 2.54, 3.4, 6.41, 0.0]
)  # of edges judged over days
_DAY = 86400.0
_DAILY = 240.0  # s: what comes every day as exactly as this is no person's habit


def measurements(judged: Judged, one_size: np.ndarray, hours: np.ndarray) -> np.ndarray:
    """(edges, 10) inputs of step 1, in the order of ``NAMES``; each is bounded. ``hours``: of
    ``segments.over_day``."""
    again = np.clip(judged.again, -0.5, 1.0)
    return np.column_stack(
        [
            np.ones(len(one_size)),
            np.minimum(-np.log10(judged.ratio_p), 8.0),
            np.minimum(-np.log10(judged.line_p), 8.0),
            again,
            np.clip(again * np.sqrt(judged.visits), 0.0, 6.0),
            np.clip(judged.ratio / np.maximum(judged.visits - 1, 1), 0.0, 3.0),
            one_size,
            judged.covered,
            hours,
            np.clip(np.log(judged.period / 60.0), -2.0, 1.0),
        ]
    )


def machine(judged: Judged, inputs: np.ndarray, slow: bool = False) -> np.ndarray:
    """ln likelihood ratio, machine against person, of each edge. ``inputs``: its ``measurements``; ``slow``: judged
    over days. What comes once a day is a person's habit unless it is exact to minutes."""
    found: np.ndarray = np.clip(inputs @ (SLOW_WEIGHTS if slow else WEIGHTS), -MOST_RATIO, MOST_RATIO)
    daily = np.abs(judged.period / _DAY - np.round(judged.period / _DAY)) < 0.2
    habit = daily & (judged.period > 0.7 * _DAY) & (judged.jitter * judged.period > _DAILY)
    found[habit] = np.minimum(found[habit], 0.0)
    return found


def automated(visitors: np.ndarray, terminals: int) -> np.ndarray:
    """Share of harmless gray destinations with so many visitors that are polled.

    >>> automated(np.array([1, 5, 50]), 1000).round(3).tolist()
    [0.01, 0.087, 0.355]
    """
    share = np.maximum(visitors - 1, 0) / (terminals + SMOOTH)
    made: np.ndarray = LONELY + COMMON * share / (share + HALFWAY)
    return made


def log_odds(ratio: np.ndarray, visitors: np.ndarray, terminals: int) -> np.ndarray:
    """Step 3. ``ratio``: of step 1, nats.

    >>> [round(float(log_odds(np.array([9.0]), np.array([1]), number)[0]), 1) for number in (1, 10, 1000)]
    [0.2, 0.8, 3.4]
    """
    blind = 1.0 / (1.0 + (terminals / FEW) ** 2)
    r, benign = np.exp(ratio), (1.0 - blind) * automated(visitors, terminals) + blind * UNTOLD
    spoken = np.log((POLLED * r + 1 - POLLED) / (benign * r + 1 - benign))
    made: np.ndarray = np.where(ratio > 0, np.maximum(spoken, LEAST), 0.0)
    return made


def score(ratio: np.ndarray, visitors: np.ndarray, terminals: int) -> np.ndarray:
    """0..1, for ranking."""
    rare = 1.0 - (automated(visitors, terminals) - LONELY) / COMMON
    made: np.ndarray = rare / (1.0 + np.exp(-(ratio + PRIOR)))
    return made
