"""Non-negative Tucker decomposition of a low-rank approximation (lraNTD).

Zhou, Cichocki, Xie, "Fast nonnegative matrix/tensor factorization based on low-rank approximation" (IEEE Trans. Signal
Processing 60, 2012): X ~ G x1 A1 x2 A2 x3 A3, all non-negative, by multiplicative updates in which X is replaced by its
low-rank form, so that an update costs the length of a mode times the ranks. Loops and stops as in the code published
for Dark-NTD: at most 24 rounds; in each at most ten updates of every factor, until it changes by less than 0.002 (of
the ports: 0.0003) of its norm, then of the core, until 0.001; columns are scaled to a maximum of 1. A round in which
nothing moves further ends it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from andon.detect.darknet.ntd.fibres import LowRank

OUTER, INNER = 24, 10
STOPS = (0.002, 0.002, 0.0003)  # minutes, networks, ports
CORE_STOP = 0.001
_TINY = 1e-12


@dataclass(frozen=True)
class Tucker:
    """``core`` (r1, r2, r3); ``factors``: per mode (length, r), columns with maximum 1 (or all 0); ``rounds`` done."""

    core: np.ndarray
    factors: tuple[np.ndarray, np.ndarray, np.ndarray]
    rounds: int


def times(core: np.ndarray, matrices: list[np.ndarray | None]) -> np.ndarray:
    """Core times a matrix in each mode (None: left alone).

    >>> times(np.ones((2, 2, 2)), [np.ones((3, 2)), None, None]).shape
    (3, 2, 2)
    """
    for mode, matrix in enumerate(matrices):
        if matrix is not None:
            core = np.moveaxis(np.tensordot(matrix, core, axes=(1, mode)), 0, mode)
    return core


def nonnegative(given: LowRank, ranks: tuple[int, int, int], rng: np.random.Generator) -> Tucker:
    """A decomposition from a random start."""
    factors = [
        rng.random((len(fibres), rank)) + _TINY for fibres, rank in zip(given.fibres, ranks, strict=True)
    ]
    core = rng.random(ranks) + _TINY
    squares = [factor.T @ factor for factor in factors]
    cross = [factor.T @ fibres for factor, fibres in zip(factors, given.fibres, strict=True)]
    # The start has the right size; its shape is left to chance.
    fit = float(np.vdot(core, times(given.core, [*cross])))
    core *= max(fit, _TINY) / max(float(np.vdot(core, times(core, [*squares]))), _TINY)
    rounds = 0
    for _ in range(OUTER):
        rounds += 1
        still = True
        for mode in range(3):
            others = tuple(n for n in range(3) if n != mode)
            left = times(given.core, [None if n == mode else cross[n] for n in range(3)])
            up = np.maximum(given.fibres[mode] @ np.tensordot(left, core, axes=(others, others)), _TINY)
            wide = times(core, [None if n == mode else squares[n] for n in range(3)])
            square = np.tensordot(wide, core, axes=(others, others))
            factor, first = _updated(factors[mode], up, square, STOPS[mode])
            still &= first
            peak = factor.max(axis=0, initial=0.0)
            scale = np.where(peak > 0.0, peak, 1.0)
            factors[mode] = factor / scale
            core = times(core, [np.diag(scale) if n == mode else None for n in range(3)])
            squares[mode] = factors[mode].T @ factors[mode]
            cross[mode] = factors[mode].T @ given.fibres[mode]
        up = np.maximum(times(given.core, [*cross]), _TINY)
        for inner in range(INNER):
            before = core
            core = core * up / np.maximum(times(core, [*squares]), _TINY)
            if _moved(core, before) < CORE_STOP:
                still &= inner == 0
                break
        else:
            still = False
        if still:
            break
    return Tucker(core, (factors[0], factors[1], factors[2]), rounds)


def _updated(factor: np.ndarray, up: np.ndarray, square: np.ndarray, stop: float) -> tuple[np.ndarray, bool]:
    """The factor after at most ten updates; whether the first one moved it by less than ``stop`` already."""
    for inner in range(INNER):
        before = factor
        factor = factor * up / np.maximum(factor @ square, _TINY)
        if _moved(factor, before) < stop:
            return factor, inner == 0
    return factor, False


def _moved(now: np.ndarray, before: np.ndarray) -> float:
    return float(np.linalg.norm(now - before)) / max(float(np.linalg.norm(before)), _TINY)
