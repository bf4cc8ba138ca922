"""V ~ W H with non-negative W and H: the reference solver and a faster one.

``multiplicative``: Lee and Seung's updates for the Frobenius norm (NIPS 13, 2001), W first, started with the absolute
values of the singular vectors, as Dark-NMF does (Han, Shimamura, Takahashi et al., TrustCom 2021). ``hals``:
hierarchical alternating least squares (Cichocki and Phan, IEICE Trans. Fundamentals E92-A, 2009), started by NNDSVD
(Boutsidis and Gallopoulos, Pattern Recognition 41, 2008).

Two things make both cheap without changing what is computed. Hosts with equal columns start equal and stay equal, so
each distinct column is carried once, with its ``times``. And W H is never formed: the error is ||V||^2 - 2<V H', W> +
<W'W, H H'>, of which the parts are there already.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_TINY = 1e-300  # a denominator is 0 only where its numerator or what it scales is 0 too


@dataclass(frozen=True)
class Factors:
    """``w``: float64 (minutes, r); ``h``: (r, hosts); ``error``: mean squared error; ``rounds``: iterations done."""

    w: np.ndarray
    h: np.ndarray
    error: float
    rounds: int


@dataclass(frozen=True)
class Matrix:
    """V (minutes, hosts) as its distinct columns ``v``, how often each comes, and which is whose."""

    v: np.ndarray  # float64 (minutes, distinct)
    times: np.ndarray  # float64
    of: np.ndarray  # int64 per host

    @property
    def size(self) -> float:
        return float(self.v.shape[0] * self.times.sum())


def matrix(v: np.ndarray) -> Matrix:
    """The distinct columns of V, which is whole numbers (minutes, hosts).

    >>> matrix(np.array([[1, 1, 2], [0, 0, 5]])).times.tolist()
    [2.0, 1.0]
    """
    # Rows as opaque bytes: unique over one word each instead of a sort by thirty columns.
    rows = np.ascontiguousarray(v.T.astype(np.float64))
    words = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).reshape(-1)
    _, first, of, times = np.unique(words, return_index=True, return_inverse=True, return_counts=True)
    order = np.argsort(first)  # in the order of the hosts
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    return Matrix(np.ascontiguousarray(rows[first[order]].T), times[order].astype(np.float64), place[of])


def singular(m: Matrix, r: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The r first singular values and vectors of V: u (minutes, r), s (r), vt (r, distinct columns)."""
    # Each distinct column stands `times` times in V: scaled by the root of that, the left vectors and values are V's.
    root = np.sqrt(m.times)
    u, s, vt = np.linalg.svd(m.v * root, full_matrices=False)
    return u[:, :r], s[:r], vt[:r] / root


def multiplicative(m: Matrix, w: np.ndarray, h: np.ndarray, most: int = 3000, stop: float = 1e-5) -> Factors:
    """Multiplicative updates from (w, h) until the mean squared error changes by less than ``stop``."""
    w, h = w.copy(), h.copy()
    weighted = m.v * m.times
    norm, size = float(np.vdot(weighted, m.v)), m.size
    up, down, scaled = np.empty_like(h), np.empty_like(h), np.empty_like(h)
    np.multiply(h, m.times, out=scaled)
    vh, hh = weighted @ h.T, scaled @ h.T
    last, rounds = np.inf, 0
    while rounds < most:
        rounds += 1
        w *= vh / np.maximum(w @ hh, _TINY)
        np.matmul(w.T, m.v, out=up)
        ww = w.T @ w
        np.matmul(ww, h, out=down)
        np.maximum(down, _TINY, out=down)
        np.divide(up, down, out=up)
        h *= up
        np.multiply(h, m.times, out=scaled)
        vh, hh = weighted @ h.T, scaled @ h.T
        error = (norm - 2.0 * float(np.vdot(vh, w)) + float(np.vdot(ww, hh))) / size
        if abs(last - error) < stop:
            last = error
            break
        last = error
    return Factors(w, h, max(last, 0.0), rounds)


def hals(m: Matrix, w: np.ndarray, h: np.ndarray, most: int = 3000, stop: float = 1e-5) -> Factors:
    """The same by least squares for one component at a time."""
    w, h = w.copy(), h.copy()
    weighted = m.v * m.times
    norm, size = float(np.vdot(weighted, m.v)), m.size
    vh, hh = weighted @ h.T, (h * m.times) @ h.T
    last, rounds = np.inf, 0
    while rounds < most:
        rounds += 1
        for k in range(w.shape[1]):
            if hh[k, k] > 0.0:
                w[:, k] = np.maximum(w[:, k] + (vh[:, k] - w @ hh[:, k]) / hh[k, k], 0.0)
        wv, ww = w.T @ m.v, w.T @ w
        for k in range(h.shape[0]):
            if ww[k, k] > 0.0:
                h[k] = np.maximum(h[k] + (wv[k] - ww[k] @ h) / ww[k, k], 0.0)
        vh, hh = weighted @ h.T, (h * m.times) @ h.T
        error = (norm - 2.0 * float(np.vdot(vh, w)) + float(np.vdot(ww, hh))) / size
        if abs(last - error) < stop:
            last = error
            break
        last = error
    return Factors(w, h, max(last, 0.0), rounds)


def nndsvd(u: np.ndarray, s: np.ndarray, vt: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The start of Boutsidis and Gallopoulos: of each singular pair the heavier of its positive and negative parts."""
    w, h = np.zeros_like(u), np.zeros_like(vt)
    for k in range(len(s)):
        best = 0.0
        for sign in (1.0, -1.0):
            left, right = np.maximum(sign * u[:, k], 0.0), np.maximum(sign * vt[k], 0.0)
            a, b = float(np.sqrt(left @ left)), float(np.sqrt((right * times) @ right))
            if a * b > best:
                best = a * b
                root = np.sqrt(s[k] * a * b)
                w[:, k], h[k] = root * left / a, root * right / b
    return w, h


def all_ranks(m: Matrix, ranks: int, most: int, stop: float, solver: str) -> list[Factors]:
    """The factorisation for r = 1, 2, ... ``ranks`` (fewer if V has no such rank)."""
    ranks = min(ranks, *m.v.shape)
    u, s, vt = singular(m, ranks)
    if solver == "hals":
        w, h = nndsvd(u, s, vt, m.times)
        return [hals(m, w[:, :r], h[:r], most, stop) for r in range(1, ranks + 1)]
    w, h = np.abs(u), np.abs(vt)
    return [multiplicative(m, w[:, :r], h[:r], most, stop) for r in range(1, ranks + 1)]


def description_length(m: Matrix, factors: Factors) -> float:
    """Minimum description length of a rank (the published code has it switched off):
    NM/2 log(2 pi s^2) + SSE/(2 s^2) + (Nr + rM - r^2)/2 log(NM/(2 pi)), with s^2 = SSE/(NM)."""
    minutes, hosts = m.v.shape[0], float(m.times.sum())
    r = factors.w.shape[1]
    variance = max(factors.error, 1e-12)
    fit = m.size / 2.0 * np.log(2.0 * np.pi * variance) + m.size / 2.0
    return float(fit + (hosts * r + r * minutes - r * r) / 2.0 * np.log(m.size / (2.0 * np.pi)))
