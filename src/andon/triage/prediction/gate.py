"""The gate: a forecast is shown only where it has beaten its trivial baselines on this site's own past.

Every day's forecast is kept and held against what came, beside those of the baselines. The gate of a series is open
when in the last ``KEPT`` days, at least ``LEAST`` of them, its loss was lower than that of the better baseline on
the average with 95 % confidence by the spread of the daily differences: a forecast that is better by luck, or by a
little, stays unseen.
"""

from __future__ import annotations

from typing import Final

import numpy as np

LEAST: Final = 7  # days
KEPT: Final = 28
SHUT: Final = -1
_ONE_SIDED: Final = 0.05


def chosen(own: np.ndarray, baselines: np.ndarray) -> int:
    """Number of the candidate that may be shown, or SHUT. ``own``: (candidates, days) losses; ``baselines``:
    (baselines, days). NaN: that day was not forecast. Choosing among several candidates raises the bar
    (Bonferroni).

    >>> chosen(np.full((1, 10), 1.0), np.full((1, 10), 2.0)), chosen(np.full((1, 3), 1.0), np.full((1, 3), 2.0))
    (0, -1)
    """
    from scipy.special import ndtri

    known = np.isfinite(own).all(axis=0) & np.isfinite(baselines).all(axis=0)
    if known.sum() < LEAST:
        return SHUT
    own, baselines = own[:, known][:, -KEPT:], baselines[:, known][:, -KEPT:]
    best = int(np.argmin(own.mean(axis=1)))
    gain = baselines[np.argmin(baselines.mean(axis=1))] - own[best]
    error = float(gain.std(ddof=1)) / np.sqrt(len(gain))
    sigmas = -float(ndtri(_ONE_SIDED / len(own)))
    return best if gain.mean() > 0 and gain.mean() >= sigmas * error else SHUT
