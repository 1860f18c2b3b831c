from __future__ import annotations

import numpy as np
import pytest
import torch

from frog_cli.gradients.step_rules import hyperplane_step
from frog_cli.variants.regularised_step_rules import fomoh_cg, fomoh_diagonal, gauss_newton

NUMBERS = [1, 2, 5, 16]


def slopes(K: int, *leading: int) -> torch.Tensor:
    return torch.randn(*leading, K, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def positive(K: int, *leading: int, rank: int | None = None) -> torch.Tensor:
    factor = torch.randn(*leading, K, rank or K, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return factor @ factor.mT


def indefinite(K: int, *leading: int) -> torch.Tensor:
    factor = torch.randn(*leading, K, K, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return factor + factor.mT


@pytest.mark.parametrize("K", NUMBERS)
@pytest.mark.parametrize("damping", [1e-6, 1e-2, 10.0])
def test_gauss_newton_solves_the_damped_system(K, damping):
    d, G = slopes(K, 3), positive(K, 3)
    found = gauss_newton(d, G, damping=damping)
    for index in range(3):
        matrix = G[index].numpy()
        damped = matrix + damping * np.linalg.norm(matrix, 2) * np.eye(K)
        np.testing.assert_allclose(found[index].numpy(), np.linalg.solve(damped, d[index].numpy()), rtol=1e-7)


def test_gauss_newton_takes_dependent_tangents():
    """Where G has no curvature the damping alone bounds the step."""
    d, G = slopes(6), positive(6, rank=2)
    found = gauss_newton(d, G, damping=1e-3)
    assert found.isfinite().all()
    lengths = torch.linalg.eigvalsh(G)
    assert found.norm() <= d.norm() / (1e-3 * lengths.max()) * (1 + 1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_rules_keep_the_precision_that_they_are_given(dtype):
    d, G = slopes(4).to(dtype), positive(4).to(dtype)
    for rule in (gauss_newton, fomoh_diagonal, fomoh_cg):
        assert rule(d, G).dtype == dtype
        assert rule(d, G).isfinite().all()


def test_no_curvature_at_all_has_no_gauss_newton_step_and_no_conjugate_gradients():
    d, G = slopes(3, 2), positive(3, 2)
    G[1] = 0
    for rule in (gauss_newton, fomoh_cg):
        found = rule(d, G)
        assert found[0].isfinite().all()
        assert found[1].isnan().all()


@pytest.mark.parametrize("number", [torch.nan, torch.inf])
def test_curvature_that_is_not_finite_has_no_step_and_spoils_no_other(number):
    d, G = slopes(3, 2), positive(3, 2)
    for rule in (gauss_newton, fomoh_cg):
        expected = rule(d, G)[0]
        spoilt = G.clone()
        spoilt[1, 1, 1] = number
        found = rule(d, spoilt)
        assert torch.equal(found[0], expected)
        assert found[1].isnan().all()


@pytest.mark.parametrize("K", NUMBERS)
def test_diagonal_steps_are_line_searches_along_each_tangent(K):
    d, H = slopes(K, 3), indefinite(K, 3)
    expected = [[d[s, i] / (abs(H[s, i, i]) + 0.25) for i in range(K)] for s in range(3)]
    assert torch.equal(fomoh_diagonal(d, H, damping=0.25), torch.tensor(expected).double())


@pytest.mark.parametrize("K", NUMBERS)
def test_diagonal_steps_are_newtons_where_nothing_is_off_the_diagonal(K):
    d, H = slopes(K), torch.diag(slopes(K, 2)[1].abs() + 0.1)
    torch.testing.assert_close(fomoh_diagonal(d, H, damping=1e-15), torch.linalg.solve(H, d))


@pytest.mark.parametrize("K", NUMBERS)
def test_as_many_iterations_as_tangents_reach_the_stationary_point(K):
    d, H = slopes(K, 3), positive(K, 3) + K * torch.eye(K).double()  # rounding spoils worse conditions
    found = fomoh_cg(d, H, iterations=K)
    torch.testing.assert_close(found, hyperplane_step(d, H, absolute=False), rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(fomoh_cg(d, H, iterations=10 * K), found, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("iterations", [1, 2, 3, 4])
def test_conjugate_gradients_are_best_in_the_krylov_space(iterations):
    """After j iterations the step minimises the quadratic over the span of d, H d, .., H^(j-1) d."""
    d, H = slopes(6), positive(6) + 0.1 * torch.eye(6).double()
    basis = torch.stack([torch.linalg.matrix_power(H, power) @ d for power in range(iterations)], 1)
    basis, _ = torch.linalg.qr(basis)
    expected = basis @ torch.linalg.solve(basis.T @ H @ basis, basis.T @ d)
    torch.testing.assert_close(fomoh_cg(d, H, iterations=iterations), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("iterations", [1, 3, 20])
def test_conjugate_gradients_go_downhill_whatever_the_curvature(iterations):
    d, H = slopes(5, 500), indefinite(5, 500)
    step = fomoh_cg(d, H, iterations=iterations)
    assert ((d * step).sum(-1) > 0).all()


def test_a_first_direction_of_negative_curvature_is_searched_alone():
    d = torch.tensor([2.0, 0.0, 1.0]).double()
    H = torch.diag(torch.tensor([-3.0, 5.0, 0.5]).double())
    expected = d @ d / abs(d @ H @ d) * d
    torch.testing.assert_close(fomoh_cg(d, H, iterations=3), expected)


def test_the_iterations_end_before_a_direction_of_negative_curvature():
    d = torch.tensor([3.0, 1.0]).double()
    H = torch.diag(torch.tensor([2.0, -1.0]).double())
    assert d @ H @ d > 0
    torch.testing.assert_close(fomoh_cg(d, H, iterations=2), d @ d / (d @ H @ d) * d)


def test_where_nothing_slopes_there_is_nowhere_to_go():
    for rule in (gauss_newton, fomoh_diagonal, fomoh_cg):
        assert torch.equal(rule(torch.zeros(2, 4).double(), positive(4, 2)), torch.zeros(2, 4).double())


@pytest.mark.parametrize("size", [1e-24, 1e-12, 1e12, 1e20])
def test_slopes_of_any_size_have_steps_of_that_size(size):
    d, H = slopes(4).float(), (positive(4) + torch.eye(4)).float()
    for rule in (gauss_newton, fomoh_diagonal, fomoh_cg):
        torch.testing.assert_close(rule(size * d, H) / size, rule(d, H), rtol=1e-4, atol=1e-4)


def test_curvature_without_bound_is_no_step_of_length_zero():
    d, H = slopes(3, 2), positive(3, 2)
    H[1, 0, 0] = torch.inf
    assert fomoh_diagonal(d, H)[0].isfinite().all()
    assert fomoh_diagonal(d, H)[1].isnan().any()
