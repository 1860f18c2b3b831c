"""The same losses by one, two, three and four ranks: bitwise where slopes are exchanged, else but for rounding."""

from __future__ import annotations

import json
from functools import cache
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch

from frog_cli.engine.batch_gradients import fast_forward_gradient, forward_gradient_over_ranks
from frog_cli.gradients import AGGREGATIONS, TANGENTS, ForwardGradient
from frog_cli.gradients.activities import activities
from frog_cli.gradients.weights import weights
from frog_cli.models.resnet18 import resnet18
from frog_cli.ranks.grid import Grid
from frog_cli.ranks.ranks import Ranks, hash_of_bits
from frog_cli.ranks.sharing import own_share
from frog_cli.studies.step_costs import multiplications
from tests.cases import sample_loss
from tests.ranks.launch import run

DIGITS, CIFAR10 = (1, 8, 8), (3, 32, 32)
MLP = "model=mlp model.width=24 batch_size=64 learning_rate=0.05", DIGITS
METHODS = [
    f"gradient={gradient} gradient.perturb={perturb}"
    for gradient, perturb in product(("projection", "mean"), ("weights", "activities"))
]


@cache
def losses(
    ranks: int,
    more: str,
    network: tuple[str, tuple[int, ...]] = MLP,
    tangents: tuple[int, int] = (4, 1),
    steps: int = 6,
) -> list[list[float]]:
    """Return the losses of some steps by each method, and the sum of all weights at the end.

    Args:
        ranks: how many processes.
        more: options beside those of the network and the methods.
        network: its options, and the shape of an image.
        tangents: how many, and how many in a chunk.
        steps: how many.
    """
    options, image = network
    k, chunk = tangents
    chunks = f"gradient.k={k} gradient.chunk_size={chunk}"
    return found_by(ranks, [[f"{options} {method} {chunks} {more}", image, steps] for method in METHODS])


def found_by(ranks: int, asked: list[list[object]], limit: float = 500) -> list[list[float]]:
    with TemporaryDirectory() as folder:
        words = ["-m", "tests.ranks.losses", json.dumps(asked)]
        first, *others = run(ranks, words, Path(folder), limit)
    assert [one.status for one in (first, *others)] == [0] * ranks, first.stderr
    assert all(one.stdout == "" for one in others)
    return json.loads(first.stdout)


@pytest.mark.first
@pytest.mark.parametrize("ranks", [2, pytest.param(1, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow)])
def test_slopes_are_those_of_one_process_to_the_last_bit(ranks):
    alone = losses(1, "")
    assert all(one[0] > one[-2] for one in alone)  # they do train
    assert losses(ranks, "parallel=tangents") == alone


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ranks", "more"),
    [
        (3, "parallel=tangents"),  # which the chunks do not divide
        (2, "parallel=tangents exchange=steps"),
        (3, "parallel=tangents exchange=steps"),
        (2, "parallel=batch"),
        (3, "parallel=batch"),
        (4, "parallel=[2,2]"),
    ],
)
def test_other_shares_round_otherwise_at_most(ranks, more):
    for shared, alone in zip(losses(ranks, more), losses(1, ""), strict=True):
        assert shared == pytest.approx(alone, rel=1e-5)


REGENERATED = "tangents=regenerated gradient.perturb=weights gradient.k=6"


SHARED = {
    "gradient.perturb=weights gradient.k=3": ["tangents", "tangents exchange=steps", "batch"],
    "gradient.k=3": ["tangents", "tangents exchange=steps", "batch"],
    "gradient.k=1": ["tangents", "tangents exchange=steps"],  # one rank has no tangent
    f"{REGENERATED} gradient=projection": ["tangents", "batch", "tangents exchange=steps"],
    f"{REGENERATED} gradient=mean": ["tangents exchange=steps", "[2,1]"],
    "gradient=backprop": ["batch"],
    "gradient=fomoh_kd gradient.k=3 gradient.eigenvalues=absolute learning_rate=0.02": ["batch"],
    "tangents=local tangents.depth=1 tangents.random=2": ["batch"],
    "gradient.k=3 learning_rate=curvature": ["tangents", "batch"],
    "gradient.measure=simulated gradient.k=3": ["tangents", "batch"],
}


@pytest.mark.first
def test_whatever_two_ranks_share_rounds_otherwise_at_most():
    options = "model=mlp model.width=12 batch_size=64 learning_rate=0.05"
    alone = found_by(1, [[f"{options} {method}", DIGITS, 5] for method in SHARED])
    named = [(number, f"{method} parallel={one}") for number, method in enumerate(SHARED) for one in SHARED[method]]
    found = found_by(2, [[f"{options} {name}", DIGITS, 5] for _, name in named])
    for (number, name), shared in zip(named, found, strict=True):
        assert shared == pytest.approx(alone[number], rel=1e-5), name


def test_an_aggregation_that_depends_on_the_number_of_samples_sees_that_of_each_batch(tmp_path):
    ideas = tmp_path / "my_ideas.py"
    ideas.write_text(BY_SAMPLES)
    options = (
        f"model=mlp model.width=8 batch_size=64 learning_rate=0.01 ideas=[{ideas}] gradient=by_samples gradient.k=2"
    )
    alone, shared = found_by(
        1, [[options, DIGITS, 5], [f"{options} gradient.chunk_size=1 parallel=tangents", DIGITS, 5]]
    )
    assert shared == pytest.approx(alone, rel=1e-6)


BY_SAMPLES = """
from frog_cli import ideas

@ideas.aggregation
def by_samples(tangents, slopes):
    "The mean, times the number of samples."
    return slopes / tangents.shape[-2] * slopes.shape[-1]
"""


@pytest.mark.parametrize("space", [weights, activities])
def test_recordings_of_parts_multiply_no_more_than_that_of_the_whole(space):
    torch.manual_seed(0)
    model = resnet18(CIFAR10, 3, norm="group", width=8)
    images, labels = torch.randn(4, *CIFAR10), torch.arange(4) % 3
    method = ForwardGradient(k=3, tangents=TANGENTS["normal"], measure="forward", aggregation=AGGREGATIONS["mean"])
    counts = []
    for gradient in (
        fast_forward_gradient(method, space(model, sample_loss), model),
        forward_gradient_over_ranks(method, space(model, sample_loss), model, Grid()),
    ):
        gradient(images, labels, torch.Generator().manual_seed(0))
        counts.append(multiplications(lambda: gradient(images, labels, torch.Generator().manual_seed(0))))  # noqa: B023
    assert counts[1] <= counts[0]


def test_weights_that_differ_in_one_bit_are_found():
    weights = torch.randn(3 * 2**20)
    others = weights.clone()
    others[-7] = torch.nextafter(others[-7], torch.tensor(9.0))
    swapped = weights.clone()
    swapped[[5, 2**20 + 5]] = swapped[[2**20 + 5, 5]]
    hashes = {int(hash_of_bits(one)) for one in (weights, weights.clone(), others, swapped)}
    assert len(hashes) == 3


def test_a_rank_without_samples_or_tangents_takes_the_first_for_nothing():
    assert [own_share(Ranks(rank, 3), 2) for rank in range(3)] == [(slice(0, 1), 0), (slice(0, 1), 1), (slice(1, 2), 1)]


FULL_SIZE = {
    "mlp": ("model=mlp model.width=256 batch_size=64 learning_rate=0.05", DIGITS),
    "resnet18": (
        # with longer steps training itself lets rounding grow; with smaller images two numbers would be a group's all
        "model=resnet18 model.norm=group model.width=8 batch_size=64 learning_rate=0.00001 data=cifar10",
        (3, 64, 64),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("model", FULL_SIZE)
def test_twenty_steps_of_networks_of_a_common_size(model):
    size = (FULL_SIZE[model], (16, 4), 20)
    alone = losses(1, "", *size)
    for ranks in (1, 2, 4):
        assert losses(ranks, "parallel=tangents", *size) == alone
    for ranks, more in ((3, ""), (2, "exchange=steps"), (3, "exchange=steps"), (4, "exchange=steps")):
        for shared, one in zip(losses(ranks, f"parallel=tangents {more}", *size), alone, strict=True):
            assert shared == pytest.approx(one, rel=1e-5)
