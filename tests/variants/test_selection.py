from __future__ import annotations

import pytest
import torch

from frog_cli.gradients.aggregation import mean
from frog_cli.gradients.tangents import normal
from frog_cli.variants.selection import max_, top_mean


def case(k: int, n: int, leading: tuple[int, ...] = ()) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return tangents of very different lengths, the slopes along them, and the gradients of three functions."""
    generator = torch.Generator().manual_seed(0)
    V = normal((*leading, k, n), generator, torch.float64) * torch.logspace(-2, 2, k).double().unsqueeze(1)
    gradients = normal((*leading, n, 3), generator, torch.float64)
    return V, V @ gradients, gradients


def chosen_one_by_one(V, gradient, count: int, corrected: bool) -> torch.Tensor:
    """Return the mean of the forward gradients along the tangents of the largest cosine to a gradient, in a loop."""
    cosines = [abs(float(v @ gradient) / float(v.norm() * gradient.norm())) for v in V]
    best = sorted(range(len(V)), key=lambda index: -cosines[index])[:count]
    parts = [(V[index] @ gradient) * V[index] / (V[index].norm() if corrected else 1) for index in best]
    return torch.stack(parts).sum(0) / len(best)


@pytest.mark.parametrize("corrected", [False, True])
@pytest.mark.parametrize("steepest", [1, 2, 5, 40])
@pytest.mark.parametrize(("k", "n"), [(1, 9), (5, 9), (9, 4)])
def test_top_mean_is_the_mean_over_the_largest_cosines(k, n, steepest, corrected):
    V, slopes, gradients = case(k, n)
    estimates = V.mT @ top_mean(V, slopes, steepest=steepest, corrected=corrected)
    for column in range(3):
        expected = chosen_one_by_one(V, gradients[:, column], steepest, corrected)
        torch.testing.assert_close(estimates[:, column], expected)


@pytest.mark.parametrize("corrected", [False, True])
def test_max_has_one_coefficient_the_largest_cosines(corrected):
    V, slopes, gradients = case(6, 9, (2,))
    coefficients = max_(V, slopes, corrected=corrected)
    assert torch.equal((coefficients != 0).sum(-2), torch.ones(2, 3, dtype=torch.int64))
    for index in range(2):
        expected = chosen_one_by_one(V[index], gradients[index, :, 1], 1, corrected)
        torch.testing.assert_close(V[index].mT @ coefficients[index, :, 1], expected)


def test_top_mean_of_all_is_the_mean():
    V, slopes, _ = case(6, 9)
    torch.testing.assert_close(top_mean(V, slopes, steepest=6), mean(V, slopes))


def test_a_tangent_of_zero_is_never_taken_and_makes_nothing_undefined():
    V, slopes, _ = case(3, 9)
    V = torch.cat([torch.zeros(1, 9).double(), V])
    slopes = torch.cat([torch.zeros(1, 3).double(), slopes])
    for corrected in (False, True):
        found = top_mean(V, slopes, steepest=3, corrected=corrected)
        assert torch.equal(found[0], torch.zeros(3).double())
        assert found.isfinite().all()


def test_corrected_estimates_from_normal_tangents_are_as_long_as_the_steepest_slope():
    draws, k, n = 4000, 16, 400
    V = normal((draws, k, n), torch.Generator().manual_seed(0), torch.float64)
    gradient = torch.nn.functional.normalize(torch.ones(n, 1).double(), dim=0)
    lengths = (V.mT @ max_(V, V @ gradient, corrected=True)).norm(dim=1)
    # the expected largest of 16 absolute normal numbers, by numerical integration
    x = torch.linspace(0, 12, 200_001).double()
    expected = torch.trapezoid(1 - torch.erf(x / 2**0.5) ** k, x)
    assert abs(lengths.mean() - expected) < 0.02
