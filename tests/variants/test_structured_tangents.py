from __future__ import annotations

import numpy as np
import pytest
import torch

from frog_cli.gradients.tangents import normal, rademacher
from frog_cli.variants.structured_tangents import antithetic, hadamard, orthogonal, sphere

SHAPES = [(1, 1), (1, 7), (3, 8), (8, 8), (5, 3), (11, 4), (2, 3, 4, 6)]


def sylvester(order: int) -> np.ndarray:
    """Return the Hadamard matrix of an order that is a power of two, by Sylvester's doubling."""
    H = np.ones((1, 1))
    while len(H) < order:
        H = np.block([[H, H], [H, -H]])
    return H


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("sampler", [sphere, antithetic, orthogonal, hadamard])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_shape_and_type(sampler, shape, dtype):
    V = sampler(shape, generator(), dtype)
    assert V.shape == shape
    assert V.dtype == dtype
    assert V.isfinite().all()


@pytest.mark.parametrize("sampler", [sphere, orthogonal])
def test_lengths_are_the_root_of_n(sampler):
    lengths = sampler((6, 5, 40), generator(), torch.float64).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.full((6, 5), 40**0.5).double())


def test_sphere_has_the_directions_of_normal_tangents():
    V, plain = (sampler((4, 9), generator(), torch.float64) for sampler in (sphere, normal))
    cosines = torch.nn.functional.cosine_similarity(V, plain)
    torch.testing.assert_close(cosines, torch.ones(4).double())


@pytest.mark.parametrize("k", [2, 6, 7])
def test_antithetic_tangents_come_in_opposite_pairs(k):
    V = antithetic((2, k, 9), generator(), torch.float64)
    pairs = k // 2
    assert torch.equal(V[:, 0 : 2 * pairs : 2], -V[:, 1 : 2 * pairs : 2])
    assert torch.equal(V[:, ::2], normal((2, (k + 1) // 2, 9), generator(), torch.float64))


@pytest.mark.parametrize(("k", "n"), [(1, 9), (5, 9), (9, 9), (16, 3000)])
def test_orthogonal_tangents_are_orthogonal(k, n):
    V = orthogonal((3, k, n), generator(), torch.float64)
    torch.testing.assert_close(V @ V.mT, (n * torch.eye(k)).double().expand(3, k, k), atol=1e-9, rtol=0)


def test_orthogonal_tangents_span_what_normal_ones_span():
    V, plain = (sampler((4, 9), generator(), torch.float64) for sampler in (orthogonal, normal))
    assert np.linalg.matrix_rank(np.concatenate([V.numpy(), plain.numpy()])) == 4


@pytest.mark.parametrize(("k", "n"), [(4, 9), (5, 9), (16, 3000)])
def test_orthogonal_tangents_are_a_gram_schmidt_of_normal_ones_but_for_signs(k, n):
    V, plain = (sampler((k, n), generator(), torch.float64).numpy() for sampler in (orthogonal, normal))
    basis = []
    for row in plain:
        rest = row - sum((row @ one) * one for one in basis) if basis else row
        basis.append(rest / np.linalg.norm(rest))
    products = np.stack(basis) @ V.T / n**0.5
    np.testing.assert_allclose(np.abs(products), np.eye(k), atol=1e-9)


def test_orthogonal_tangents_are_orthogonal_to_single_precision_in_many_dimensions():
    V = orthogonal((16, 100_000), generator(), torch.float32)
    assert (V @ V.mT / 100_000 - torch.eye(16)).abs().max() < 2e-6


@pytest.mark.parametrize(("k", "n"), [(5, 2), (11, 4)])
def test_beyond_n_further_orthogonal_sets_follow(k, n):
    V = orthogonal((k, n), generator(), torch.float64)
    for one in V.split(n):
        torch.testing.assert_close(one @ one.mT, (n * torch.eye(len(one))).double())
    first, second, *_ = V.split(n)
    assert not torch.allclose(first.abs(), second.abs())


@pytest.mark.parametrize("k", [1, 2, 3, 7, 8, 16, 29])
@pytest.mark.parametrize("n", [1, 8, 30, 64])
def test_hadamard_tangents_are_rows_of_sylvesters_matrix_with_signs_of_the_columns(k, n):
    order = 2 ** int(np.ceil(np.log2(k)))
    rows = np.tile(sylvester(order), (1, n // order + 1))[:k, :n]
    signs = rademacher((1, n), generator(), torch.float64)
    assert torch.equal(hadamard((k, n), generator(), torch.float64), torch.from_numpy(rows).double() * signs)


def test_hadamard_tangents_are_orthogonal_if_their_order_divides_n():
    V = hadamard((5, 64), generator(), torch.float64)
    assert torch.equal(V @ V.mT, (64 * torch.eye(5)).double())


@pytest.mark.parametrize("sampler", [sphere, antithetic, orthogonal, hadamard])
def test_the_mean_over_draws_is_the_gradient(sampler):
    draws, k, n = 20_000, 4, 6
    gradient = torch.arange(1.0, n + 1).double()
    V = sampler((draws, k, n), generator(), torch.float64)
    estimates = (V.mT @ (V @ gradient.unsqueeze(-1))).squeeze(-1) / k
    errors = (estimates.mean(0) - gradient) / (estimates.std(0) / draws**0.5).clamp(min=1e-12)
    assert errors.abs().max() < 4.5


def test_orthogonal_tangents_beat_normal_ones():
    """The variance of the mean has a closed form for both: with ‖g‖ = 1 it is (n + 1) / k, and n / k - 1."""
    draws, k, n = 20_000, 4, 8
    gradient = torch.nn.functional.normalize(torch.arange(1.0, n + 1).double(), dim=0)
    for sampler, expected in ((normal, (n + 1) / k), (orthogonal, n / k - 1)):
        V = sampler((draws, k, n), generator(), torch.float64)
        squares = ((V.mT @ (V @ gradient.unsqueeze(-1))).squeeze(-1) / k - gradient).square().sum(1)
        assert abs(squares.mean() - expected) < 4 * squares.std() / draws**0.5 + 1e-9


@pytest.mark.parametrize(("k", "n"), [(1, 1), (3, 4), (2, 5)])
def test_orthogonal_tangents_have_no_preferred_sign(k, n):
    V = orthogonal((4000, k, n), generator(), torch.float64)
    assert (V.mean(0) / (V.std(0) / 4000**0.5)).abs().max() < 4.5
