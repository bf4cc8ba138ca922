"""The parts of Dark-NTD against dense transcriptions: fibres, decomposition, thresholds, pairing."""

from __future__ import annotations

import numpy as np
import pytest

from andon.detect.darknet.ntd.fibres import LowRank, Tensor, low_rank
from andon.detect.darknet.ntd.groups import groups, otsu, over
from andon.detect.darknet.ntd.tucker import CORE_STOP, INNER, OUTER, STOPS, Tucker, nonnegative, times

RANKS = (5, 5, 5)


def sparse(dense: np.ndarray) -> Tensor:
    at = np.stack(np.nonzero(dense)).astype(np.int64)
    a, b, c = dense.shape
    return Tensor(at, dense[tuple(at)].astype(np.float64), (a, b, c))


def planted(seed: int, shape: tuple[int, int, int] = (30, 40, 25)) -> np.ndarray:
    """A few blocks of minutes, networks and ports, and scattered cells."""
    rng = np.random.default_rng(seed)
    dense = np.zeros(shape)
    for n in range(3):
        block = np.ix_(
            np.arange(8 * n, 8 * n + 4), rng.choice(shape[1], 12, False), rng.choice(shape[2], 2, False)
        )
        dense[block] += rng.poisson(4, (4, 12, 2)) + 2
    dense[rng.random(shape) < 0.004] += 2
    return dense


def unfold(dense: np.ndarray, mode: int) -> np.ndarray:
    return np.moveaxis(dense, mode, 0).reshape(dense.shape[mode], -1)


def fibres_by_residual(dense: np.ndarray, mode: int, most: int) -> np.ndarray:
    """The chosen fibres, the residual formed in full each time."""
    x = unfold(dense, mode)
    chosen: list[int] = []
    for _ in range(most):
        left = x
        if chosen:
            c = x[:, chosen]
            left = x - c @ np.linalg.pinv(c) @ x
        norm = (left**2).sum(axis=0)
        if norm.max() <= 1e-9 * (x**2).sum(axis=0).max():
            break
        chosen.append(int(np.argmax(norm)))
    return x[:, chosen]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_fibres_and_core_are_those_of_the_dense_transcription(seed: int) -> None:
    dense = planted(seed)
    found = low_rank(sparse(dense), RANKS)
    expected = [fibres_by_residual(dense, mode, 5) for mode in range(3)]
    for ours, theirs in zip(found.fibres, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    core = times(dense, [np.linalg.pinv(c) for c in expected])
    np.testing.assert_allclose(found.core, core, rtol=1e-8, atol=1e-10)


def test_a_tensor_of_low_rank_is_given_back_exactly() -> None:
    rng = np.random.default_rng(4)
    factors = [rng.integers(0, 4, (size, 2)).astype(float) for size in (30, 50, 20)]
    dense = times(rng.integers(1, 5, (2, 2, 2)).astype(float), [*factors])
    found = low_rank(sparse(dense), RANKS)
    assert found.core.shape == (2, 2, 2)  # no more fibres than are independent
    np.testing.assert_allclose(times(found.core, [*found.fibres]), dense, atol=1e-6 * dense.max())


def test_many_cells_are_walked_in_pieces() -> None:
    rng = np.random.default_rng(5)
    dense = (rng.random((30, 80, 60)) < 0.4) * rng.integers(1, 9, (30, 80, 60)).astype(float)
    found = low_rank(sparse(dense), RANKS)
    core = times(dense, [np.linalg.pinv(c) for c in found.fibres])
    np.testing.assert_allclose(found.core, core, rtol=1e-6, atol=1e-10)


def plain(given: LowRank, ranks: tuple[int, int, int], rng: np.random.Generator) -> Tucker:
    """lraNTD with the approximated tensor formed in full, updates as they are written."""
    x = times(given.core, [*given.fibres])
    a = [rng.random((n, r)) + 1e-12 for n, r in zip(x.shape, ranks, strict=True)]
    g = rng.random(ranks) + 1e-12
    whole = times(g, [*a])
    g = g * max(float((x * whole).sum()), 1e-12) / max(float((whole**2).sum()), 1e-12)
    rounds = 0
    for _ in range(OUTER):
        rounds += 1
        still = True
        for n in range(3):
            b = unfold(times(g, [None if m == n else a[m] for m in range(3)]), n)
            up = np.maximum(unfold(x, n) @ b.T, 1e-12)
            for inner in range(INNER):
                before = a[n]
                a[n] = a[n] * up / np.maximum(a[n] @ (b @ b.T), 1e-12)
                if np.linalg.norm(a[n] - before) / np.linalg.norm(before) < STOPS[n]:
                    still &= inner == 0
                    break
            else:
                still = False
            scale = a[n].max(axis=0)
            a[n] = a[n] / scale
            g = times(g, [np.diag(scale) if m == n else None for m in range(3)])
        up = np.maximum(times(x, [f.T for f in a]), 1e-12)
        for inner in range(INNER):
            before = g
            g = g * up / np.maximum(times(times(g, [*a]), [f.T for f in a]), 1e-12)
            if np.linalg.norm(g - before) / np.linalg.norm(before) < CORE_STOP:
                still &= inner == 0
                break
        else:
            still = False
        if still:
            break
    return Tucker(g, (a[0], a[1], a[2]), rounds)


@pytest.mark.parametrize("seed", [6, 7])
def test_the_decomposition_is_that_of_the_dense_transcription(seed: int) -> None:
    given = low_rank(sparse(planted(seed)), RANKS)
    ours = nonnegative(given, RANKS, np.random.default_rng((seed, 0)))
    theirs = plain(given, RANKS, np.random.default_rng((seed, 0)))
    assert ours.rounds == theirs.rounds
    np.testing.assert_allclose(ours.core, theirs.core, rtol=1e-4, atol=1e-8)
    for mine, other in zip(ours.factors, theirs.factors, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-8)


def test_factors_are_not_negative_their_columns_reach_one_and_the_fit_is_close() -> None:
    dense = planted(8)
    given = low_rank(sparse(dense), RANKS)
    found = nonnegative(given, RANKS, np.random.default_rng(1))
    for factor in found.factors:
        assert (factor >= 0).all()
        np.testing.assert_allclose(factor.max(axis=0), 1.0)
    x = times(given.core, [*given.fibres])
    left = np.linalg.norm(x - times(found.core, [*found.factors])) / np.linalg.norm(x)
    assert left < 0.75 and (found.core >= 0).all() and 1 <= found.rounds <= OUTER


def test_otsu_is_the_cut_with_the_largest_variance_between_classes() -> None:
    rng = np.random.default_rng(9)
    values = np.clip(np.r_[rng.normal(0.2, 0.06, 300), rng.normal(0.8, 0.05, 40)], 0, 1)
    best, where = -1.0, 0.0
    for cut in np.arange(1, 256) / 256:
        low, high = values[values < cut], values[values >= cut]
        if len(low) and len(high):
            between = len(low) * len(high) * (low.mean() - high.mean()) ** 2
            if between > best:
                best, where = between, float(cut)
    # Ours counts in bins, so classes and not the cut are compared.
    assert ((values >= otsu(values)) == (values >= where)).mean() > 0.99
    assert 0.0 <= otsu(np.zeros(5)) <= 1.0 and 0.0 <= otsu(np.ones(5)) <= 1.0


def test_mixed_up_thresholds_walk_down_the_columns_as_r_recycles() -> None:
    rng = np.random.default_rng(10)
    factor = np.clip(rng.random((7, 3)) * np.array([1.0, 0.4, 0.15]), 0, 1)
    levels = [otsu(factor[:, j]) for j in range(3)]
    flat = factor.T.reshape(-1)  # column by column, as R keeps a matrix
    recycled = np.array([value >= levels[i % 3] for i, value in enumerate(flat)]).reshape(3, 7).T
    assert (over(factor, 0.0, mixed_up=True) == recycled).all()
    own = np.stack([factor[:, j] >= levels[j] for j in range(3)], axis=1)
    assert (over(factor, 0.0, mixed_up=False) == own).all()
    assert (recycled != own).any()
    assert (over(factor, 0.3, mixed_up=True) == (factor >= 0.3)).all()  # a fixed threshold does no harm


def two_campaigns() -> Tucker:
    """Networks 0-3 ask for port 0 in the first minutes, networks 4-7 for port 1 in the last."""
    networks = np.zeros((8, 2))
    networks[:4, 0] = networks[4:, 1] = 1.0
    ports = np.eye(2)
    minutes = np.zeros((30, 2))
    minutes[:3, 0] = minutes[27:, 1] = 1.0
    core = np.zeros((2, 2, 2))
    core[0, 0, 0] = core[1, 1, 1] = 1.0
    return Tucker(core, (minutes, networks, ports), 1)


def test_the_published_pairing_pairs_every_group_with_every_port() -> None:
    (one,) = groups(two_campaigns(), 0.5, mixed_up=True, coupled=False, coupling=0.1)
    assert one.hosts.all() and one.ports.all()
    assert one.components == ((1, (1, 2)), (2, (1, 2)))


def test_the_core_pairs_each_group_with_its_own_ports() -> None:
    first, second = groups(two_campaigns(), 0.5, mixed_up=False, coupled=True, coupling=0.1)
    assert np.flatnonzero(first.hosts).tolist() == [0, 1, 2, 3] and first.ports.tolist() == [True, False]
    assert np.flatnonzero(second.hosts).tolist() == [4, 5, 6, 7] and second.ports.tolist() == [False, True]
    assert np.flatnonzero(first.course > 0).tolist() == [0, 1, 2]
    assert np.flatnonzero(second.course > 0).tolist() == [27, 28, 29]


def test_a_column_with_one_network_is_no_group() -> None:
    found = two_campaigns()
    networks = found.factors[1].copy()
    networks[5:, 1] = 0.0
    lone = Tucker(found.core, (found.factors[0], networks, found.factors[2]), 1)
    assert len(groups(lone, 0.5, mixed_up=False, coupled=True, coupling=0.1)) == 1
    (one,) = groups(lone, 0.5, mixed_up=False, coupled=False, coupling=0.1)
    assert one.ports.tolist() == [True, False]  # ports of abnormal columns alone
