"""What a score means: a probability, two tails and the score above which a finding is worth an analyst's minute.

All of it comes from URLs of domains, and for phishing of days, that the weights have not seen.
"""

from __future__ import annotations

from typing import Final

import numpy as np

GRID: Final = 64
ALARM: Final = 1e-5  # share of harmless URLs above the score of findings
_TAIL: Final = 0.02  # share of the harmless that the tail is fitted to


def platt(label: np.ndarray, z: np.ndarray) -> tuple[float, float]:
    """(slope, offset) of Platt's map, both classes counted alike; Newton's method on smoothed targets."""
    n = max(int((label == 1).sum()), 1)
    m = max(len(label) - n, 1)
    target = np.where(label == 1, (n + 1) / (n + 2), 1 / (m + 2))
    weight = np.where(label == 1, 0.5 / n, 0.5 / m)
    a, b = 1.0, 0.0
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(a * z + b, -500, 500)))
        g = weight * (p - target)
        h = np.maximum(weight * p * (1 - p), 1e-12)
        system = np.array([[np.sum(h * z * z) + 1e-9, np.sum(h * z)], [np.sum(h * z), np.sum(h) + 1e-9]])
        step = np.linalg.solve(system, np.array([np.sum(g * z), np.sum(g)]))
        a, b = a - step[0], b - step[1]
        if np.abs(step).max() < 1e-9:
            break
    return float(max(a, 1e-3)), float(b)


def tail_score(benign: np.ndarray, rate: float = ALARM) -> float:
    """The score that this share of harmless URLs reaches. There are too few to count it: the excess over the highest
    ``_TAIL`` of them is taken as exponential with the mean that it has (Pickands, 1975, with shape 0)."""
    ordered = np.sort(benign)
    many = max(int(len(ordered) * _TAIL), 1)
    begin = float(ordered[-many])
    mean = max(float(ordered[-many:].mean()) - begin, 1e-6)
    return begin + mean * float(np.log(many / len(ordered) / rate))


def tails(label: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(scores in ascending order, share of phishing, share of harmless URLs that reach each)."""
    positive, negative = np.sort(z[label == 1]), np.sort(z[label == 0])
    top = max(float(positive[-1]), tail_score(negative, 1e-6))
    low = float(min(positive[0], negative[0]))
    grid = np.linspace(low, top, GRID)
    shares = []
    for held in (positive, negative):
        reached = (len(held) - np.searchsorted(held, grid) + 0.5) / (len(held) + 1)
        shares.append(np.minimum(reached, 1.0))
    # Beyond what was seen the harmless tail goes on falling as the exponential above says.
    begin = np.quantile(negative, 1 - _TAIL)
    mean = max(float(negative[negative >= begin].mean() - begin), 1e-6)
    falling = _TAIL * np.exp(-(grid - begin) / mean)
    benign = np.where(grid > begin, np.maximum(falling, 1e-7), shares[1])
    return grid, shares[0], np.minimum.accumulate(benign)
