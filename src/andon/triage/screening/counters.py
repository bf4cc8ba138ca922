"""What was going on around an alert: decayed counts of the past, in one pass in strict order of time.

Four groups that an alert belongs to each hold a count that forgets with four time constants tau: the *pair* (signature
on this host), the host, the signature, and the detector on this host. ``c <- c exp(-(t - t_last) / tau)``; the value is
given out, and only then ``c <- c + 1``: an alert is never counted in its own context. *Distinct* counters grow by
``1 - exp(-dt / tau)``, dt being the time since the pair came last: a pair seen a moment ago adds nothing, a new one
adds 1 (signatures of a host, hosts of a signature).

The first alert of an episode gives its values, the later ones raise the maxima. One exponential for each group is
enough, the constants being multiples of one another: exp(-x/3600) is the 24th power of exp(-x/86400), and so on.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

TAUS: Final = (60.0, 600.0, 3600.0, 86400.0)  # s; the kernel below has them built in
LONGEST: Final = 40 * 86400.0  # s; stands for "not seen before" too

# Columns of a group's state: times in s, all alerts, counts by tau, distinct by tau.
LAST, FIRST, TOTAL, COUNT, DISTINCT = 0, 1, 2, 3, 7
STATE: Final = 11
PAIR, HOST, SIGNATURE, DETECTOR = range(4)

RISING: Final = 24  # the first so many features, of which an episode has maxima too
WIDTH: Final = 29
SINCE_PAIR, SINCE_HOST, SINCE_SIGNATURE, AGE_PAIR, AGE_SIGNATURE = range(24, 29)


@njit(cache=True, nogil=True, inline="always")
def _decays(dt: float, out: np.ndarray) -> None:
    e = np.exp(-dt / 86400.0)
    out[3] = e
    e2 = e * e
    e4 = e2 * e2
    e8 = e4 * e4
    hour = e8 * e8 * e8
    out[2] = hour
    h2 = hour * hour
    ten = h2 * h2 * h2
    out[1] = ten
    t2 = ten * ten
    t4 = t2 * t2
    out[0] = t4 * t4 * t2


@njit(cache=True, nogil=True)
def run(
    seconds: np.ndarray,
    pairs: np.ndarray,
    episodes: np.ndarray,
    groups: np.ndarray,
    pair: np.ndarray,
    host: np.ndarray,
    signature: np.ndarray,
    detector: np.ndarray,
    first: np.ndarray,
    most: np.ndarray,
    begun: np.ndarray,
) -> None:
    """Feed alerts in order. ``seconds`` (n,) f8, ``pairs`` and ``episodes`` (n,) i8: rows of what each belongs to;
    ``groups`` (pairs, 4) i8: the rows of a pair in the four states, each (rows, STATE) f8. ``first`` (episodes, WIDTH)
    and ``most`` (episodes, RISING) f8 are filled; ``begun`` (episodes,) bool says which have their first values."""
    e = np.empty((4, 4))
    f = np.empty(29)
    for i in range(seconds.shape[0]):
        t = seconds[i]
        row = groups[pairs[i]]
        p, h, s, d = row[0], row[1], row[2], row[3]
        f[24] = min(max(t - pair[p, 0], 0.0), 3456000.0)
        f[25] = min(max(t - host[h, 0], 0.0), 3456000.0)
        f[26] = min(max(t - signature[s, 0], 0.0), 3456000.0)
        f[27] = min(max(t - pair[p, 1], 0.0), 3456000.0)
        f[28] = min(max(t - signature[s, 1], 0.0), 3456000.0)
        _decays(f[24], e[0])
        _decays(f[25], e[1])
        _decays(f[26], e[2])
        _decays(min(max(t - detector[d, 0], 0.0), 3456000.0), e[3])
        for k in range(4):
            f[k] = pair[p, 3 + k] * e[0, k]
            f[4 + k] = host[h, 3 + k] * e[1, k]
            f[8 + k] = signature[s, 3 + k] * e[2, k]
            f[12 + k] = detector[d, 3 + k] * e[3, k]
            f[16 + k] = host[h, 7 + k] * e[1, k]
            f[20 + k] = signature[s, 7 + k] * e[2, k]
            pair[p, 3 + k] = f[k] + 1.0
            host[h, 3 + k] = f[4 + k] + 1.0
            signature[s, 3 + k] = f[8 + k] + 1.0
            detector[d, 3 + k] = f[12 + k] + 1.0
            host[h, 7 + k] = f[16 + k] + 1.0 - e[0, k]
            signature[s, 7 + k] = f[20 + k] + 1.0 - e[0, k]
        at = episodes[i]
        if not begun[at]:
            begun[at] = True
            first[at, :] = f
            most[at, :] = f[:24]
        else:
            for k in range(24):
                most[at, k] = max(most[at, k], f[k])
        pair[p, 1] = min(pair[p, 1], t)
        host[h, 1] = min(host[h, 1], t)
        signature[s, 1] = min(signature[s, 1], t)
        detector[d, 1] = min(detector[d, 1], t)
        pair[p, 0], host[h, 0], signature[s, 0], detector[d, 0] = t, t, t, t
        pair[p, 2] += 1.0
        host[h, 2] += 1.0
        signature[s, 2] += 1.0
        detector[d, 2] += 1.0


def fresh(rows: int) -> np.ndarray:
    """State of groups never seen."""
    made = np.zeros((rows, STATE))
    made[:, LAST] = -np.inf
    made[:, FIRST] = np.inf
    return made
