from __future__ import annotations

import pytest
import torch

from frog_cli.gradients import AGGREGATIONS
from frog_cli.gradients.aggregation import mean, projection, projection_if_well_conditioned, sum_
from frog_cli.gradients.tangents import cone, normal, standard_basis
from tests.cases import project, relative_error


def sample(k: int, n: int, seed: int = 0) -> torch.Tensor:
    return normal((k, n), torch.Generator().manual_seed(seed), torch.float64)


def estimate(aggregation, V, gradient):
    return V.mT @ aggregation(V, V @ gradient)


@pytest.mark.parametrize(("k", "n"), [(1, 1), (1, 9), (3, 9), (8, 9), (9, 9), (10, 9), (40, 9), (64, 64), (16, 4000)])
@pytest.mark.parametrize("m", [1, 5])
def test_projection_is_the_projection(k, n, m):
    V, gradient = sample(k, n), sample(m, n, seed=1).mT
    assert relative_error(estimate(projection, V, gradient), project(V, gradient)) < 1e-10


@pytest.mark.parametrize("extra", [0, 1, 30])
def test_projection_onto_everything_is_the_gradient(extra):
    gradient = sample(2, 12, seed=1).mT
    assert relative_error(estimate(projection, sample(12 + extra, 12), gradient), gradient) < 1e-10


@pytest.mark.parametrize(("k", "n"), [(3, 9), (9, 9), (12, 9)])
def test_projection_is_idempotent_orthogonal_to_its_residual_and_no_longer(k, n):
    V, gradient = sample(k, n), sample(1, n, seed=1).mT
    projected = estimate(projection, V, gradient)
    assert relative_error(estimate(projection, V, projected), projected) < 1e-10
    assert (V @ (gradient - projected)).abs().max() < 1e-10
    assert projected.norm() <= gradient.norm() * (1 + 1e-12)


def test_projection_ignores_order_and_length_of_tangents():
    V, gradient = sample(5, 20), sample(1, 20, seed=1).mT
    scaled = (V * torch.tensor([1e-12, 1e9, 1, -3, 1e4]).double().unsqueeze(1)).flip(0)
    assert relative_error(estimate(projection, scaled, gradient), estimate(projection, V, gradient)) < 1e-10


def test_dependent_tangents_have_coefficients_of_minimum_norm():
    V, gradient = sample(3, 10), sample(1, 10, seed=1).mT
    dependent = torch.cat([V, V[:1], V[:1] - V[1:2], torch.zeros(1, 10)])
    coefficients = projection(dependent, dependent @ gradient)
    assert relative_error(dependent.mT @ coefficients, project(V, gradient)) < 1e-10
    doubled = projection(torch.cat([V, V]), torch.cat([V, V]) @ gradient)
    torch.testing.assert_close(doubled[:3], doubled[3:])


def test_all_zero_tangents_give_zero():
    assert torch.equal(projection(torch.zeros(2, 5), torch.zeros(2, 1)), torch.zeros(2, 1))


@pytest.mark.parametrize("gap", [1e-2, 1e-4, 1e-6, 1e-8])
def test_error_is_bounded_by_the_condition_number_and_not_by_its_square(gap):
    V, gradient = sample(3, 30), sample(1, 30, seed=1).mT
    V[2] = V[0] + gap * V[2]
    assert relative_error(estimate(projection, V, gradient), project(V, gradient)) < max(4e-11, 1e-14 / gap)


@pytest.mark.parametrize(("k", "n"), [(2, 1), (16, 10), (40, 9)])
@pytest.mark.parametrize("m", [1, 5])
def test_more_tangents_than_dimensions_need_no_general_solution(k, n, m):
    V, slopes = sample(k, n), sample(k, m, seed=1)  # also of no gradient
    length = V.norm(dim=1, keepdim=True)
    for lengths in (torch.ones(k, 1).double(), torch.logspace(-9, 9, k).double().unsqueeze(1)):
        found = projection_if_well_conditioned(lengths * V, lengths * slopes)
        expected = torch.linalg.pinv((V @ V.mT) / (length * length.mT), rtol=1e-12) @ (slopes / length)
        assert relative_error(found * lengths * length, expected) < 1e-10


def test_more_tangents_than_dimensions_that_do_not_span_them_take_the_general_solution():
    V, gradient = sample(16, 10), sample(1, 10, seed=1).mT
    V[:, 3] = 2 * V[:, 5]
    assert projection_if_well_conditioned(V, V @ gradient).isnan().all()
    assert relative_error(estimate(projection, V, gradient), project(V, gradient)) < 1e-10


def test_more_tangents_than_dimensions_in_single_precision():
    gradient = sample(1, 10, seed=1).mT.float()
    seen = [
        projection_if_well_conditioned(V, V @ gradient) for V in (sample(16, 10, seed).float() for seed in range(100))
    ]
    assert sum(one.isfinite().all().item() for one in seen) > 90


@pytest.mark.parametrize("angle", [1, 15, 45, 90])
def test_projection_does_not_see_the_cone(angle):
    gradient = sample(1, 30, seed=1).mT
    on_cone = cone((6, 30), torch.Generator().manual_seed(0), torch.float64, angle=angle)
    assert relative_error(estimate(projection, on_cone, gradient), project(sample(6, 30), gradient)) < 1e-10


@pytest.mark.parametrize(
    ("n", "dtype", "tolerance"), [(8, torch.float64, 1e-10), (64, torch.float64, 1e-10), (64, torch.float32, 1e-3)]
)
def test_ordinary_square_sets_of_tangents_are_accurate(n, dtype, tolerance):
    """As many normal tangents as dimensions are sometimes nearly dependent, in no pair but together."""
    gradient = torch.ones(n, 1, dtype=dtype)
    for seed in range(300):
        V = sample(n, n, seed).to(dtype)
        projected = estimate(projection, V, gradient)
        assert relative_error(projected, gradient) < tolerance, seed
        assert projected.norm() <= gradient.norm() * (1 + tolerance)


def test_a_set_that_is_dependent_only_as_a_whole_takes_the_general_solution():
    """Kahan's matrix: no tangent is close to the span of those before it, yet its condition is huge."""
    sine, cosine = 0.6, 0.8
    V = torch.eye(30).double() - cosine * torch.ones(30, 30).double().triu(1)
    V = (torch.diag(sine ** torch.arange(30.0).double()) @ V).mT
    gradient = sample(1, 30, seed=1).mT
    assert projection_if_well_conditioned(V, V @ gradient).isnan().all()


def test_general_solution_is_taken_only_where_it_is_needed():
    V = sample(12, 8).reshape(4, 3, 8)
    V[2, 1] = V[2, 0]
    fast = projection_if_well_conditioned(V, V.sum(-1, keepdim=True))
    assert fast.isnan().flatten(1).all(1).tolist() == [False, False, True, False]
    general = projection(V, V.sum(-1, keepdim=True))
    assert torch.equal(general[[0, 1, 3]], fast[[0, 1, 3]])
    assert general.isfinite().all()


def test_float32_projection():
    V, gradient = sample(16, 500).float(), sample(1, 500, seed=1).mT
    assert relative_error(estimate(projection, V, gradient.float()).double(), project(V.double(), gradient)) < 1e-5


def test_sum_is_k_times_mean_and_the_definition():
    V, slopes = sample(4, 9), sample(4, 2, seed=1)
    torch.testing.assert_close(sum_(V, slopes), 4 * mean(V, slopes))
    by_definition = sum(slope.item() * tangent for tangent, slope in zip(V, slopes[:, 0], strict=True))
    torch.testing.assert_close((V.mT @ sum_(V, slopes))[:, 0], by_definition)


def test_sum_over_the_standard_basis_is_the_gradient():
    V = standard_basis((9, 9), torch.Generator().manual_seed(0), torch.float64)
    gradient = sample(1, 9, seed=1).mT
    assert torch.equal(estimate(sum_, V, gradient), gradient)


@pytest.mark.parametrize("name", AGGREGATIONS)
@pytest.mark.parametrize("n", [64, 10])
def test_leading_indices_are_independent_bit_for_bit(name, n):
    V = sample(5 * 16, n).reshape(5, 16, n)
    slopes = sample(5 * 16, 1, seed=1).reshape(5, 16, 1)
    together = AGGREGATIONS[name](V, slopes)
    assert torch.equal(together[1:4], AGGREGATIONS[name](V[1:4], slopes[1:4]))
    grouped = AGGREGATIONS[name](V.reshape(5, 1, 16, n), slopes.reshape(5, 1, 16, 1))
    assert grouped.shape == (5, 1, 16, 1)
    torch.testing.assert_close(grouped[:, 0], together)
