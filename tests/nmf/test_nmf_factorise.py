"""The factorisations: parity with scikit-learn and with a plain transcription, and the laws they must keep."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from andon.detect.darknet.nmf.factorise import (
    Factors,
    all_ranks,
    description_length,
    hals,
    matrix,
    multiplicative,
    nndsvd,
    singular,
)


def counts(seed: int, hosts: int = 120) -> np.ndarray:
    """Minutes by hosts: four groups with their own course, and many equal columns."""
    rng = np.random.default_rng(seed)
    course = rng.gamma(0.4, 2.0, (30, 4))
    v = rng.poisson(course[:, rng.integers(0, 4, hosts)] * rng.gamma(1.0, 1.0, hosts))
    v[:, : hosts // 3] = v[:, [0]]
    v[0] += v.sum(axis=0) == 0
    return np.asarray(v, np.float64)


def plain(v: np.ndarray, r: int, most: int, stop: float) -> tuple[np.ndarray, np.ndarray, float, int]:
    """Lee and Seung's updates as they are written, W H formed in full."""
    u, _, vt = np.linalg.svd(v, full_matrices=False)
    w, h = np.abs(u[:, :r]), np.abs(vt[:r])
    last = np.inf
    for n in range(1, most + 1):
        w = w * (v @ h.T) / (w @ h @ h.T)
        h = h * (w.T @ v) / (w.T @ w @ h)
        error = float(np.mean((v - w @ h) ** 2))
        if abs(last - error) < stop:
            return w, h, error, n
        last = error
    return w, h, last, most


def test_equal_columns_are_carried_once_and_found_again() -> None:
    v = counts(1)
    m = matrix(v)
    assert m.v.shape[1] < v.shape[1] and m.times.sum() == v.shape[1]
    assert (m.v[:, m.of] == v).all()


@pytest.mark.parametrize("r", [1, 3, 7])
def test_multiplicative_updates_are_those_of_scikit_learn(r: int) -> None:
    from sklearn.decomposition import NMF

    v = counts(2)
    u, _, vt = np.linalg.svd(v, full_matrices=False)
    w, h = np.abs(u[:, :r]), np.abs(vt[:r])
    model = NMF(r, init="custom", solver="mu", tol=0.0, max_iter=60)
    theirs = model.fit_transform(v, W=w.copy(), H=h.copy())
    m = matrix(v)
    start = singular(m, r)
    ours = multiplicative(m, np.abs(start[0]), np.abs(start[2]), most=60, stop=0.0)
    assert ours.rounds == 60
    np.testing.assert_allclose(ours.w, theirs, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(ours.h[:, m.of], model.components_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("seed", [3, 4])
def test_all_ranks_are_those_of_the_plain_transcription(seed: int) -> None:
    v = counts(seed)
    m = matrix(v)
    for r, ours in enumerate(all_ranks(m, 10, 3000, 1e-5, "mu"), 1):
        w, h, error, rounds = plain(v, r, 3000, 1e-5)
        assert abs(ours.rounds - rounds) <= 1
        assert ours.error == pytest.approx(error, abs=2e-5)
        np.testing.assert_allclose(ours.w @ ours.h[:, m.of], w @ h, rtol=1e-3, atol=1e-3)


def test_the_error_is_that_of_the_product_without_forming_it() -> None:
    v = counts(5)
    m = matrix(v)
    for solver in ("mu", "hals"):
        for found in all_ranks(m, 6, 200, 1e-5, solver):
            assert found.error == pytest.approx(
                float(np.mean((v - found.w @ found.h[:, m.of]) ** 2)), rel=1e-8
            )


def test_the_error_never_grows_and_hals_gets_as_low_in_fewer_iterations() -> None:
    m = matrix(counts(6))
    u, s, vt = singular(m, 5)
    errors = [
        multiplicative(m, np.abs(u), np.abs(vt), most=n, stop=0.0).error for n in (1, 2, 5, 20, 100, 400)
    ]
    assert all(a >= b - 1e-12 for a, b in pairwise(errors))
    w, h = nndsvd(u, s, vt, m.times)
    quick = hals(m, w, h, most=60, stop=0.0)
    assert quick.error <= errors[3] + 1e-9
    assert (quick.w >= 0).all() and (quick.h >= 0).all()


def test_nndsvd_is_the_start_of_scikit_learn() -> None:
    from sklearn.decomposition import _nmf

    v = counts(7)
    m = matrix(v)
    u, s, vt = singular(m, 4)
    w, h = nndsvd(u, s, vt, m.times)
    theirs = _nmf._initialize_nmf(v, 4, init="nndsvd", random_state=0)
    np.testing.assert_allclose(w @ h[:, m.of], theirs[0] @ theirs[1], rtol=1e-3, atol=1e-3)


def test_description_length_is_the_published_formula() -> None:
    v = counts(8)
    m = matrix(v)
    found = all_ranks(m, 3, 100, 1e-5, "mu")[2]
    size, r = v.size, 3
    s2 = found.error
    sse = s2 * size
    expected = (
        size / 2 * np.log(2 * np.pi * s2)
        + sse / (2 * s2)
        + (v.shape[1] * r + r * 30 - r * r) / 2 * np.log(size / (2 * np.pi))
    )
    assert description_length(m, found) == pytest.approx(expected)


@pytest.mark.parametrize(
    "v",
    [
        np.zeros((30, 5)),
        np.ones((30, 1)),
        np.eye(30)[:, :3] * 1e9,
        np.r_[np.full((1, 4), 60.0), np.zeros((29, 4))],
    ],
)
@pytest.mark.parametrize("solver", ["mu", "hals"])
def test_degenerate_matrices_stay_finite(v: np.ndarray, solver: str) -> None:
    for found in all_ranks(matrix(v), 10, 50, 1e-5, solver):
        assert isinstance(found, Factors)
        assert np.isfinite(found.w).all() and np.isfinite(found.h).all() and np.isfinite(found.error)
        assert (found.w >= 0).all() and (found.h >= 0).all()
