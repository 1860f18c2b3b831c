"""Approximation quality against theory: Fig. 3 and the left half of Fig. 5 of arXiv 2410.17764."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from frog_cli.gradients import AGGREGATIONS, TANGENTS
from frog_cli.studies.quality import approximate

CPU = torch.device("cpu")
N = 64
SEEDS = range(1000)


def quality(gradient: str, k: int, tangents: str = "normal", angle: float | None = None, n: int = N, seeds=SEEDS):
    options = {} if angle is None else {"angle": angle}
    return approximate(partial(TANGENTS[tangents], **options), AGGREGATIONS[gradient], k, n, seeds, CPU)


@pytest.mark.parametrize("k", range(1, 129))
def test_projection_keeps_min_k_n_over_n_of_the_squared_length(k):
    seeds = SEEDS if k <= N else SEEDS[:100]  # more tangents than dimensions: the gradient itself, whatever the seed
    cosine, ratio = quality("projection", k, seeds=seeds)
    squares = cosine.square()
    standard_error = squares.std() / len(seeds) ** 0.5
    assert abs(squares.mean() - min(k, N) / N) <= 4 * standard_error + 1e-12
    # the projection's length is the gradient's times the cosine
    torch.testing.assert_close(ratio, cosine, rtol=1e-8, atol=1e-8)
    if k > N:
        torch.testing.assert_close(cosine, torch.ones_like(cosine), rtol=0, atol=1e-12)


@pytest.mark.parametrize("tangents", ["rademacher", "standard_basis"])
def test_an_estimate_of_zero_has_no_direction_and_counts_as_cosine_zero(tangents):
    cosine, ratio = quality("projection", 2, tangents)
    assert cosine.isfinite().all()
    standard_error = cosine.square().std() / len(SEEDS) ** 0.5
    assert abs(cosine.square().mean() - 2 / N) <= 4 * standard_error + 1e-12
    assert torch.equal(cosine == 0, ratio == 0)


@pytest.mark.parametrize("k", [1, 16, 128])
def test_sum_and_mean_have_one_direction_and_lengths_k_apart(k):
    (sum_cosine, sum_ratio), (mean_cosine, mean_ratio) = (quality(name, k) for name in ("sum", "mean"))
    torch.testing.assert_close(sum_cosine, mean_cosine, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(sum_ratio, k * mean_ratio, rtol=1e-12, atol=0)


def test_single_tangent_quality_in_closed_form():
    """For k = 1 the cosine is |v_1| / |v|: its mean is the mean of |cos| on the sphere, the ratio is |v| |v_1|."""
    cosine, ratio = quality("mean", 1, seeds=range(20_000))
    expected = math.exp(math.lgamma(N / 2) - math.lgamma((N + 1) / 2)) / math.sqrt(math.pi)
    assert abs(cosine.mean() - expected) < 4 * cosine.std() / len(cosine) ** 0.5
    assert abs(ratio.square().mean() - (N + 2)) < 4 * ratio.square().std() / len(ratio) ** 0.5


@pytest.mark.parametrize("k", [1, 4, 64])
def test_mean_length_in_closed_form(k):
    """E|mean|^2 = (n + k + 1) / k |gradient|^2 for normal tangents, and (1 + (k - 1) / n) / (k n) of unit length."""
    for tangents, expected in (("normal", (N + k + 1) / k), ("normalised", (1 + (k - 1) / N) / (k * N))):
        squares = quality("mean", k, tangents, seeds=range(4000))[1].square()
        assert abs(squares.mean() - expected) < 4 * squares.std() / len(squares) ** 0.5


def test_the_cone_leaves_the_projection_unchanged_and_degrades_the_mean():
    plain, _ = quality("projection", 16)
    means = []
    for angle in (15.0, 30.0, 45.0, 60.0, 75.0, 90.0):
        projected, _ = quality("projection", 16, "cone", angle)
        torch.testing.assert_close(projected, plain, rtol=1e-9, atol=1e-9)
        means.append(quality("mean", 16, "cone", angle)[0].mean().item())
    assert means == sorted(means)
    assert means[0] < 0.35 * means[-1]
    single = quality("mean", 1)[0].mean()
    assert means[0] < 1.5 * single  # at 15 degrees 16 tangents are hardly better than one
