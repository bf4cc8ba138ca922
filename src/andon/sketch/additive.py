"""An additive model: the sum of one step curve for each feature, in log-odds. What a feature adds is what its curve
says.

``edges`` holds the inner borders of the bins of all features one after another (``starts`` where each feature's
begin), a value belongs to the number of borders below it (``x <= border`` is left); ``curves`` holds one number more
for each feature than it has borders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Additive:
    """See the module text. ``starts`` (features + 1,). Raises ValueError for arrays that do not fit."""

    edges: np.ndarray
    starts: np.ndarray
    curves: np.ndarray
    intercept: float

    def __post_init__(self) -> None:
        starts = self.starts.astype(np.int64)
        if len(starts) < 2 or starts[0] != 0 or (np.diff(starts) < 0).any() or starts[-1] != len(self.edges):
            raise ValueError("an additive model whose borders do not belong to its features")
        if len(self.curves) != len(self.edges) + len(starts) - 1 or not np.isfinite(self.curves).all():
            raise ValueError("an additive model whose curves do not fit its borders")
        for feature in range(len(starts) - 1):
            if (np.diff(self.edges[starts[feature] : starts[feature + 1]]) <= 0).any():
                raise ValueError("an additive model whose borders are not in order")

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], prefix: str = "") -> Self:
        """From arrays named ``prefix`` + field. Raises KeyError, ValueError."""
        return cls(
            arrays[prefix + "edges"].astype(np.float32),
            arrays[prefix + "starts"].astype(np.int64),
            arrays[prefix + "curves"].astype(np.float64),
            float(arrays[prefix + "intercept"][0]),
        )

    def arrays(self, prefix: str = "") -> dict[str, np.ndarray]:
        return {
            prefix + "edges": self.edges.astype(np.float32),
            prefix + "starts": self.starts.astype(np.int32),
            prefix + "curves": self.curves.astype(np.float32),
            prefix + "intercept": np.array([self.intercept]),
        }

    @property
    def width(self) -> int:
        return len(self.starts) - 1

    def contributions(self, x: np.ndarray) -> np.ndarray:
        """(n, features): what each feature adds to the log-odds of each row of ``x`` (n, features)."""
        if x.shape[1] != self.width:
            raise ValueError(f"rows of {x.shape[1]} features for a model of {self.width}")
        out = np.empty(x.shape)
        for feature in range(self.width):
            begin, end = int(self.starts[feature]), int(self.starts[feature + 1])
            bins = np.searchsorted(self.edges[begin:end], x[:, feature].astype(np.float32), "left")
            out[:, feature] = self.curves[begin + feature : end + feature + 1][bins]
        return out

    def log_odds(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.contributions(x).sum(axis=1) + self.intercept)
