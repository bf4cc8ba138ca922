"""What an hour of a series should be, and how surprising it is.

**Mean.** The flows expected in an hour of the week are the series' own mean of that hour, shrunk in steps to what is
known better: to its own mean of that hour on days of the same kind (working days, weekend), to that of its peers
(terminals of the same /24) scaled to its level, to that of all. Each step weighs as much as two weeks (days) of its
own, so 168 hours that are empty for weeks borrow, and a terminal with a history of its own stands on it.

**Spread.** Counts (flows, distinct others) are negative binomial: variance mu + alpha mu^2, alpha from the past of
the series, shrunk to that of its service; the surprise is -log10 of the upper tail. Bytes are compared in the
logarithm, where hours of bytes are about symmetric. Only the upper tail counts: absence is no anomaly.

The surprise is no calibrated probability, since no family fits traffic; ``calibrate`` sees to that.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from andon.detect.livenet.flowbaseline.memory import BINS, WEEKS, Series

OWN: Final = 2.0
PEERS: Final = 5.0
LEAST: Final = 0.02  # flows in an hour are never expected to be fewer
ALPHA: Final = 1.0  # dispersion where nothing is known
SPREAD: Final = 1.2  # of the logarithm of bytes, natural, where nothing is known
SOME_BYTES: Final = 100_000.0
_PRIOR = 24.0  # hours that the service's dispersion weighs
_MOST = 300.0


def groups(ids: np.ndarray) -> tuple[np.ndarray, int]:
    """(number of each one's group, groups)."""
    distinct, at = np.unique(ids, return_inverse=True)
    return at, len(distinct)


def summed(values: np.ndarray, at: np.ndarray, number: int) -> np.ndarray:
    """Sums by group of rows of any width."""
    made = np.zeros((number, *values.shape[1:]))
    np.add.at(made, at, values)
    return made


def expected(series: Series, rows: np.ndarray, weekday: int) -> np.ndarray:
    """(rows, 24) flows expected in the hours of a weekday (0 is Monday) of these series."""
    today = slice(24 * weekday, 24 * weekday + 24)
    # All and peers: flows in the hour for one flow of a usual day, of series that know this weekday.
    knows = (series.seen[:, weekday] > 0) & (series.level > 0)
    hours = np.where(knows[:, None], series.profile[:, today], np.float16(0)).astype(np.float64)
    level = np.where(knows, series.level, 0.0)
    shapes = []
    for ids in (series.group, series.peers):
        at, number = groups(ids)
        shapes.append(
            (
                summed(hours, at, number)[at[rows]],
                summed(level, at, number)[at[rows]],
                np.bincount(at[knows], minlength=number)[at[rows]],
            )
        )
    flat = series.level[rows, None] / 24.0 * np.ones(24)
    (all_hours, all_level, all_number), (peer_hours, peer_level, peer_number) = shapes
    own_level = series.level[rows, None]
    by_all = own_level * all_hours / np.maximum(all_level, 1e-9)[:, None]
    prior = (all_number[:, None] * by_all + flat) / (all_number[:, None] + 1)
    by_peers = own_level * peer_hours / np.maximum(peer_level, 1e-9)[:, None]
    prior = (peer_number[:, None] * by_peers + PEERS * prior) / (peer_number[:, None] + PEERS)
    kind = np.array([0, 1, 2, 3, 4] if weekday < 5 else [5, 6])
    week = series.profile[rows].reshape(-1, 7, 24)[:, kind].astype(np.float64)
    seen = series.seen[rows][:, kind].astype(np.float64)
    mine = (week * seen[:, :, None]).sum(axis=1)
    prior = (mine + OWN * prior) / (seen.sum(axis=1)[:, None] + OWN)
    own = series.profile[rows, today].astype(np.float64)
    n = series.seen[rows, weekday].astype(np.float64)[:, None]
    made: np.ndarray = np.maximum((n * own + OWN * prior) / (n + OWN), LEAST)
    return made


def slack(mean: np.ndarray) -> np.ndarray:
    """What an hour may be if people come an hour earlier, stay later or work through their lunch: a share of what is
    expected of the hours beside it."""
    made = mean.copy()
    for apart, share in ((1, 0.7), (2, 0.4)):
        made[:, apart:] = np.maximum(made[:, apart:], share * mean[:, :-apart])
        made[:, :-apart] = np.maximum(made[:, :-apart], share * mean[:, apart:])
    return made


def per_flow(series: Series, rows: np.ndarray) -> np.ndarray:
    """(rows, 2) bytes out and distinct others to one flow, shrunk to the service's."""
    at, number = groups(series.group)
    whole = summed(series.carried, at, number)[at[rows]]
    usual = whole[:, 1:] / np.maximum(whole[:, :1], 1e-9)
    mine = series.carried[rows]
    shrunk = (mine[:, 1:] + 20.0 * usual) / (mine[:, :1] + 20.0)
    made: np.ndarray = np.where(whole[:, :1] > 0, shrunk, np.array([0.0, 1.0]))
    return made


def dispersion(series: Series, rows: np.ndarray) -> np.ndarray:
    """(rows, 3) alpha of flows and of distinct others, and standard deviation of the logarithm of bytes."""
    at, number = groups(series.group)
    whole = summed(series.spread, at, number)[at[rows]]
    mine = series.spread[rows]
    start = np.array([ALPHA, ALPHA, SPREAD**2])
    usual = (whole[:, :, 0] + 10 * start) / (whole[:, :, 1] + 10)
    shrunk = (mine[:, :, 0] + _PRIOR * usual) / (mine[:, :, 1] + _PRIOR)
    made: np.ndarray = np.clip(shrunk, np.array([0.05, 0.05, 0.1]), np.array([20.0, 20.0, 16.0]))
    made[:, 2] = np.sqrt(made[:, 2])
    return made


def count_surprise(x: np.ndarray, mean: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """-log10 P(X >= x) of a negative binomial with this mean and variance mean + alpha mean^2; 0 for x = 0."""
    from scipy.special import betainc, betaln

    size, at = 1.0 / alpha, np.maximum(x, 1).astype(np.float64)
    share = mean / (mean + size)
    tail = betainc(at, size, share)
    # Where the tail underflows: its first term, which is nearly all of it.
    log_first = at * np.log(share) + size * np.log1p(-share) - np.log(at) - betaln(at, size)
    log_tail = np.where(tail > 1e-280, np.log(np.maximum(tail, 1e-300)), log_first)
    made: np.ndarray = np.where(x > 0, np.clip(-log_tail / np.log(10.0), 0.0, _MOST), 0.0)
    return made


def bytes_surprise(x: np.ndarray, mean: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """The same of bytes, normal in the logarithm."""
    from scipy.special import log_ndtr

    z = (np.log(x + SOME_BYTES) - np.log(mean + SOME_BYTES)) / spread
    made: np.ndarray = np.where(x > 0, np.clip(-log_ndtr(-z) / np.log(10.0), 0.0, _MOST), 0.0)
    return made


def learn(
    series: Series,
    rows: np.ndarray,
    weekday: int,
    flows: np.ndarray,
    out: np.ndarray,
    fan: np.ndarray,
    mean: np.ndarray,
) -> None:
    """Take a day into these series: (rows, 24) flows, bytes out, others, and the flows that were expected."""
    today = slice(24 * weekday, 24 * weekday + 24)
    n = np.minimum(series.seen[rows, weekday].astype(np.float64), WEEKS - 1)
    old = series.profile[rows, today].astype(np.float64)
    made = old + (flows - old) / (n + 1)[:, None]
    series.profile[rows, today] = np.minimum(made, 60_000.0).astype(np.float16)
    series.seen[rows, weekday] = (n + 1).astype(np.uint8)
    days = np.minimum(series.days[rows], 7 * WEEKS - 1)
    total = flows.sum(axis=1)
    series.level[rows] += (total - series.level[rows]) / (days + 1)
    series.carried[rows] = series.carried[rows] * 0.97 + np.column_stack(
        [total, out.sum(axis=1), fan.sum(axis=1)]
    )
    known = days > 0
    each = per_flow(series, rows)
    active = (flows > 0) | (mean > 0.2)
    parts = []
    for x, mu in ((flows, mean), (fan, mean * each[:, 1:])):
        over = np.where(active, ((x - mu) ** 2 - x) / np.maximum(mu, 0.2) ** 2, 0.0)
        parts.append((np.minimum(over, 50.0).sum(axis=1), active.sum(axis=1)))
    moved = flows > 0
    off = np.log(out + SOME_BYTES) - np.log(mean * each[:, :1] + SOME_BYTES)
    parts.append((np.where(moved, np.minimum(off**2, 16.0), 0.0).sum(axis=1), moved.sum(axis=1)))
    for n_part, (top, weight) in enumerate(parts):
        series.spread[rows, n_part, 0] = np.where(known, series.spread[rows, n_part, 0] * 0.97 + top, 0.0)
        series.spread[rows, n_part, 1] = np.where(known, series.spread[rows, n_part, 1] * 0.97 + weight, 0.0)
    series.days[rows] += 1


def calibrate(past: np.ndarray, surprise: np.ndarray) -> np.ndarray:
    """Chance that a terminal's day is as surprising, from the surprises of the past (BINS counts, an eighth wide):
    counted while ten were as high, beyond that an exponential tail through the highest fifty."""
    total = past.sum()
    above = np.cumsum(past[::-1])[::-1]  # as high or higher
    at = np.minimum((surprise * 8).astype(np.int64), BINS - 1)
    counted = (above[at] + 0.5) / (total + 1.0)
    if total < 50:
        return np.ones(len(surprise))
    high = int(np.searchsorted(-above, -50.0, "right")) - 1  # highest bin with fifty at or above it
    high = max(high, 0)
    places = (np.arange(BINS) - high) / 8.0
    mean = max(float((past[high:] * places[high:]).sum() / max(above[high], 1e-9)), 0.125)
    tail = (above[high] + 0.5) / (total + 1.0) * np.exp(-np.maximum(surprise - high / 8.0, 0.0) / mean)
    made: np.ndarray = np.minimum(np.where(above[at] >= 10, counted, tail), 1.0)
    return made
