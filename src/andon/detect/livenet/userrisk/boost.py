"""Gradient boosted trees over the counters (LightGBM), calibrated on a later week than those it learned from.

One thread, fixed seeds, ``deterministic``: the same rows give the same model. It is kept as LightGBM's own text, which
holds numbers only. Where LightGBM cannot be loaded (its wheel needs the system's libgomp) there is no such model, and
the gamma-Poisson rate (``rate``) stands alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

_PARAMETERS: Final = {
    "objective": "binary", "num_leaves": 4, "learning_rate": 0.05, "lambda_l2": 20.0, "max_bin": 63,
    "num_threads": 1, "deterministic": True, "force_row_wise": True, "seed": 1, "verbosity": -1,
    "feature_fraction": 0.3, "feature_fraction_seed": 1,
}  # fmt: skip
ROUNDS: Final = 150  # small trees, strongly drawn to the mean: few of the rows met anything
ENOUGH: Final = 30  # positives to learn from
ENOUGH_LATER: Final = 8  # and to calibrate with
MANY: Final = 300  # positives from which on the calibration may have any monotone form


@dataclass(frozen=True)
class Boosted:
    """``text``: the trees; ``x`` and ``y``: the calibration, log-odds to probability, straight between its points."""

    text: bytes
    x: np.ndarray
    y: np.ndarray

    def probability(self, features: np.ndarray) -> np.ndarray:
        return np.asarray(np.interp(self.raw(features), self.x, self.y))

    def raw(self, features: np.ndarray) -> np.ndarray:
        """Log-odds before calibration."""
        return np.asarray(_load(self.text).predict(features, raw_score=True, num_threads=1))

    def contributions(self, features: np.ndarray) -> np.ndarray:
        """What each feature adds to the log-odds (rows, features): Shapley values of the trees (Lundberg 2018)."""
        return np.asarray(_load(self.text).predict(features, pred_contrib=True, num_threads=1))[:, :-1]


def available() -> bool:
    """Can LightGBM be loaded here?"""
    try:
        import lightgbm  # noqa: F401
    except (ImportError, OSError):
        return False
    return True


def _load(text: bytes) -> Any:
    import lightgbm

    return lightgbm.Booster(model_str=text.decode())


def train(
    x: np.ndarray, y: np.ndarray, w: np.ndarray, later: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> Boosted | None:
    """From rows, outcomes, weights, and the same of a later week to calibrate with; None if too few met something."""
    if y.sum() < ENOUGH or later[1].sum() < ENOUGH_LATER or not available():
        return None
    import lightgbm

    data = lightgbm.Dataset(
        x, y.astype(np.float64), weight=w, params={"max_bin": 63, "verbosity": -1}, free_raw_data=True
    )
    leaf = int(np.clip(len(y) // 100, 20, 200))
    made = lightgbm.train({**_PARAMETERS, "min_data_in_leaf": leaf}, data, num_boost_round=ROUNDS)
    text = made.model_to_string().encode()
    raw = np.asarray(made.predict(later[0], raw_score=True, num_threads=1))
    return Boosted(text, *calibrate(raw, later[1], later[2]))


def calibrate(raw: np.ndarray, y: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points of a rising function from log-odds to probability: Platt's sigmoid, or with many positives isotonic."""
    slope, shift = _platt(raw, y, w)
    grid = np.linspace(-15, 15, 301)
    if y.sum() < MANY:
        return grid, 1 / (1 + np.exp(-(slope * grid + shift)))
    order = np.argsort(raw, kind="stable")
    return _isotonic(raw[order], y[order].astype(np.float64), w[order])


def _platt(raw: np.ndarray, y: np.ndarray, w: np.ndarray) -> tuple[float, float]:
    """Slope (at least 0.1) and shift by Newton steps, with Platt's (1999) smoothed targets."""
    up, down = float((w * y).sum()), float((w * ~y).sum())
    target = np.where(y, (up + 1) / (up + 2), 1 / (down + 2))
    slope, shift = 1.0, 0.0
    for _ in range(60):
        p = 1 / (1 + np.exp(-np.clip(slope * raw + shift, -30, 30)))
        error, heavy = w * (p - target), w * p * (1 - p) + 1e-12
        gradient = np.array([(error * raw).sum() + 1e-3 * (slope - 1), error.sum()])
        cross = (heavy * raw).sum()
        hessian = np.array([[(heavy * raw * raw).sum() + 1e-3, cross], [cross, heavy.sum() + 1e-9]])
        step = np.clip(np.linalg.solve(hessian, gradient), -2, 2)
        slope, shift = max(slope - float(step[0]), 0.1), shift - float(step[1])
        if abs(step).max() < 1e-9:
            break
    return slope, shift


def _isotonic(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pool adjacent violators (Ayer et al. 1955), each block a point at its mean; never 0 or 1."""
    blocks: list[list[float]] = []
    for a, b, c in zip(x.tolist(), y.tolist(), w.tolist(), strict=True):
        blocks.append([a * c, b * c, c])
        while len(blocks) > 1 and blocks[-2][1] * blocks[-1][2] >= blocks[-1][1] * blocks[-2][2]:
            last = blocks.pop()
            blocks[-1] = [p + q for p, q in zip(blocks[-1], last, strict=True)]
    made = np.array(blocks)
    points = np.maximum.accumulate(made[:, 0] / made[:, 2] + 1e-9 * np.arange(len(made)))
    share = made[:, 1].sum() / made[:, 2].sum()  # a block of few rows is drawn towards all
    return points, np.maximum.accumulate(np.clip((made[:, 1] + share) / (made[:, 2] + 1), 1e-5, 1 - 1e-5))
