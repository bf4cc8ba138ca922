"""How surprising a port is in a group of hosts that act together: the score that alerts are ordered by.

Of n hosts of a group k asked for a port; of all N hosts of the span K did, a share q = K/N. If the group had been
drawn without regard to the port, Chernoff's bound says that k or more come up with probability at most
exp(-n D(k/n || q)), D being the Kullback-Leibler divergence of two coins (Hoeffding, J. Am. Stat. Assoc. 58, 1963,
theorem 1). The score is minus the decimal logarithm of that bound. A port that everybody asks for scores low however
large its group is, a port that the group alone asks for scores high, and the score grows with the group. Hosts are
not independent and the groups are looked for, so the score orders alerts and is no probability of error.

An alert's score takes two more things into account (``combined``): how surprising the number of hosts is after the
spans before (``usual``), and with how many ports its group has to share it, because what asks for a thousand ports is a
survey. The published rules know neither; they decide without the score.
"""

from __future__ import annotations

import numpy as np


def concentration(k: np.ndarray, n: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Score of arrays of one shape, 0 where the share k/n does not exceed q. ``n`` from 1 on.

    >>> concentration(np.array([10, 10, 1]), np.array([10, 10, 10]), np.array([0.01, 0.5, 0.5])).round(1).tolist()
    [20.0, 3.0, 0.0]
    """
    share = k / n
    q = np.clip(q, 1e-12, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        hit = share * np.log(share / q)
        miss = np.where(share < 1.0, (1.0 - share) * np.log((1.0 - share) / (1.0 - q)), 0.0)
    score = n * (hit + miss) / np.log(10.0)
    return np.asarray(np.where(share > q, score, 0.0), np.float64)


def combined(concentrated: float, unusual: float, shared: int) -> float:
    """Score of an alert: the smaller of its two surprises less the logarithm of its group's number of ports.

    >>> combined(20.0, 8.0, 100), combined(3.0, 8.0, 1), combined(1.0, 1.0, 1000)
    (6.0, 3.0, 0.0)
    """
    return max(min(concentrated, unusual) - float(np.log10(max(shared, 1))), 0.0)
