"""The graphical lasso for few samples of many variables: which entries of the precision matrix are not zero.

Minimises ``-log det T + tr(S T) + rho * sum |T_ij|`` over positive definite T, the diagonal penalised too, as the R
package ``glasso`` does when nothing else is said (scikit-learn leaves the diagonal out: give it ``S + rho I`` to
get the same answer).

- *Blocks.* The connected components of ``|S_ij| > rho`` are the blocks of the answer (Witten, Friedman, Simon,
  JCGS 20, 2011; Mazumder and Hastie, JMLR 13, 2012), so each is solved alone.
- *Block coordinate descent* (Friedman, Hastie, Tibshirani, Biostatistics 9, 2008) on the covariance W = T^-1: one
  column at a time is the answer of a lasso, found by coordinate descent over its active set. W begins at S + rho I,
  which is feasible for the dual problem (``|W - S| <= rho``), and stays positive definite (Mazumder and Hastie,
  EJS 6, 2012).
- *Warm start.* From one rho to a smaller one W begins at the mixture ``(1 - t) S + t W`` with t the ratio of the two,
  diagonal S + rho: feasible for the new rho and positive definite as W is.
- *Variables that are equal in every sample are solved as one.* With twelve samples many are: half of the networks
  of a quiet telescope share a series with others. The problem does not change when equal variables change places
  and its answer is unique, so that answer has one number between two groups of equal variables and one within a
  group. With sizes m, W_gh between and w_g within groups and d_g on the diagonal,

      log det W = sum (m_g - 1) log(d_g - w_g) + log det M,  M_gg = d_g + (m_g - 1) w_g,  M_gh = sqrt(m_g m_h) W_gh,

  which keeps the form of the problem: a column is a lasso with ``(d_h + (m_h - 1) w_h) / m_h`` on the diagonal,
  and then w_g is ``W_g . gamma`` (gamma the coefficients), but at least ``S_gg - rho``, where the members become
  neighbours.

A sweep in which no column's coefficients or entries of W moved by more than the tolerance ends the work: then the
conditions of Karush, Kuhn and Tucker hold to about that tolerance (``tests/glasso`` measures them with a matrix
inversion of its own, and ``benchmarks/glasso``). An edge is a coefficient that is not exactly zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit

TOLERANCE: Final = 1e-6  # of entries of W; the covariance of log counts is of the order of 1
MOST_SWEEPS: Final = 1_000
_MOST_PASSES = 10_000


@njit(cache=True, nogil=True)
def components(cov: np.ndarray, rho: float) -> np.ndarray:
    """Number of the block (int64, from 0) of each variable: connected components of ``|cov_ij| > rho``."""
    p = cov.shape[0]
    label = np.full(p, -1, np.int64)
    stack = np.empty(p, np.int64)
    blocks = 0
    for seed in range(p):
        if label[seed] >= 0:
            continue
        label[seed] = blocks
        stack[0] = seed
        top = 1
        while top > 0:
            top -= 1
            i = stack[top]
            for j in range(p):
                if label[j] < 0 and abs(cov[i, j]) > rho:
                    label[j] = blocks
                    stack[top] = j
                    top += 1
        blocks += 1
    return label


@njit(cache=True, nogil=True)
def solve_block(
    cov: np.ndarray,
    rho: float,
    size: np.ndarray,
    w: np.ndarray,
    within: np.ndarray,
    gamma: np.ndarray,
    tolerance: float,
    most_sweeps: int,
) -> int:
    """Solve one block in place; gives the number of sweeps, or -1 if ``most_sweeps`` were not enough.

    ``cov`` float64 (g, g) among groups; ``size`` float64, members of each; ``w`` (g, g) covariance between groups,
    its diagonal is not looked at; ``within`` (g) among members of a group; ``gamma`` (g, g), row j the
    coefficients of the lasso of column j, zero on the diagonal."""
    p = cov.shape[0]
    rest = np.empty(p)
    diagonal = np.empty(p)
    active = np.empty(p, np.int64)
    is_active = np.zeros(p, np.bool_)
    among = np.empty(
        (p, p)
    )  # W of the active variables, and what is left of their covariances with the column
    left = np.empty(p)
    synced = np.empty(p)
    for k in range(p):
        diagonal[k] = (cov[k, k] + rho + (size[k] - 1.0) * within[k]) / size[k]
        w[k, k] = diagonal[k]
    for sweep in range(most_sweeps):
        worst = 0.0
        for j in range(p):
            beta = gamma[j]
            actives = 0
            for i in range(p):
                rest[i] = cov[j, i]
            for k in range(p):
                b = beta[k]
                is_active[k] = b != 0.0
                if b != 0.0:
                    active[actives] = k
                    actives += 1
                    row = w[k]
                    for i in range(p):
                        rest[i] -= b * row[i]
            known = 0  # variables whose products among each other are in ``among``
            for passes in range(_MOST_PASSES):
                for a in range(known, actives):
                    k = active[a]
                    row = w[k]
                    for b in range(actives):
                        among[a, b] = row[active[b]]
                        among[b, a] = among[a, b]
                    left[a] = rest[k]
                    synced[a] = beta[k]
                known = actives
                moved = 0.0
                for a in range(actives):
                    k = active[a]
                    old = beta[k]
                    z = left[a] + diagonal[k] * old
                    new = 0.0
                    if z > rho:
                        new = (z - rho) / diagonal[k]
                    elif z < -rho:
                        new = (z + rho) / diagonal[k]
                    step = new - old
                    if step != 0.0:
                        beta[k] = new
                        row = among[a]
                        for b in range(actives):
                            left[b] -= step * row[b]
                        moved = max(moved, abs(step) * diagonal[k])
                if passes == 0:
                    worst = max(worst, moved)
                if moved <= 0.1 * tolerance:
                    # What the active set has come to, told to all variables at once.
                    for a in range(actives):
                        k = active[a]
                        step = beta[k] - synced[a]
                        if step != 0.0:
                            row = w[k]
                            for i in range(p):
                                rest[i] -= step * row[i]
                            synced[a] = beta[k]
                    added = 0
                    for k in range(p):
                        if k != j and not is_active[k] and abs(rest[k]) > rho:
                            worst = max(worst, abs(rest[k]) - rho)
                            is_active[k] = True
                            active[actives] = k
                            actives += 1
                            added += 1
                    if added == 0:
                        break
                    for a in range(known):
                        left[a] = rest[active[a]]
            explained = 0.0
            for i in range(p):
                if i != j:
                    value = cov[j, i] - rest[i]
                    worst = max(worst, abs(value - w[j, i]))
                    w[j, i] = value
                    w[i, j] = value
                    explained += value * beta[i]
            if size[j] > 1.0:
                value = max(explained, cov[j, j] - rho)
                worst = max(worst, abs(value - within[j]))
                within[j] = value
                diagonal[j] = (cov[j, j] + rho + (size[j] - 1.0) * value) / size[j]
                w[j, j] = diagonal[j]
        if worst <= tolerance:
            return sweep + 1
    return -1


@dataclass(frozen=True)
class Solution:
    """The answer for one rho, over groups of equal variables.

    ``edges`` counts pairs of variables (not of groups) with a non-zero entry; ``degree`` (g) those of a member of each
    group; ``converged`` is False if a block was
    given up after ``MOST_SWEEPS``. ``w``, ``within`` and ``gamma`` are as in ``solve_block``, for all blocks."""

    rho: float
    edges: float
    degree: np.ndarray
    blocks: int
    largest: int  # variables in the largest block
    sweeps: int
    converged: bool
    w: np.ndarray
    within: np.ndarray
    gamma: np.ndarray
    label: np.ndarray


def graphical_lasso_path(
    cov: np.ndarray, size: np.ndarray, rhos: Sequence[float], tolerance: float = TOLERANCE
) -> list[Solution]:
    """Solutions for each rho, in the order given; the largest is solved first and warms the next.

    ``cov`` is float64 (g, g), symmetric and positive semidefinite, among g groups of equal variables with ``size``
    members each (all 1 for an ordinary problem). Raises ValueError for a rho that is not above 0.

    >>> cov = np.array([[1.0, 0.6], [0.6, 1.0]])
    >>> [answer.edges for answer in graphical_lasso_path(cov, np.ones(2), [0.5, 0.7])]
    [1.0, 0.0]
    """
    if any(not rho > 0 for rho in rhos):
        raise ValueError(f"rho must be above 0, not {list(rhos)}")
    done: dict[float, Solution] = {}
    before: Solution | None = None
    for rho in sorted(set(rhos), reverse=True):
        before = _solve(cov, size.astype(np.float64), rho, before, tolerance)
        done[rho] = before
    return [done[rho] for rho in rhos]


def _solve(
    cov: np.ndarray, size: np.ndarray, rho: float, before: Solution | None, tolerance: float
) -> Solution:
    label = components(cov, rho)
    if before is None:
        start, within, gamma = cov, np.diag(cov).copy(), np.zeros_like(cov)
    else:
        t = rho / before.rho
        start = (1 - t) * cov + t * before.w
        within = (1 - t) * np.diag(cov) + t * before.within
        gamma = before.gamma.copy()
    w = np.zeros_like(cov)
    sweeps, converged = 0, True
    order = np.argsort(label, kind="stable")
    counts = np.bincount(label)
    ends = np.cumsum(counts)
    for block in range(len(counts)):
        members = order[ends[block] - counts[block] : ends[block]]
        square = np.ix_(members, members)
        part, inner, coefficients = start[square], within[members], gamma[square]
        used = solve_block(
            np.ascontiguousarray(cov[square]),
            rho,
            size[members],
            part,
            inner,
            coefficients,
            tolerance,
            MOST_SWEEPS,
        )
        converged &= used >= 0
        sweeps = max(sweeps, used if used >= 0 else MOST_SWEEPS)
        w[square], within[members], gamma[square] = part, inner, coefficients
    joined = (size > 1) & (within <= np.diag(cov) - rho)
    degree = (gamma != 0) @ size + np.where(joined, size - 1, 0.0)
    return Solution(
        rho=rho,
        edges=float(degree @ size) / 2,
        degree=degree,
        blocks=len(counts),
        largest=int(np.bincount(label, size).max(initial=0)),
        sweeps=sweeps,
        converged=converged,
        w=w,
        within=within,
        gamma=gamma,
        label=label,
    )


def precision(cov: np.ndarray, size: np.ndarray, answer: Solution) -> tuple[np.ndarray, np.ndarray]:
    """The precision matrix by groups: (g, g) between members of different groups with the variances' entries on the
    diagonal, and (g) between members of one group. Not symmetric beyond the tolerance."""
    explained = np.sum((answer.w - np.diag(np.diag(answer.w))) * answer.gamma, axis=1)
    diagonal = np.diag(cov) + answer.rho
    apart = 1 / (diagonal - answer.within)
    together = 1 / (diagonal + (size - 1) * answer.within - size * explained)
    theta = -together[:, None] * answer.gamma / size[None, :]
    joined = (size > 1) & (answer.within <= np.diag(cov) - answer.rho)
    within = np.where(joined, (together - apart) / size, 0.0)
    np.fill_diagonal(theta, np.where(size > 1, apart + within, together))
    return theta, within
