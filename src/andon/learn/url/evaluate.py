"""How well scores part phishing from harmless URLs, as an analyst would ask: at few false alarms, at a real base
rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BASE_RATE = 1e-4


@dataclass(frozen=True)
class Figures:
    """``tpr_1`` and ``tpr_01``: share of phishing found where 1 % and 0.1 % of the harmless are called phishing."""

    name: str
    phishing: int
    harmless: int
    auc: float
    tpr_1: float
    tpr_01: float

    @property
    def precision(self) -> float:
        """Of the URLs above the threshold of 0.1 %, how many are phishing where one in 10,000 is."""
        true, false = self.tpr_01 * BASE_RATE, 0.001 * (1 - BASE_RATE)
        return true / (true + false)

    def line(self) -> str:
        return (
            f"{self.name:<44} {self.phishing:>7,} {self.harmless:>7,}  {self.auc:.4f}  {self.tpr_1:.3f}  "
            f"{self.tpr_01:.3f}  {self.precision:.3f}"
        )


HEAD = f"{'test':<44} {'phish':>7} {'benign':>7}  {'AUC':>6}  TPR@1%  @0.1%  precision at 1e-4"


def auc(label: np.ndarray, z: np.ndarray) -> float:
    """Area under the ROC curve; ties count half.

    >>> auc(np.array([0, 0, 1]), np.array([0.1, 0.5, 0.5]))
    0.75
    """
    _, back, many = np.unique(z, return_inverse=True, return_counts=True)
    rank = (np.cumsum(many) - (many - 1) / 2)[back]
    n = int((label == 1).sum())
    m = len(label) - n
    return float((rank[label == 1].sum() - n * (n + 1) / 2) / (n * m)) if n and m else float("nan")


def share_above(positive: np.ndarray, negative: np.ndarray, rate: float) -> float:
    """Share of ``positive`` above the score that at most ``rate`` of ``negative`` is above."""
    if not len(positive) or not len(negative):
        return float("nan")
    allowed = int(np.floor(rate * len(negative)))
    threshold = np.sort(negative)[len(negative) - 1 - allowed]
    return float(np.mean(positive > threshold))


def figures(name: str, label: np.ndarray, z: np.ndarray) -> Figures:
    positive, negative = z[label == 1], z[label == 0]
    return Figures(
        name,
        len(positive),
        len(negative),
        auc(label, z),
        share_above(positive, negative, 0.01),
        share_above(positive, negative, 0.001),
    )
