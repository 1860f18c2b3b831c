"""Cosine similarity and norm ratio by layer, against plain autograd."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from frog_cli.data.dataset import Split, load
from frog_cli.gradients.space import Estimate
from frog_cli.objectives.approximation import approximation
from frog_cli.objectives.classification import Classification
from frog_cli.runs.identity import identity
from frog_cli.settings.requests import train_request
from tests.cases import sample_loss

CPU = torch.device("cpu")
SMALL = ["data.limit=96", "batch_size=32", "epochs=2", "learning_rate=0.1", "model.width=16"]


def objective(*words: str) -> Classification:
    run = train_request([*SMALL, *words]).runs[0]
    return Classification(run, load(run.data, CPU), CPU)


def test_a_known_estimate_has_the_cosines_and_ratios_of_plain_autograd():
    """The estimate is wrong in another way in each layer, which one number over all layers would not tell."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    images, labels = torch.randn(5, 5).double(), torch.arange(5) % 3
    halves = Split(images[:2], labels[:2]), Split(images[2:], labels[2:])
    noise = [torch.randn_like(parameter) for parameter in model.parameters()]

    def estimate(inputs, targets, generator) -> Estimate:
        loss = cross_entropy(model(inputs), targets)
        true = torch.autograd.grad(loss, list(model.parameters()))
        wrong = [3 * gradient + 0.1 * one for gradient, one in zip(true, noise, strict=True)]
        return Estimate(loss, (*wrong[:-2], -true[-2], -true[-1]))

    found = approximation(model, estimate, sample_loss, halves, torch.Generator())
    assert found["cosine_layer_2"] == pytest.approx(-1)
    assert found["norm_ratio_layer_2"] == pytest.approx(1)
    cosines, ratios = [], []
    for inputs, targets in halves:
        true = torch.autograd.grad(cross_entropy(model(inputs), targets), list(model.parameters()))[:2]
        g = torch.cat([one.flatten() for one in true])
        e = torch.cat([(3 * one + 0.1 * other).flatten() for one, other in zip(true, noise, strict=False)])
        cosines.append(float(e @ g / e.norm() / g.norm()))
        ratios.append(float(e.norm() / g.norm()))
    assert found["cosine_layer_1"] == pytest.approx(sum(cosines) / 2, rel=1e-9)
    assert found["norm_ratio_layer_1"] == pytest.approx(sum(ratios) / 2, rel=1e-9)


def test_backpropagation_is_its_own_approximation():
    found = objective("gradient=backprop", "quality.batches=2").measure()[0]
    for name in ("cosine", "norm_ratio", "cosine_layer_1", "norm_ratio_layer_3"):
        assert found[name] == pytest.approx(1, abs=1e-5)
    assert "cosine_layer_4" not in found


def test_an_estimate_of_zero_has_no_direction():
    """The heads are zero at first, and with them the tangents of all layers but the last."""
    found = objective("tangents=local", "quality.batches=1").measure()[0]
    assert found["cosine_layer_1"] == found["norm_ratio_layer_2"] == 0
    assert found["cosine_layer_3"] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "words",
    [
        ["tangents=local", "tangents.random=2"],
        ["learning_rate=curvature"],
        ["model=resnet18", "model.width=4", "gradient.measure=simulated", "data.limit=32"],
        ["model=vit", "model.patch=2", "model.depth=1", "model.hidden=8", "model.mlp=8", "model.dropout=0.5"],
    ],
)
def test_measuring_it_changes_no_run(words):
    """Neither tangents, dropout, statistics of batches nor heads notice."""
    if words[0].startswith("model="):
        words = [*words, "model.width=4"] if words[0] == "model=resnet18" else words
    base = [word for word in SMALL if not (word.startswith("model.") and words[0].startswith("model="))]

    def rows(*more: str):
        run = train_request([*base, *words, *more]).runs[0]
        one = Classification(run, load(run.data, CPU), CPU)
        found = [*one.measure()]
        for _ in range(run.epochs):
            one.epoch()
            found += one.measure()
        return found, one.summaries()[0]["weights_sha256"]

    without, digest = rows()
    measured, same = rows("quality.batches=2")
    assert same == digest
    assert [{name: row[name] for name in without[0]} for row in measured] == without
    assert all(abs(row["cosine"]) <= 1 + 1e-6 for row in measured)


def test_it_is_part_of_a_runs_identity_only_where_it_is_measured():
    def name(*words: str) -> str:
        return identity(train_request([*SMALL, *words]).runs[0])

    assert name() == name("quality.batches=null") != name("quality.batches=2")


def test_an_estimate_that_is_no_number_has_no_cosine():
    model = nn.Linear(3, 2)

    def estimate(inputs, targets, generator) -> Estimate:
        return Estimate(torch.zeros(()), (torch.full((2, 3), torch.nan), torch.zeros(2)))

    batch = Split(torch.randn(4, 3), torch.arange(4) % 2)
    found = approximation(model, estimate, sample_loss, [batch], torch.Generator())
    assert found["cosine"] != found["cosine"]
