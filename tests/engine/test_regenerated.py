"""Regenerated tangents: the same whatever part of them is asked for, and the same estimates as with stored ones."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from frog_cli.engine import regenerated
from frog_cli.engine.memory import peak_memory
from frog_cli.engine.regenerated import RegeneratedTangents, estimate_from_regenerated_weights
from frog_cli.gradients import (
    AGGREGATIONS,
    TANGENTS,
    ForwardGradient,
    estimate_from_weights,
)
from tests.cases import MODELS, case, project, relative_error, sample_loss, weight_gradient

METHOD = ForwardGradient(k=5, tangents=TANGENTS["normal"], measure="forward", aggregation=AGGREGATIONS["projection"])


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def flat(gradients) -> torch.Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients])


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(regenerated, "BLOCK", 8)


def drawn(k: int = 6, n: int = 37, sampler: str = "normal", source: torch.Generator | None = None):
    return RegeneratedTangents(TANGENTS[sampler], k, n, source or generator(), torch.float64)


@pytest.mark.parametrize("sampler", ["normal", "rademacher"])
def test_all_parts_belong_to_the_same_tangents(sampler):
    V = drawn(sampler=sampler)
    whole = V.rows(0, 6)
    assert whole.shape == (6, 37)
    assert torch.equal(torch.cat([V.rows(4, 6), V.rows(0, 4)]), whole[[4, 5, 0, 1, 2, 3]])
    torch.testing.assert_close(V.gram(), whole @ whole.mT, rtol=1e-13, atol=1e-13)
    coefficients = torch.randn(6, dtype=torch.float64, generator=generator(1))
    torch.testing.assert_close(V.combined(coefficients), coefficients @ whole, rtol=1e-13, atol=1e-13)


def test_tangents_follow_from_the_state_of_the_generator_which_moves_on():
    source = generator()
    first, second = drawn(source=source).rows(0, 6), drawn(source=source).rows(0, 6)
    source.manual_seed(0)
    assert torch.equal(drawn(source=source).rows(0, 6), first)
    assert abs(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1]) < 0.3


def test_no_two_blocks_are_alike_and_all_entries_are_standard_normal():
    V = drawn(k=100, n=2000).rows(0, 100)
    blocks = V.reshape(-1, 8)
    assert len(blocks.unique(dim=0)) == len(blocks)
    assert abs(V.mean()) < 4 / V.numel() ** 0.5
    assert abs(V.var() - 1) < 4 * (2 / V.numel()) ** 0.5
    correlations = torch.corrcoef(V) - torch.eye(100)
    assert correlations.abs().max() < 5 / 2000**0.5


def test_no_two_blocks_have_the_same_state_however_many_there_are():
    """A CPU's generator keeps 32 bits of a seed: seeds that differ by 2^32 are one to it, states are not."""
    assert torch.equal(torch.rand(9, generator=generator(7)), torch.rand(9, generator=generator(7 + 2**32)))
    V = RegeneratedTangents(TANGENTS["normal"], 2048, 2**22, generator(), torch.float32)
    rows, first = [], slice(0, regenerated.BLOCK)
    for row in (0, 1024, 1025, 2047):  # 1024 rows of 2^22 entries are 2^32
        rows.append(V._drawn(row, first))
    assert all(not torch.equal(rows[i], rows[j]) for i in range(4) for j in range(i))

    source, largest = torch.Generator(), 2**48 // 2**14
    numbers = {0, 1, largest - 1, *(2**power for power in range(35)), *(2**power + 1 for power in range(35))}
    numbers |= set(torch.randint(largest, (2000,), generator=generator(1)).tolist())
    keys = [bytes(16), bytes(15) + b"\x01"]
    states = {
        regenerated.seeded(source, key, number).get_state().numpy().tobytes() for key in keys for number in numbers
    }
    assert len(states) == len(keys) * len(numbers)
    first_draws = {torch.rand(2, generator=regenerated.seeded(source, keys[0], number)) for number in numbers}
    assert len({tuple(draw.tolist()) for draw in first_draws}) == len(numbers)


@pytest.mark.parametrize("chunk_size", [None, 1, 2, 5])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("name", MODELS)
def test_estimates_are_those_of_the_same_tangents_stored(name, aggregation, chunk_size):
    model, images, labels = case(name)
    method = replace(METHOD, aggregation=AGGREGATIONS[aggregation], chunk_size=chunk_size)
    V = drawn(5, sum(parameter.numel() for parameter in model.parameters())).rows(0, 5)
    stored = replace(method, tangents=lambda *_: V)
    found, expected = (
        estimate(model, sample_loss, images, labels, generator())
        for estimate in (
            partial(estimate_from_regenerated_weights, method),
            partial(estimate_from_weights, stored),
        )
    )
    assert torch.equal(found.loss, expected.loss)
    assert relative_error(flat(found.gradients), flat(expected.gradients)) < 1e-10


def test_projection_is_orthogonal_also_with_more_tangents_than_dimensions():
    model, images, labels = case("logistic_regression")
    gradient = weight_gradient(model, images, labels)
    n = len(gradient)
    for k in (3, n + 4):
        V = drawn(k, n).rows(0, k)
        found = estimate_from_regenerated_weights(
            replace(METHOD, k=k, chunk_size=3), model, sample_loss, images, labels, generator()
        )
        expected = project(V, gradient.unsqueeze(1)).squeeze(1)
        assert relative_error(flat(found.gradients), expected) < 1e-6


def test_statistics_of_batch_normalisation_change_once():
    model, images, labels = case("mlp")
    model.insert(1, torch.nn.BatchNorm1d(7).double())
    estimate_from_regenerated_weights(replace(METHOD, chunk_size=2), model, sample_loss, images, labels, generator())
    assert model[1].num_batches_tracked == 1


def test_memory_does_not_grow_with_the_number_of_tangents(monkeypatch):
    monkeypatch.setattr(regenerated, "BLOCK", 2**10)
    model = torch.nn.Sequential(torch.nn.Linear(300, 500), torch.nn.ReLU(), torch.nn.Linear(500, 10))
    batch = torch.randn(16, 300), torch.randint(10, (16,))

    def peak(estimator, k: int) -> int:
        method = replace(METHOD, k=k, chunk_size=4)
        step = partial(estimator, method, model, sample_loss, *batch, generator())
        return peak_memory(step, torch.device("cpu"))

    assert peak(estimate_from_regenerated_weights, 64) <= 1.3 * peak(estimate_from_regenerated_weights, 4)
    assert peak(estimate_from_weights, 64) > 8 * peak(estimate_from_weights, 4)
