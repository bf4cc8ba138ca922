"""When a source is proved to carry a relation: the bits of evidence asked, and what choosing among packets costs."""

from __future__ import annotations

from math import lgamma, log

import numpy as np

GLOBAL_BITS = (
    24.0  # evidence for one more source of a relation that many others have shown: of 10^6, 0.06 by chance
)
SESSION_BITS = 40.0

_LOG_FACTORIAL = np.array([lgamma(i + 1) / log(2) for i in range(4097)])


def log2_choose(n: np.ndarray, h: np.ndarray) -> np.ndarray:
    """log2 of the binomial coefficient; large n are cut, which only lowers what is subtracted by little."""
    n = np.minimum(n, 4096)
    h = np.minimum(h, n)
    found: np.ndarray = _LOG_FACTORIAL[n] - _LOG_FACTORIAL[h] - _LOG_FACTORIAL[n - h]
    return found
