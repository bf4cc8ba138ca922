"""Does a forecast hold? Area under the ROC curve, calibration error, log loss, precision and lift among the first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TOP = 0.01  # share of the terminals that precision and lift look at
BINS = 10


@dataclass(frozen=True)
class Quality:
    """``lift``: precision among the first over the share of all that met something; nan where it is not defined."""

    terminals: int
    met: int
    auc: float
    calibration: float
    log_loss: float
    precision: float
    lift: float

    @classmethod
    def of(cls, p: np.ndarray, y: np.ndarray, w: np.ndarray | None = None) -> Quality:
        """Of forecasts p, outcomes y (bool) and weights. Equal forecasts count half against one another."""
        w = np.ones(len(p)) if w is None else w
        total = float(w.sum())
        if not total:
            return cls(0, 0, *([float("nan")] * 5))
        positive = float((w * y).sum())
        share = positive / total
        order = np.argsort(-p, kind="stable")
        precision = _first(p, y, w, max(1.0, TOP * total))
        clipped = np.clip(p, 1e-6, 1 - 1e-6)
        loss = -float((w * np.where(y, np.log(clipped), np.log1p(-clipped))).sum()) / total
        error, run = 0.0, np.cumsum(w[order])
        place = np.minimum((run / total * BINS - 1e-9).astype(int), BINS - 1)
        for b in range(BINS):
            mine = order[place == b]
            if len(mine):
                error += abs(float((w[mine] * (p[mine] - y[mine])).sum())) / total
        lift = precision / share if share else float("nan")
        return cls(round(total), round(positive), auc(p, y, w), error, loss, precision, lift)


def _first(p: np.ndarray, y: np.ndarray, w: np.ndarray, many: float) -> float:
    """Share that met something among the ``many`` with the highest forecasts; of a tie at the end the mean."""
    order = np.argsort(-p, kind="stable")
    bound = p[order][min(int(np.searchsorted(np.cumsum(w[order]), many - 1e-9)), len(p) - 1)]
    above, tie = p > bound, p == bound
    left = many - float(w[above].sum())
    tied = float(w[tie].sum())
    hits = float((w * y)[above].sum()) + (left * float((w * y)[tie].sum()) / tied if tied else 0.0)
    return hits / many


def auc(p: np.ndarray, y: np.ndarray, w: np.ndarray | None = None) -> float:
    """
    >>> auc(np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]))
    0.875
    """
    w = np.ones(len(p)) if w is None else w
    values, place = np.unique(p, return_inverse=True)
    good, bad = np.bincount(place, w * ~y, len(values)), np.bincount(place, w * y, len(values))
    if not good.sum() or not bad.sum():
        return float("nan")
    below = np.cumsum(good) - good
    return float((bad * (below + good / 2)).sum() / (good.sum() * bad.sum()))
