"""RITA's beacon score, for comparison: four sub-scores of a quarter each.

From the description of RITA v5 (activecm/rita, ``analysis/beacons.go``), written anew:

* time: mean of 1 - |Bowley skewness of the intervals| (skewness 0 where their quartiles are less than 10 s apart or
  the median is a quartile) and (median - MAD) / median (1 where the median is below 1 s), at least 0; intervals of 0
  dropped;
* size: the same of the bytes, but 0 where the median is below 1;
* histogram of 24 bars over the data set: the better of 1 - (standard deviation / mean) and, from 11 filled bars on,
  the share of the filled bars, less one, that have one of the two most frequent heights (heights in steps of 5 % of
  the tallest);
* duration, from 6 filled bars on: the better of (last - first) / data set and longest run of filled bars / 12, the
  run going round the end.

Quartiles are interpolated linearly; sizes are those of the answers, which is what a proxy log has.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from andon.detect.livenet.beacon.segments import gaps, medians, owners, quantiles

LEAST: Final = 4  # distinct contacts
BARS: Final = 24


def scores(offsets: np.ndarray, times: np.ndarray, sizes: np.ndarray, begin: float, end: float) -> np.ndarray:
    """RITA's score of each edge (0..1), 0 with fewer than four distinct times. ``begin``, ``end``: of the data set,
    s.

    >>> poll = np.arange(0.0, 86400.0, 300.0)
    >>> round(float(scores(np.array([0, 288]), poll, np.full(288, 500.0), 0.0, 86400.0)[0]), 2)
    1.0
    """
    number = len(offsets) - 1
    length = max(end - begin, 1e-9)
    between, whose = gaps(offsets, times)
    whose, between = whose[between > 0], between[between > 0]
    enough = np.bincount(whose, minlength=number) >= LEAST - 1
    owner = owners(offsets)
    bar = np.clip((times - begin) / length * BARS, 0, BARS - 1).astype(np.int64)
    heights = np.bincount(owner * BARS + bar, minlength=number * BARS).reshape(number, BARS)
    counts = np.diff(offsets)
    first, last = np.minimum(offsets[:-1], max(len(times) - 1, 0)), np.maximum(offsets[1:] - 1, 0)
    reach = np.where(counts > 0, times[last] - times[first], 0.0) / length if len(times) else np.zeros(number)
    parts = (
        _spread(between, whose, number, 1.0),
        _spread(sizes, owner, number, 0.0),
        _histogram(heights),
        _duration(heights, reach),
    )
    made: np.ndarray = np.where(enough, 0.25 * sum(parts), 0.0)
    return made


def _spread(values: np.ndarray, owner: np.ndarray, number: int, otherwise: float) -> np.ndarray:
    """Mean of the two scores of regularity."""
    low, median, high = quantiles(values, owner, number, (0.25, 0.5, 0.75))
    mad = medians(np.abs(values - median[owner]), owner, number)
    flat = ~(high - low >= 10) | (median == low) | (median == high)
    skew = np.where(flat, 0.0, (low + high - 2 * median) / np.where(flat, 1.0, high - low))
    even = np.where(median >= 1, np.maximum(0.0, (median - mad) / np.maximum(median, 1.0)), otherwise)
    return np.nan_to_num(0.5 * (1 - np.abs(skew)) + 0.5 * even)


def _histogram(heights: np.ndarray) -> np.ndarray:
    mean = heights.mean(axis=1)
    even = np.maximum(0.0, 1.0 - heights.std(axis=1) / np.maximum(mean, 1e-9))
    filled = (heights > 0).sum(axis=1)
    step = np.maximum(1.0, np.ceil(0.05 * heights.max(axis=1, initial=0)))
    kind = np.where(heights > 0, (heights / step[:, None]).astype(np.int64), -1)
    seen = np.zeros((len(heights), 22), np.int64)  # the tallest is 20 steps of 5 %
    np.add.at(seen, (np.nonzero(kind >= 0)[0], np.minimum(kind[kind >= 0], 21)), 1)
    seen.sort(axis=1)
    two = np.minimum(1.0, (seen[:, -1] + seen[:, -2]) / np.maximum(filled - 1, 1))
    made: np.ndarray = np.maximum(even, np.where(filled >= 11, two, 0.0))
    return made


def _duration(heights: np.ndarray, reach: np.ndarray) -> np.ndarray:
    filled = heights > 0
    longest = run = np.zeros(len(heights), np.int64)
    for at in range(2 * BARS):
        run = np.where(filled[:, at % BARS], run + 1, 0)
        longest = np.maximum(longest, run)
    lasting = np.maximum(reach, np.minimum(longest, BARS) / 12)
    made: np.ndarray = np.where(filled.sum(axis=1) >= 6, np.minimum(1.0, lasting), 0.0)
    return made
