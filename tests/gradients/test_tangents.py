from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from frog_cli.gradients import TANGENTS
from frog_cli.gradients.tangents import cone, normal, normalised, normalised_cone, rademacher, standard_basis

SHAPE = (3, 5, 8)
SAMPLERS = {
    **{name: function for name, function in TANGENTS.items() if "cone" not in name},
    "cone": partial(cone, angle=30),
    "normalised_cone": partial(normalised_cone, angle=30),
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_dtype_and_seed(name, dtype):
    first, again, other = (SAMPLERS[name](SHAPE, generator(seed), dtype) for seed in (0, 0, 1))
    assert first.shape == SHAPE
    assert first.dtype == dtype
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("sampler", [normal, rademacher])
def test_entries_have_zero_mean_and_unit_variance(sampler):
    entries = sampler((200_000, 1), generator(), torch.float64)
    assert abs(entries.mean()) < 4 / 200_000**0.5
    assert abs(entries.square().mean() - 1) < 4 * (2 / 200_000) ** 0.5


def test_rademacher_entries_are_signs():
    assert set(rademacher((50, 50), generator(), torch.float32).flatten().tolist()) == {-1.0, 1.0}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_rademacher_entries_are_independent_in_a_word_and_beside_each_other(dtype):
    rows = 20_000
    words = rademacher((rows, 128), generator(), dtype).double()  # two words of 64 bits in a row
    correlations = words.mT @ words / rows - torch.eye(128)
    assert correlations.abs().max() < 5.5 / rows**0.5  # of 8128 standard normal values the largest is about 4
    assert words.mean(0).abs().max() < 4.5 / rows**0.5
    following = (words[:-1] * words[1:]).mean(0)
    assert following.abs().max() < 4.5 / rows**0.5


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (1, 64), (2, 5, 13), (1, 65)])
def test_rademacher_entries_need_not_fill_whole_words(shape):
    tangents = torch.stack([rademacher(shape, generator(seed), torch.float32) for seed in range(300)])
    assert tangents.shape[1:] == shape
    assert tangents.mean(0).abs().max() < 4.5 / 300**0.5


def test_normalised_tangents_have_unit_length():
    lengths = normalised(SHAPE, generator(), torch.float64).norm(dim=-1)
    torch.testing.assert_close(lengths, torch.ones(3, 5, dtype=torch.float64))


@pytest.mark.parametrize(("k", "n"), [(3, 8), (8, 8), (11, 4)])
def test_standard_basis_takes_every_coordinate_before_it_repeats_one(k, n):
    tangents = standard_basis((k, n), generator(), torch.float64)
    assert torch.equal(tangents.sum(-1), torch.ones(k, dtype=torch.float64))
    assert set(tangents.unique().tolist()) <= {0.0, 1.0}
    counts = tangents.sum(0)
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("angle", [1, 15, 45, 90])
@pytest.mark.parametrize("n", [2, 3, 64])
def test_cone_has_the_angle_and_keeps_the_lengths(angle, n):
    tangents = cone((20, n), generator(), torch.float64, angle=angle)
    plain = normal((20, n), generator(), torch.float64)
    cosines = torch.nn.functional.cosine_similarity(tangents[1:], tangents[:1])
    torch.testing.assert_close(cosines.acos().rad2deg(), torch.full((19,), float(angle)).double())
    torch.testing.assert_close(tangents.norm(dim=-1), plain.norm(dim=-1))
    assert torch.equal(tangents[0], plain[0])


def test_cone_rotates_in_the_plane_of_both():
    tangents = cone((4, 6), generator(), torch.float64, angle=40)
    plain = normal((4, 6), generator(), torch.float64)
    for rotated, original in zip(tangents[1:], plain[1:], strict=True):
        assert torch.linalg.matrix_rank(torch.stack([plain[0], original, rotated])) == 2


@pytest.mark.parametrize("angle", [15, 45, 90])
def test_normalised_cone_has_the_angle_and_length_one(angle):
    tangents = normalised_cone((20, 64), generator(), torch.float64, angle=angle)
    gram = tangents @ tangents.T
    assert torch.allclose(gram.diagonal(), torch.ones(20, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(
        gram[0, 1:], torch.full((19,), math.cos(math.radians(angle)), dtype=torch.float64), atol=1e-12
    )


def test_cone_refuses_one_dimension():
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        cone((2, 1), generator(), torch.float64, angle=45)
