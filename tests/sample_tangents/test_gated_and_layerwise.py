"""Tangents that are gated by ReLUs, and tangents in one layer each, against dense oracles by plain autograd."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from frog_cli.engine.sample_tangents import fast_sample_tangents
from frog_cli.errors import RequestError
from frog_cli.gradients import AGGREGATIONS, TANGENTS
from frog_cli.models.lenet5 import lenet5
from frog_cli.models.resnet18 import resnet18
from frog_cli.models.vit import vit
from frog_cli.sample_tangents.estimate import SampleTangents, estimate_from_sample_tangents
from frog_cli.sample_tangents.gated import ends_with_relu
from frog_cli.sample_tangents.heads import Heads
from frog_cli.settings.requests import train_request
from tests.cases import activity_gradient, case, project, relative_error, sample_loss, weight_gradient
from tests.sample_tangents.test_estimate import network, trained_heads
from tests.spaces import flat, generator, weights_from_activities

ONES = "deep_mlp", "convolutions", "resnet18"


def method(**changes) -> SampleTangents:
    usual = {"random": 5, "tangents": TANGENTS["normal"], "measure": "forward", "aggregation": AGGREGATIONS["mean"]}
    return SampleTangents(**{**usual, **changes})


def outputs_of(model, images) -> list[torch.Tensor]:
    found = [images]
    for layer in model:
        found.append(layer(found[-1]).detach())
    return [one.flatten(1) for one in found[1:]]


def dense_gates(model, images) -> torch.Tensor:
    """Return where an activity has an influence on its layer's weights, by finite changes of nothing but formulas.

    For layers of linear maps with a ReLU: where the ReLU is on. For what else there is: everywhere.
    """
    return torch.cat(
        [
            one != 0 if ends_with_relu(layer) else one == one
            for layer, one in zip(model, outputs_of(model, images), strict=True)
        ],
        1,
    )


@pytest.mark.parametrize("measure", ["forward", "simulated"])
@pytest.mark.parametrize("per", ["batch", "sample"])
@pytest.mark.parametrize("aggregation", ["mean", "projection"])
@pytest.mark.parametrize("name", ONES)
def test_gated_estimates_are_those_of_masked_tangents(name, aggregation, per, measure):
    model, images, labels = network(name)
    asked = method(gated=True, per=per, measure=measure, aggregation=AGGREGATIONS[aggregation])
    found = estimate_from_sample_tangents(asked, model, None, sample_loss, images, labels, generator())
    gradient = activity_gradient(model, images, labels)
    shape = (len(images), 5, gradient.shape[1]) if per == "sample" else (5, gradient.shape[1])
    V = TANGENTS["normal"](shape, generator(), torch.float64).expand(len(images), -1, -1) * dense_gates(
        model, images
    ).unsqueeze(1)
    if aggregation == "mean":
        expected = ((V @ gradient.unsqueeze(2)).mT @ V).squeeze(1) / 5
    else:
        expected = torch.stack([project(v, g.unsqueeze(1)).squeeze(1) for v, g in zip(V, gradient, strict=True)])
    assert relative_error(flat(found.gradients), weights_from_activities(model, images, expected)) < 1e-8


def test_gates_take_nothing_away_from_the_gradient():
    """All unit vectors, gated: exactly the gradient of the weights, though not that of the activities."""
    model, images, labels = case("deep_mlp")
    n = activity_gradient(model, images, labels).shape[1]
    asked = method(random=n, gated=True, tangents=TANGENTS["standard_basis"], aggregation=AGGREGATIONS["sum"])
    found = estimate_from_sample_tangents(asked, model, None, sample_loss, images, labels, generator())
    assert not dense_gates(model, images).all()
    assert relative_error(flat(found.gradients), weight_gradient(model, images, labels)) < 1e-10


def test_gates_lower_the_variance():
    """Where half of a layer is off, half of what a slope is made of is noise for its weights alone."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Sequential(nn.Linear(8, 64), nn.ReLU()), nn.Linear(64, 3)).double()
    images, labels = torch.randn(16, 8).double(), torch.arange(16) % 3
    nn.init.normal_(model[1].weight)
    exact, errors = weight_gradient(model, images, labels), {}
    for gated in (False, True):
        estimate = fast_sample_tangents(method(random=1, per="sample", gated=gated), model, None, sample_loss)
        source = generator()
        squares = [(flat(estimate(images, labels, source).gradients) - exact).square().sum() for _ in range(400)]
        errors[gated] = torch.stack(squares).mean()
    assert errors[True] < 0.7 * errors[False]


def test_which_layers_end_with_a_relu():
    assert [ends_with_relu(layer) for layer in case("deep_mlp")[0]] == [True] * 4 + [False]
    assert [ends_with_relu(layer) for layer in lenet5((1, 28, 28), 10)] == [True] * 4 + [False]
    assert [ends_with_relu(layer) for layer in resnet18((3, 32, 32), 10)] == [True] * 5 + [False]
    assert not any(ends_with_relu(layer) for layer in vit((1, 8, 8), 10))
    assert not ends_with_relu(nn.Sequential(nn.ReLU(), nn.Linear(2, 2)))
    assert not ends_with_relu(nn.LeakyReLU())
    assert not ends_with_relu(nn.Sequential())


class StraightThrough(nn.ReLU):
    """Rounds, and passes derivatives on where it rounds to zero."""

    def forward(self, x):
        h = super().forward(x)
        return h + (h.round() - h).detach()


class Own(nn.Sequential):
    """Does something else than its modules one after the other."""

    def forward(self, x):
        return super().forward(x) + x


def with_hook() -> nn.Module:
    relu = nn.ReLU()
    relu.register_forward_hook(lambda module, inputs, output: output + inputs[0])
    return relu


@pytest.mark.parametrize("module", [StraightThrough, lambda: Own(nn.ReLU()), with_hook])
def test_what_is_derived_from_a_relu_keeps_its_tangents(module):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Sequential(nn.Linear(7, 9), module()), nn.Linear(9, 3)).double()
    assert not ends_with_relu(model[0])
    images, labels = torch.randn(6, 7).double(), torch.arange(6) % 3
    for measure in ("forward", "simulated"):
        asked = method(random=60, gated=True, measure=measure, aggregation=AGGREGATIONS["projection"])
        found = estimate_from_sample_tangents(asked, model, None, sample_loss, images, labels, generator())
        assert relative_error(flat(found.gradients), weight_gradient(model, images, labels)) < 1e-9


def test_a_block_whose_relu_was_replaced_keeps_its_tangents():
    model = resnet18((3, 32, 32), 10, norm="group", width=4)
    assert ends_with_relu(model[1])
    model[1][0][1].relu = nn.SiLU()
    assert not ends_with_relu(model[1])


def test_a_layer_whose_outputs_happen_to_be_zero_keeps_its_tangents():
    """Weights that begin at zero have a gradient nevertheless."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Sequential(nn.Linear(6, 5), nn.ReLU()), nn.Linear(5, 3)).double()
    nn.init.zeros_(model[0].weight)
    nn.init.zeros_(model[0].bias)
    images, labels = torch.randn(6, 4).double(), torch.arange(6) % 3
    asked = method(random=14, gated=True, tangents=TANGENTS["standard_basis"], aggregation=AGGREGATIONS["sum"])
    found = estimate_from_sample_tangents(asked, model, None, sample_loss, images, labels, generator())
    assert weight_gradient(model, images, labels)[:24].any()
    assert relative_error(flat(found.gradients), weight_gradient(model, images, labels)) < 1e-10


def own_gradients(model, heads, images, labels) -> list[torch.Tensor]:
    """Return the gradients `[B, n_l]` of each layer's own losses, that of the last being the loss itself."""
    found = []
    for head, output in zip([*heads, None], outputs_of(model, images), strict=True):
        here = output.clone().requires_grad_()
        seen = here if head is None else head(here / here.norm(dim=1, keepdim=True))
        found += torch.autograd.grad(cross_entropy(seen, labels, reduction="sum"), here)
    return found


@pytest.mark.parametrize("measure", ["forward", "simulated", "greedy"])
@pytest.mark.parametrize("per", ["batch", "sample"])
@pytest.mark.parametrize("aggregation", ["mean", "projection", "sum"])
@pytest.mark.parametrize("name", ["deep_mlp", "convolutions"])
def test_layerwise_estimates_are_those_of_each_layer_alone(name, aggregation, per, measure):
    model, images, labels = network(name)
    heads = trained_heads(model, images) if measure == "greedy" else None
    asked = method(layerwise=True, per=per, measure=measure, aggregation=AGGREGATIONS[aggregation])
    found = estimate_from_sample_tangents(asked, model, heads, sample_loss, images, labels, generator())
    sizes = [one.shape[1] for one in outputs_of(model, images)]
    gradients = list(activity_gradient(model, images, labels).split(sizes, 1))
    if measure == "greedy":
        gradients = own_gradients(model, heads, images, labels)
    shape = (len(images), 5, sum(sizes)) if per == "sample" else (5, sum(sizes))
    V = TANGENTS["normal"](shape, generator(), torch.float64).expand(len(images), -1, -1)
    expected = []
    for v, gradient in zip(V.split(sizes, 2), gradients, strict=True):
        if aggregation == "projection":
            expected.append(
                torch.stack([project(*one).squeeze(1) for one in zip(v, gradient.unsqueeze(2), strict=True)])
            )
        else:
            mean = ((v @ gradient.unsqueeze(2)).mT @ v).squeeze(1) / 5
            expected.append(mean if aggregation == "mean" else 5 * mean)
    expected = torch.cat(expected, 1)
    assert relative_error(flat(found.gradients), weights_from_activities(model, images, expected)) < 1e-8
    torch.testing.assert_close(found.loss, sample_loss(model(images), labels).mean().detach())


def test_as_many_tangents_as_a_layer_has_outputs_are_backpropagation_or_greedy_training_itself():
    model, images, labels = case("mlp")
    heads = trained_heads(model, images)
    projection = AGGREGATIONS["projection"]
    real = estimate_from_sample_tangents(
        method(random=8, layerwise=True, aggregation=projection), model, None, sample_loss, images, labels, generator()
    )
    assert relative_error(flat(real.gradients), weight_gradient(model, images, labels)) < 1e-9
    greedy = method(random=8, layerwise=True, measure="greedy", aggregation=projection)
    found = estimate_from_sample_tangents(greedy, model, heads, sample_loss, images, labels, generator())
    expected = weights_from_activities(model, images, torch.cat(own_gradients(model, heads, images, labels), 1))
    assert relative_error(flat(found.gradients), expected) < 1e-9


@pytest.mark.parametrize("asked", [{"gated": True}, {"layerwise": True}, {"layerwise": True, "measure": "greedy"}])
@pytest.mark.parametrize("per", ["batch", "sample"])
def test_recorded_estimates_are_the_same(asked, per):
    model, images, labels = case("deep_mlp")
    heads = trained_heads(model, images) if "measure" in asked else None
    one = method(**asked, per=per)
    fast = fast_sample_tangents(one, model, heads, sample_loss)
    for batch in (slice(0, 6), slice(0, 4), slice(2, 6)):
        found = fast(images[batch], labels[batch], generator())
        expected = estimate_from_sample_tangents(
            one, model, heads, sample_loss, images[batch], labels[batch], generator()
        )
        torch.testing.assert_close(found, expected)


def test_the_heads_learn_with_greedy_slopes_alone():
    model, images, labels = case("mlp")
    found = estimate_from_sample_tangents(
        method(layerwise=True, measure="greedy"), model, Heads(model, images), sample_loss, images, labels, generator()
    )
    assert any(one.any() for one in found.of_heads)
    plain = estimate_from_sample_tangents(method(layerwise=True), model, None, sample_loss, images, labels, generator())
    assert plain.of_heads == ()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("tangents=gated gradient.perturb=weights", "tangents=gated: needs the layers of a network"),
        ("tangents=layerwise gradient.chunk_size=2", "tangents=layerwise: needs the layers of a network"),
        ("tangents=gated gradient.measure=greedy", "gradient.measure=greedy: needs tangents=local or layerwise"),
        ("tangents=layerwise objective=sphere", "tangents=layerwise: needs the layers of a network"),
    ],
)
def test_wrong_requests_are_refused(words, message):
    with pytest.raises(RequestError) as refusal:
        train_request(["learning_rate=0.1", *words.split()])
    assert str(refusal.value).startswith(message)
