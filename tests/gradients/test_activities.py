"""The space of activities against reverse mode and an independent projection."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from frog_cli.gradients import (
    TANGENTS,
    estimate_from_activities,
)
from frog_cli.gradients.activities import activity_sizes
from tests.cases import MODELS, activity_gradient, case, project, relative_error, sample_loss, weight_gradient
from tests.spaces import (
    METHOD,
    activities,
    flat,
    generator,
    slopes_of_both_measurements,
    weights_from_activities,
)


@pytest.mark.parametrize("measure", ["forward", "simulated"])
@pytest.mark.parametrize("k", [1, 5, 40])
@pytest.mark.parametrize("name", MODELS)
def test_projection_in_activity_space(name, k, measure):
    model, images, labels = case(name)
    gradient = activity_gradient(model, images, labels).mT  # [n, B]
    V = TANGENTS["normal"]((k, len(gradient)), generator(), torch.float64)
    projected = project(V, gradient)
    assert (projected.norm(dim=0) <= gradient.norm(dim=0) * (1 + 1e-12)).all()
    expected = weights_from_activities(model, images, projected.mT)
    estimate = activities(replace(METHOD, k=k, measure=measure), name)
    assert relative_error(flat(estimate.gradients), expected) < 1e-10
    torch.testing.assert_close(estimate.loss, sample_loss(model(images), labels).mean().detach(), rtol=1e-13, atol=0)


def test_simulated_is_forward_for_each_sample_of_activity_space():
    model, images, labels = case("mlp")
    seen = slopes_of_both_measurements(model, images, labels)
    assert seen["forward"].shape == (5, len(images))
    assert relative_error(seen["simulated"], seen["forward"]) < 1e-12


def test_activity_space_needs_layers():
    model, images, labels = case("mlp")
    with pytest.raises(TypeError, match=r"Sequential of layers, not a Linear"):
        estimate_from_activities(METHOD, model[2][0], sample_loss, images, labels, generator())


@pytest.mark.filterwarnings("ignore::frog_cli.gradients.CoupledSamplesWarning")
def test_forward_slopes_of_activities_are_no_estimate_with_batch_normalisation_and_are_with_group_normalisation():
    """With k = n and the standard basis, where nothing is random: only the sums of the slopes over the batch agree."""
    cosines = {}
    for norm in (torch.nn.BatchNorm1d(7), torch.nn.GroupNorm(1, 7), torch.nn.LayerNorm(7)):
        model, images, labels = case("mlp", batch=8)
        model.insert(1, norm.double())
        torch.nn.init.normal_(norm.weight)
        name = type(norm).__name__
        n = sum(activity_sizes(model, images))
        for measure in ("forward", "simulated"):
            method = replace(METHOD, k=n, tangents=TANGENTS["standard_basis"], measure=measure)
            found = flat(estimate_from_activities(method, model, sample_loss, images, labels, generator()).gradients)
            expected = weight_gradient(model, images, labels)
            cosines[name, measure] = torch.nn.functional.cosine_similarity(found, expected, dim=0).item()
        seen = slopes_of_both_measurements(model, images, labels)
        assert relative_error(seen["simulated"].sum(1), seen["forward"].sum(1)) < 1e-10
        assert (relative_error(seen["simulated"], seen["forward"]) < 1e-10) == (name != "BatchNorm1d")
    assert cosines.pop(("BatchNorm1d", "forward")) < 0.9
    assert min(cosines.values()) > 1 - 1e-12


def without_parameters():
    """Return a model whose first and third layers have none."""
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(16, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3)
    )  # fmt: skip


def in_place():
    """Return a model with a layer that writes over its input."""
    first = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 5))
    return torch.nn.Sequential(first, torch.nn.ReLU(inplace=True), torch.nn.Linear(5, 3))


@pytest.mark.parametrize("make", [without_parameters, in_place])
@pytest.mark.parametrize("measure", ["forward", "simulated"])
def test_layers_of_any_kind_in_activity_space(make, measure):
    _, images, labels = case("mlp")
    model = make().double()
    n = sum(activity_sizes(model, images))
    method = replace(METHOD, k=n, measure=measure)
    found = flat(estimate_from_activities(method, model, sample_loss, images, labels, generator()).gradients)
    assert relative_error(found, weight_gradient(model, images, labels)) < 1e-9
    model[0].requires_grad_(False)
    estimate_from_activities(method, model, sample_loss, images, labels, generator())


@pytest.mark.parametrize("chunk_size", [None, 2])
def test_dropout_is_one_function_for_all_passes_in_activity_space(chunk_size):
    """The plain pass, every chunk of tangents and the local weight gradients see the same units dropped out."""
    model, images, labels = case("mlp")
    for layer in list(model):
        layer.append(torch.nn.Dropout(0.4))
    found = {}
    for measure in ("forward", "simulated"):
        torch.manual_seed(3)
        method = replace(METHOD, measure=measure, chunk_size=chunk_size)
        found[measure] = estimate_from_activities(method, model, sample_loss, images, labels, generator())
        found[f"{measure} next"] = torch.rand(3)
    assert relative_error(flat(found["forward"].gradients), flat(found["simulated"].gradients)) < 1e-10
    assert torch.equal(found["forward next"], found["simulated next"])


class DropsAlways(torch.nn.Module):
    """Drops out and counts whatever its mode."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls += 1
        return x * torch.nn.functional.dropout(torch.ones_like(x), 0.5)


@pytest.mark.parametrize("chunk_size", [None, 2])
def test_randomness_that_does_not_heed_the_mode_is_one_function_for_all_passes(chunk_size):
    model, images, labels = case("mlp")
    model.insert(1, DropsAlways().double())
    found = {}
    for measure in ("forward", "simulated"):
        torch.manual_seed(3)
        method = replace(METHOD, measure=measure, chunk_size=chunk_size)
        found[measure] = flat(
            estimate_from_activities(method, model, sample_loss, images, labels, generator()).gradients
        )
    assert relative_error(found["forward"], found["simulated"]) < 1e-10
    assert model[1].calls == 2


def test_activity_sizes():
    model, images, _ = case("mlp")
    assert activity_sizes(model, images) == [7, 7, 3]
