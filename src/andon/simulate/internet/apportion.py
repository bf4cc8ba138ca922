"""Whole packets shared out by weight, and when sources are active."""

from __future__ import annotations

import numpy as np

from .family import Always, Bursts, Churn, Family, Growth, InStep, Repeat

SECOND = 1_000_000_000


def apportion(weights: np.ndarray, total: int, rng: np.random.Generator) -> np.ndarray:
    """``total`` packets shared out in proportion to ``weights`` (systematic sampling: exact sum, unbiased, and
    every count within one of its expected value). int64."""
    if len(weights) == 0 or total <= 0:
        return np.zeros(len(weights), np.int64)
    order = rng.permutation(len(weights))
    edges = np.cumsum(np.asarray(weights, np.float64)[order])
    edges = edges / edges[-1] * total
    whole = np.floor(edges + rng.random()).astype(np.int64)
    whole[-1] = total
    counts = np.empty(len(weights), np.int64)
    counts[order] = np.diff(np.minimum(whole, total), prepend=0)
    return counts


def activity(
    family: Family, owners: np.ndarray, begin: int, end: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """When each of ``owners`` (any numbers, one per process) is active: (owner, start, stop) rows in ns.

    An owner may have no row (it is never infected before the end) or many.
    """
    n = len(owners)
    plan = family.schedule
    length = (end - begin) / SECOND
    low = np.zeros(n)
    high = np.full(n, length)
    if isinstance(plan, Churn):
        low = rng.uniform(-plan.lasts, length, n)
        high = low + rng.exponential(plan.lasts, n)
        missed = high < 1.0
        high[missed] = rng.uniform(1.0, max(length, 1.0), int(missed.sum()))
    elif isinstance(plan, InStep):
        low = plan.wake + rng.uniform(0, plan.jitter, n)
        high = plan.stop + rng.uniform(0, plan.jitter, n)
    elif isinstance(plan, Growth):
        u = rng.uniform(0.0005, 1.0, n)
        low = plan.half + plan.efold * np.log(u / np.maximum(1 - u, 1e-9))
    elif isinstance(plan, Repeat):
        return _repeated(owners, plan, begin, end, rng)
    elif isinstance(plan, Bursts):
        return _bursts(owners, plan, begin, end, rng)
    else:
        assert isinstance(plan, Always)
    low = np.clip(low, 0, length)
    high = np.clip(high, 0, length)
    lives = high - low >= min(1.0, length)
    start = begin + (low[lives] * SECOND).astype(np.int64)
    stop = np.minimum(begin + (high[lives] * SECOND).astype(np.int64), end)
    return owners[lives], start, stop


def _repeated(
    owners: np.ndarray, plan: Repeat, begin: int, end: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    starts = np.arange(begin + round(plan.offset * SECOND), end, round(plan.every * SECOND), dtype=np.int64)
    stops = np.minimum(starts + round(plan.lasts * SECOND), end)
    kept = stops - starts >= min(SECOND, end - begin)
    starts, stops = starts[kept], stops[kept]
    jitter = (rng.random((len(owners), len(starts))) * 0.02 * plan.lasts * SECOND).astype(np.int64)
    begins = np.minimum(starts[None, :] + jitter, stops[None, :] - 1)
    return (
        np.repeat(owners, len(starts)),
        begins.ravel(),
        np.broadcast_to(stops, begins.shape).ravel().copy(),
    )


def _bursts(
    owners: np.ndarray, plan: Bursts, begin: int, end: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows: list[tuple[int, int, int]] = []
    for owner in owners.tolist():
        at = begin + int(rng.uniform(-plan.on, plan.off) * SECOND)
        while at < end:
            stop = at + int((0.2 * plan.on + rng.exponential(0.8 * plan.on)) * SECOND)
            if min(stop, end) - max(at, begin) >= SECOND:
                rows.append((owner, max(at, begin), min(stop, end)))
            at = stop + int((0.2 * plan.off + rng.exponential(0.8 * plan.off)) * SECOND)
    table = np.array(rows, np.int64).reshape(-1, 3)
    return table[:, 0], table[:, 1].copy(), table[:, 2].copy()
