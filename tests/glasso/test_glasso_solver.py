"""The solver gives the graphical lasso: against scikit-learn, against its own conditions, whatever the path."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.covariance import graphical_lasso

from andon.detect.darknet.glasso.hosts import covariance
from andon.detect.darknet.glasso.options import PUBLISHED_RHO
from andon.detect.darknet.glasso.solver import (
    Solution,
    components,
    graphical_lasso_path,
    precision,
    solve_block,
)


def sparse_counts(seed: int, variables: int, samples: int = 12, in_step: int = 0) -> np.ndarray:
    """Counts (variables, samples) of a quiet telescope: mostly zeros, some in step, many series alike."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(np.exp(rng.normal(-1.0, 1.2, variables))[:, None], (variables, samples))
    counts[:in_step, samples // 3] += rng.poisson(4.0, in_step)
    return counts[counts.sum(axis=1) > 0]


def full(cov: np.ndarray, size: np.ndarray, group: np.ndarray, answer: Solution) -> np.ndarray:
    """The precision matrix of all variables."""
    theta, within = precision(cov, size, answer)
    same = group[:, None] == group[None, :]
    whole = np.where(same, within[group][:, None], theta[np.ix_(group, group)])
    np.fill_diagonal(whole, np.diag(theta)[group])
    return whole


def kkt_residual(cov: np.ndarray, rho: float, theta: np.ndarray) -> float:
    """Largest violation of the conditions of the minimum, diagonal penalised, by a matrix inversion."""
    theta = (theta + theta.T) / 2
    gradient = cov - np.linalg.inv(theta)
    off = ~np.eye(len(cov), dtype=bool)
    linked = (theta != 0) & off
    return max(
        float(np.max(np.abs(gradient + rho * np.sign(theta))[linked], initial=0.0)),
        float(np.max(np.abs(gradient)[off & ~linked] - rho, initial=0.0)),
        float(np.max(np.abs(np.diag(gradient) + rho))),
    )


@pytest.mark.parametrize("seed", range(4))
def test_same_edges_and_covariance_as_scikit_learn(seed: int) -> None:
    counts = sparse_counts(seed, 40, in_step=8)
    cov, size, group = covariance(counts)
    whole = cov[np.ix_(group, group)]
    for answer in graphical_lasso_path(cov, size, (0.4, 0.7)):
        # scikit-learn leaves the diagonal without a penalty, so it is given with it.
        reference, theta = graphical_lasso(
            whole + answer.rho * np.eye(len(whole)), answer.rho, tol=1e-10, enet_tol=1e-12, max_iter=2000
        )
        ours = full(cov, size, group, answer)
        np.testing.assert_allclose(np.linalg.inv(ours), reference, atol=2e-5)
        np.testing.assert_allclose(ours, theta, atol=2e-5)
        off = ~np.eye(len(whole), dtype=bool)
        # An entry below scikit-learn's own tolerance is neither here nor there.
        assert not np.any((ours == 0) & (np.abs(theta) > 1e-5) & off)
        assert not np.any((ours != 0) & (theta == 0) & (np.abs(ours) > 1e-5) & off)
        assert answer.edges == np.count_nonzero(ours[off]) / 2


def test_conditions_of_the_minimum_hold_for_many_variables_and_few_samples() -> None:
    cov, size, group = covariance(sparse_counts(7, 450, in_step=60))
    assert len(group) > 300 and len(size) < len(group)  # many series alike
    whole = cov[np.ix_(group, group)]
    for answer in graphical_lasso_path(cov, size, PUBLISHED_RHO):
        assert answer.converged
        assert kkt_residual(whole, answer.rho, full(cov, size, group, answer)) < 1e-4


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 25), st.sampled_from([2, 5, 12, 30]), st.floats(0.05, 2.0))
def test_conditions_hold_on_any_counts(seed: int, variables: int, samples: int, rho: float) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.exponential(1.5, variables)[:, None], (variables, samples))
    cov, size, group = covariance(counts)
    answer = graphical_lasso_path(cov, size, (rho,))[0]
    assert answer.converged
    theta = full(cov, size, group, answer)
    assert np.all(np.linalg.eigvalsh((theta + theta.T) / 2) > 0)
    assert kkt_residual(cov[np.ix_(group, group)], rho, theta) < 1e-3


def test_equal_variables_solved_as_one_or_apart_give_the_same_edges() -> None:
    cov, size, group = covariance(sparse_counts(3, 160, in_step=30))
    assert len(size) < len(group)
    whole = cov[np.ix_(group, group)]
    together = graphical_lasso_path(cov, size, PUBLISHED_RHO)
    apart = graphical_lasso_path(whole, np.ones(len(whole)), PUBLISHED_RHO)
    assert [answer.edges for answer in together] == [answer.edges for answer in apart]


def test_the_path_does_not_matter() -> None:
    cov, size, _ = covariance(sparse_counts(5, 200, in_step=40))
    warm = graphical_lasso_path(cov, size, PUBLISHED_RHO)
    for answer in warm:
        cold = graphical_lasso_path(cov, size, (answer.rho,))[0]
        assert cold.edges == answer.edges
        np.testing.assert_allclose(cold.w, answer.w, atol=1e-4)
    backwards = graphical_lasso_path(cov, size, PUBLISHED_RHO[::-1])
    assert [answer.edges for answer in backwards] == [answer.edges for answer in warm[::-1]]


def test_blocks_are_the_connected_components_and_no_edge_leaves_one() -> None:
    cov, size, _ = covariance(sparse_counts(11, 300, in_step=20))
    for answer in graphical_lasso_path(cov, size, PUBLISHED_RHO):
        label = components(cov, answer.rho)
        i, j = np.nonzero(answer.gamma)
        assert np.all(label[i] == label[j])
    above = float(np.max(np.abs(cov))) + 0.01
    assert graphical_lasso_path(cov, size, (above,))[0].edges == 0


def test_a_block_given_up_says_so() -> None:
    cov, size, _ = covariance(sparse_counts(3, 60, in_step=30))
    gamma = np.zeros_like(cov)
    assert solve_block(cov, 0.1, size, cov.copy(), np.diag(cov).copy(), gamma, 1e-12, 1) == -1


def test_a_penalty_that_is_not_above_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        graphical_lasso_path(np.eye(2), np.ones(2), (0.5, 0.0))
