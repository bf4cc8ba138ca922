"""How many packets will come to a port in each hour of the next day: forecasts with intervals, and what they must
beat.

Series are hourly counts in whole days (UTC). Forecasts of the 24 hours that follow:

* ``naive``: the same hour of the day before, plus the quantiles of what that missed in the past (seasonal naive);
* ``usual``: quantiles of the same hour, and its neighbours, in the last two weeks;
* ``regression``: negative-binomial regression (log link; Hilbe, "Negative Binomial Regression", 2nd ed., ch. 8) on
  harmonics of the day and the week and on the level of the last day and of the last week, fitted by iteratively
  reweighted least squares with a ridge, dispersion by moments;
* ``scaled``: the level of the last days times the profile of the last two weeks, with the quantiles of the ratios by
  which the same recipe missed in the past: heavy tails cost it nothing;
* ``hawkes``: a Hawkes process counted by the hour (Hawkes, Biometrika 58, 1971; Kirchner's INAR view of it): the
  rate is a
  multiple of the profile plus past counts that fade exponentially, branching ratio below 1; carried on over the day
  by its own mean, with negative-binomial quantiles;
* ``combined``: the mean of the quantiles of ``naive``, ``usual``, ``scaled`` and ``hawkes`` (Vincent's average).

The first two are trivial and serve as the bar (``BASELINES``). Forecasts are compared by pinball loss (Koenker &
Bassett 1978) over ``TAUS``, the mean over hours and quantiles: lower is better, and no quantile can gain by being
wide.
"""

from __future__ import annotations

from typing import Final

import numpy as np

TAUS: Final = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
DAY: Final = 24
LEAST_DAYS: Final = 7  # of history before anything is forecast
WEEKLY: Final = 14  # days before the week has terms of its own
LONGEST: Final = 28  # days that are looked back at
_DAILY, _WEEKLY = 3, 2  # harmonics
BASELINES: Final = ("naive", "usual")
CANDIDATES: Final = ("regression", "scaled", "hawkes", "combined")
_DECAYS: Final = (0.3, 0.6, 0.8, 0.9)  # of an hour, what is left after one
_RIDGE: Final = 30.0
_SMALL: Final = 0.05
_FLAT: Final = 0.3
_HALF_LIFE: Final = 3.0  # days
_ROUNDS: Final = 25


def pinball(observed: np.ndarray, quantiles: np.ndarray) -> float:
    """Mean pinball loss of (hours, TAUS) quantiles.

    >>> pinball(np.array([10.0]), np.full((1, 5), 10.0))
    0.0
    """
    error = observed[:, None] - quantiles
    return float(np.maximum(TAUS * error, (TAUS - 1) * error).mean())


def naive(history: np.ndarray) -> np.ndarray:
    """(24, TAUS) quantiles; ``history``: counts of whole days, hour by hour, at least two days."""
    days = history.reshape(-1, DAY).astype(np.float64)
    missed = (days[1:] - days[:-1]).ravel()
    made: np.ndarray = np.maximum(days[-1][:, None] + np.quantile(missed, TAUS), 0.0)
    return made


def usual(history: np.ndarray) -> np.ndarray:
    """(24, TAUS) quantiles of the same hour and its two neighbours in the last 14 days."""
    days = history.reshape(-1, DAY).astype(np.float64)[-14:]
    around = np.stack([np.roll(days, shift, axis=1) for shift in (-1, 0, 1)])
    made: np.ndarray = np.quantile(around.reshape(-1, DAY), TAUS, axis=0).T
    return made


def scaled(history: np.ndarray) -> np.ndarray:
    """(24, TAUS) quantiles: level times profile, with the ratios that were missed in the last 14 days."""
    days = history.reshape(-1, DAY).astype(np.float64)[-LONGEST:]
    n = len(days)
    ratios = [(days[d] + _SMALL) / _expected(days[:d]) for d in range(max(2, n - 14), n)]
    made = _expected(days)[:, None] * np.quantile(np.concatenate(ratios), TAUS)[None, :] - _SMALL
    return np.asarray(np.clip(made, 0.0, 3 * days.max() + 10), np.float64)


def _expected(days: np.ndarray) -> np.ndarray:
    """(24,) counts of the day after ``days``: half yesterday's level, half that of the days before, by the
    profile."""
    weights = 0.5 ** (np.arange(len(days))[::-1] / _HALF_LIFE)
    totals = days.mean(axis=1)
    level = 0.5 * totals[-1] + 0.5 * float(weights @ totals) / float(weights.sum())
    profile = days[-14:].sum(axis=0)
    profile += _FLAT * max(float(profile.mean()), 1.0)  # drawn to a flat day
    return np.asarray((level + _SMALL) * profile / profile.mean())


def hawkes(history: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """(quantiles (24, TAUS), means (24,), dispersion alpha) by weighted least squares for each of a few decays, the
    one of best Poisson likelihood taken."""
    from scipy.signal import lfilter

    days = history.reshape(-1, DAY).astype(np.float64)[-LONGEST:]
    y = days.ravel()
    profile = (days.mean(axis=0) + _SMALL) / (days.mean() + _SMALL)
    weight = 1 / (y.mean() + 0.1 * y + _SMALL)
    found = []
    for decay in _DECAYS:
        faded = lfilter([1 - decay], [1, -decay], y)
        x = np.stack([np.tile(profile, len(days)), np.r_[0.0, faded[:-1]]], axis=1)
        system = (x * weight[:, None]).T @ x + 1e-6 * np.eye(2)
        base, branching = np.linalg.solve(system, (x * weight[:, None]).T @ y)
        base, branching = max(float(base), 0.0), float(np.clip(branching, 0.0, 0.99))
        mean = np.maximum(x @ np.array([base, branching]), _SMALL)
        found.append(
            (float(np.mean(mean - y * np.log(mean))), decay, base, branching, float(faded[-1]), mean)
        )
    _, decay, base, branching, state, mean = min(found, key=lambda one: one[0])
    alpha = float(np.clip(np.mean((y - mean) ** 2 - mean) / np.mean(mean**2), 1e-3, 50.0))
    means = np.empty(DAY)
    for hour in range(DAY):
        means[hour] = max(base * profile[hour] + branching * state, _SMALL)
        state = decay * state + (1 - decay) * means[hour]
    return quantiles(means, alpha), means, alpha


def forecasts(history: np.ndarray, weekday: int) -> tuple[np.ndarray, tuple[np.ndarray, float]]:
    """((forecasts, 24, TAUS) in the order of BASELINES and CANDIDATES, (means, dispersion) of the Hawkes process)."""
    before, always, moved = naive(history), usual(history), scaled(history)
    excited, mean, alpha = hawkes(history)
    fitted = regression(history, weekday)[0]
    combined = (before + always + moved + excited) / 4
    return np.stack([before, always, fitted, moved, excited, combined]), (mean, alpha)


def regression(history: np.ndarray, weekday: int) -> tuple[np.ndarray, np.ndarray, float]:
    """(quantiles (24, TAUS), means (24,), dispersion alpha: variance = mean + alpha mean^2) of the day that follows.
    ``weekday``: of that day, 0 Monday. ``history`` has at least LEAST_DAYS days."""
    days = history.reshape(-1, DAY).astype(np.float64)[-LONGEST:]
    n = len(days)
    totals = days.mean(axis=1)
    first = 1 if n <= LEAST_DAYS else 3
    rows = [_features(totals[:d], (weekday - (n - d)) % 7, n) for d in range(first, n)]
    x, y = np.concatenate(rows), days[first:].ravel()
    beta, alpha = _fit(x, y)
    mean = np.exp(np.clip(_features(totals, weekday, n) @ beta, -20.0, np.log(20 * days.max() + 20)))
    return quantiles(mean, alpha), mean, alpha


def _features(totals: np.ndarray, weekday: int, days: int) -> np.ndarray:
    """(24, features) of a day from the mean hourly counts of the days before it."""
    hour = np.arange(DAY)
    columns = [np.ones(DAY)]
    for k in range(1, _DAILY + 1):
        angle = 2 * np.pi * k * hour / DAY
        columns += [np.sin(angle), np.cos(angle)]
    if days >= WEEKLY:
        for k in range(1, _WEEKLY + 1):
            angle = 2 * np.pi * k * (weekday * DAY + hour) / (7 * DAY)
            columns += [np.sin(angle), np.cos(angle)]
    columns.append(np.full(DAY, np.log(totals[-1] + 0.5)))
    columns.append(np.full(DAY, np.log(totals[-7:].mean() + 0.5)))
    return np.stack(columns, axis=1)


def _fit(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Coefficients and dispersion. The level terms are drawn to half a yesterday and half a week, not to 0."""
    prior = np.zeros(x.shape[1])
    prior[-2:] = 0.5
    penalty = np.full(x.shape[1], _RIDGE)
    penalty[0] = 1e-6
    beta, alpha = prior.copy(), 0.1
    for _ in range(_ROUNDS):
        eta = np.clip(x @ beta, -20.0, np.log(20 * y.max() + 20))
        mean = np.exp(eta)
        weight = mean / (1 + alpha * mean)
        target = eta + (y - mean) / mean - x @ prior
        system = (x * weight[:, None]).T @ x + np.diag(penalty)
        step = prior + np.linalg.solve(system, (x * weight[:, None]).T @ target) - beta
        beta = beta + np.clip(step, -2.0, 2.0)
        mean = np.exp(np.clip(x @ beta, -20.0, np.log(20 * y.max() + 20)))
        free = max(len(y) - x.shape[1], 1)
        # Moments: sum of (y - m)^2 / (m + a m^2) equals the degrees of freedom; one step of a fixed point a round.
        chi = float(((y - mean) ** 2 / (mean + alpha * mean**2)).sum()) / free
        alpha = float(np.clip(alpha * chi + max(chi - 1, 0) * 0.01, 1e-4, 50.0))
        if np.abs(step).max() < 1e-8 and abs(chi - 1) < 1e-3:
            break
    return beta, alpha


def quantiles(mean: np.ndarray, alpha: float) -> np.ndarray:
    """(len(mean), TAUS) quantiles of negative binomials, between the whole numbers too."""
    from scipy.special import nbdtrik

    size = 1 / alpha
    chance = size / (size + mean)
    made = nbdtrik(TAUS[None, :], size, chance[:, None])
    # Below the chance of 0 the inverse is not defined, and the quantile is 0.
    return np.where(TAUS[None, :] <= (chance**size)[:, None], 0.0, np.nan_to_num(np.maximum(made, 0.0)))


def surprise(count: float, mean: float, alpha: float) -> float:
    """Chance of at least ``count`` packets under the forecast.

    >>> round(surprise(0, 5.0, 0.1), 3), surprise(100, 5.0, 0.1) < 1e-9
    (1.0, True)
    """
    from scipy.special import betainc

    if count <= 0:
        return 1.0
    size = 1 / alpha
    return float(betainc(count, size, mean / (size + mean)))
