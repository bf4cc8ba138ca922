"""Has the world changed under the model? ADWIN over what it gives and what it gets; population stability of features.

- ADWIN (sketch/adwin.py; delta .002) on three streams: the score of each episode (0..1, as ADWIN's bound wants it);
  episodes per hour (the alert rate), in doublings over the first week's median of that hour of the day; and, of each
  audited episode that was judged, whether it was true (the miss rate).
- Population stability index per feature and week against the weeks before the model came: sum over tenths of
  (p - q) ln(p / q) (Karakoulas 2004; Yurdakul, Statistical Properties of Population Stability Index, 2018). With n and
  m values of the same distribution it is about chi-square with 9 degrees of freedom times (1/n + 1/m); we call it a
  shift when it is above the banks' 0.25 *and* above the 99.9 % point of that, or small weeks alarm by chance.

A shift of score or rate asks for a look and for retraining; promotion still has to be earned (``compare``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from andon.sketch.adwin import Adwin

HOUR: Final = 3_600_000_000_000
WEEK: Final = 7 * 24 * HOUR
DELTA: Final = 0.002
SHIFT: Final = 0.25
BINS: Final = 10
_QUANTILE: Final = 27.877  # of chi-square with 9 degrees of freedom, at .999
RATE_CLOCK: Final = 6  # hours between looks at the rate


@dataclass(frozen=True)
class Drift:
    """One alarm. ``stream``: "score", "rate", "missed" or "feature"; ``time``: ns, of the value at which it was seen;
    ``size``: how far the mean moved (in the stream's own units), or the index of a feature."""

    stream: str
    time: int
    size: float
    text: str
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "stream": self.stream,
            "time": self.time,
            "size": round(self.size, 6),
            "text": self.text,
            "attributes": dict(self.attributes),
        }


def scores(time: np.ndarray, score: np.ndarray, delta: float = DELTA) -> list[Drift]:
    """Changes of the mean score of one model. ``time``: int64 ns, in order; ``score``: 0..1."""
    return _stream("score", time, np.clip(score, 0.0, 1.0), Adwin(delta), "mean score")


def rates(time: np.ndarray, delta: float = DELTA) -> list[Drift]:
    """Changes of the number of episodes per hour, in doublings over what that hour of the day had in the first week
    (its median; four doublings either way is the range). Hours without any count; the last, unfinished one does not."""
    if len(time) == 0:
        return []
    hour = time // HOUR
    count = np.bincount(hour - hour[0])[:-1]
    if not len(count):
        return []
    doublings = np.log2(1.0 + count)
    of_day = (hour[0] + np.arange(len(count))) % 24
    first = np.arange(len(count)) < WEEK // HOUR
    level = np.full(24, np.median(doublings[first]))
    if len(count) > WEEK // HOUR:
        level = np.array([np.median(doublings[first & (of_day == each)]) for each in range(24)])
    value = np.clip(0.5 + (doublings - level[of_day]) / 8, 0.0, 1.0)
    ends = (hour[0] + 1 + np.arange(len(count))) * HOUR
    return _stream("rate", ends, value, Adwin(delta, clock=RATE_CLOCK), "episodes per hour (doublings / 8)")


def audits(time: np.ndarray, true: np.ndarray, delta: float = DELTA) -> list[Drift]:
    """Changes of the share of true ones among audited episodes."""
    return _stream(
        "missed", time, true.astype(float), Adwin(delta, clock=8), "share of true ones in the audit"
    )


def _stream(name: str, time: np.ndarray, values: np.ndarray, seen: Adwin, words: str) -> list[Drift]:
    jumps = seen.update(values)
    out = []
    for at in np.flatnonzero(jumps):
        way = "rose" if jumps[at] > 0 else "fell"
        size = float(jumps[at])
        out.append(Drift(name, int(time[at]), size, f"{words} {way} by {abs(size):.3f}", {"value": int(at)}))
    return out


def stability(
    reference: np.ndarray, time: np.ndarray, features: np.ndarray, names: Sequence[str]
) -> list[Drift]:
    """Features whose distribution in a week (UTC, beginning Thursdays like the epoch) is not the reference's.

    ``reference``: float[m, d]; ``time``: int64[n], ns; ``features``: float[n, d]. Weeks with fewer than 50 rows are
    passed over."""
    if not len(reference) or not len(features):
        return []
    out = []
    edges = np.quantile(reference, np.linspace(0, 1, BINS + 1)[1:-1], axis=0)
    base = _shares(reference, edges)
    for week in np.unique(time // WEEK):
        rows = features[time // WEEK == week]
        if len(rows) < 50:
            continue
        index = population_stability(base, _shares(rows, edges))
        limit = max(SHIFT, _QUANTILE * (1 / len(rows) + 1 / len(reference)))
        for place in np.argsort(-index, kind="stable"):
            if index[place] <= limit:
                break
            name = names[place]
            out.append(
                Drift(
                    "feature", int((week + 1) * WEEK), float(index[place]),
                    f"{name}: population stability index {index[place]:.2f}, above {limit:.2f}",
                    {"feature": name, "rows": len(rows)},
                )
            )  # fmt: skip
    return out


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """float64[BINS, d], half a row added to each so that none is empty."""
    count = np.empty((BINS, values.shape[1]))
    for column in range(values.shape[1]):
        place = np.searchsorted(edges[:, column], values[:, column], side="left")
        count[:, column] = np.bincount(place, minlength=BINS)
    return np.asarray((count + 0.5) / (len(values) + 0.5 * BINS))


def population_stability(base: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Index per column of two tables of shares.

    >>> population_stability(np.array([[0.5], [0.5]]), np.array([[0.9], [0.1]])).round(3).tolist()
    [0.879]
    """
    return np.asarray(np.sum((now - base) * np.log(now / base), axis=0))
