"""A forest of decision trees as flat arrays, and its mean vote.

Nodes of a tree lie one after another in preorder: the left child of node i is i + 1, the other one ``right[i]``
(counted from the root of its tree). ``feature`` -1 is a leaf. A row goes left where its value is at most
``threshold``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _votes(
    x: np.ndarray,
    feature: np.ndarray,
    threshold: np.ndarray,
    right: np.ndarray,
    value: np.ndarray,
    roots: np.ndarray,
    out: np.ndarray,
) -> None:
    for tree in range(roots.shape[0] - 1):
        root = roots[tree]
        for i in range(x.shape[0]):
            node = root
            while feature[node] >= 0:
                node = node + 1 if x[i, feature[node]] <= threshold[node] else root + right[node]
            out[i] += value[node]


@dataclass(frozen=True)
class Forest:
    """See the module text. ``roots`` (trees + 1,): where each begins. Raises ValueError for arrays in which a walk
    would leave its tree or never end."""

    feature: np.ndarray
    threshold: np.ndarray
    right: np.ndarray
    value: np.ndarray
    roots: np.ndarray

    def __post_init__(self) -> None:
        nodes = len(self.feature)
        roots = self.roots.astype(np.int64)
        if len(roots) < 2 or roots[0] != 0 or roots[-1] != nodes or (np.diff(roots) < 1).any():
            raise ValueError("a forest whose trees do not fill its nodes")
        if not len(self.threshold) == len(self.right) == len(self.value) == nodes:
            raise ValueError("a forest whose arrays differ in length")
        tree = np.repeat(np.arange(len(roots) - 1), np.diff(roots))
        at, size = np.arange(nodes) - roots[tree], np.diff(roots)[tree]
        inner = self.feature >= 0
        right = self.right.astype(np.int64)
        if (inner & ((right <= at + 1) | (right >= size))).any():
            raise ValueError("a forest whose branches lead out of their tree or back")
        if not np.isfinite(self.value).all():
            raise ValueError("a forest with votes that are no numbers")

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray], prefix: str = "") -> Self:
        """From arrays named ``prefix`` + field. Raises KeyError, ValueError."""
        return cls(
            arrays[prefix + "feature"].astype(np.int16),
            arrays[prefix + "threshold"].astype(np.float32),
            arrays[prefix + "right"].astype(np.int32),
            arrays[prefix + "value"].astype(np.float32),
            arrays[prefix + "roots"].astype(np.int32),
        )

    def mean(self, x: np.ndarray) -> np.ndarray:
        """Mean vote of the trees for each row of ``x`` (n, d), f4."""
        if len(x) and int(self.feature.max(initial=-1)) >= x.shape[1]:
            raise ValueError("rows have fewer features than the forest asks for")
        out = np.zeros(len(x))
        _votes(
            np.ascontiguousarray(x, np.float32), self.feature, self.threshold, self.right, self.value,
            self.roots, out,
        )  # fmt: skip
        return out / (len(self.roots) - 1)
