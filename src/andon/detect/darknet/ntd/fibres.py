"""A sparse tensor as a small core and fibres of itself: fibre sampling tensor decomposition (FSTD).

Caiafa and Cichocki, "Generalizing the column-row matrix decomposition to multi-way arrays", Linear Algebra and its
Applications 433, 2010. Of each mode the fibres are chosen one after the other, each the one with the largest residual
norm once those before are projected out; the core is the tensor times the pseudo-inverses of the chosen fibres. The
tensor is never dense: a choice costs one product of a vector with a sparse unfolding, the core one pass over the cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_CHUNK = 1 << 15


@dataclass(frozen=True)
class Tensor:
    """Distinct cells: ``at`` int64 (3, cells) indices, ``value`` float64, ``shape``."""

    at: np.ndarray
    value: np.ndarray
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class LowRank:
    """``core`` (r1, r2, r3) and for each mode its fibres (length of the mode, r)."""

    core: np.ndarray
    fibres: tuple[np.ndarray, np.ndarray, np.ndarray]


def low_rank(tensor: Tensor, ranks: tuple[int, int, int]) -> LowRank:
    """The FSTD with at most so many fibres of each mode; fewer where the tensor has no more that are independent.

    >>> ones = Tensor(np.array([[0, 1], [0, 1], [0, 1]]), np.array([3.0, 2.0]), (2, 2, 2))
    >>> found = low_rank(ones, (5, 5, 5))
    >>> found.core.shape, found.core[0, 0, 0].round(4), found.core[1, 1, 1].round(4)
    ((2, 2, 2), np.float64(0.1111), np.float64(0.25))
    """
    fibres = [_fibres(tensor, mode, ranks[mode]) for mode in range(3)]
    inverses = [np.linalg.pinv(chosen) for chosen in fibres]
    core = np.zeros((len(inverses[0]), len(inverses[1]) * len(inverses[2])))
    for begin in range(0, len(tensor.value), _CHUNK):
        a, b, c = tensor.at[:, begin : begin + _CHUNK]
        inner = inverses[1][:, None, b] * inverses[2][None, :, c] * tensor.value[begin : begin + _CHUNK]
        core += inverses[0][:, a] @ inner.reshape(core.shape[1], -1).T
    shape = tuple(len(inverse) for inverse in inverses)
    return LowRank(core.reshape(shape), (fibres[0], fibres[1], fibres[2]))


def _fibres(tensor: Tensor, mode: int, most: int) -> np.ndarray:
    from scipy.sparse import csc_matrix

    length = tensor.shape[mode]
    others = [n for n in range(3) if n != mode]
    code = tensor.at[others[0]] * tensor.shape[others[1]] + tensor.at[others[1]]
    _, column = np.unique(code, return_inverse=True)
    unfolded = csc_matrix((tensor.value, (tensor.at[mode], column)))
    unfolded.resize(length, unfolded.shape[1])
    left = np.asarray(unfolded.multiply(unfolded).sum(axis=0), np.float64).reshape(-1)
    floor = 1e-9 * float(left.max(initial=0.0))
    chosen = np.zeros((length, 0))
    basis = np.zeros((length, 0))
    while chosen.shape[1] < min(most, length, len(left)):
        best = int(np.argmax(left))
        if left[best] <= floor:
            break
        fibre = np.asarray(unfolded[:, [best]].toarray()).reshape(-1)
        rest = fibre - basis @ (basis.T @ fibre)
        rest -= basis @ (basis.T @ rest)  # twice is enough (Kahan's rule)
        rest /= np.linalg.norm(rest)
        chosen = np.column_stack((chosen, fibre))
        basis = np.column_stack((basis, rest))
        left -= np.asarray(unfolded.T @ rest) ** 2
        left[best] = 0.0
    return chosen
