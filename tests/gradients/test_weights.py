"""The space of weights against reverse mode and an independent projection."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from frog_cli.gradients import (
    TANGENTS,
    estimate_from_weights,
)
from frog_cli.gradients.weights import backprop
from tests.cases import MODELS, Follows, case, project, relative_error, sample_loss, weight_gradient
from tests.spaces import (
    METHOD,
    flat,
    generator,
    weight_dimension,
    weights,
)


@pytest.mark.parametrize("measure", ["forward", "simulated"])
@pytest.mark.parametrize("k", [1, 5, 40])
@pytest.mark.parametrize("name", MODELS)
def test_projection_in_weight_space(name, k, measure):
    model, images, labels = case(name)
    gradient = weight_gradient(model, images, labels).unsqueeze(1)
    V = TANGENTS["normal"]((k, len(gradient)), generator(), torch.float64)
    estimate = weights(replace(METHOD, k=k, measure=measure), name)
    found = flat(estimate.gradients).unsqueeze(1)
    assert relative_error(found, project(V, gradient)) < 1e-10
    assert found.norm() <= gradient.norm() * (1 + 1e-12)
    torch.testing.assert_close(estimate.loss, sample_loss(model(images), labels).mean().detach(), rtol=1e-13, atol=0)


def test_any_module_works_in_weight_space():
    class Odd(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.shared = torch.nn.Linear(3, 3).double()

        def forward(self, x):
            return self.shared(self.shared(x).sin()) * x

    torch.manual_seed(0)
    model, x, y = Odd(), torch.randn(4, 3).double(), torch.randint(3, (4,))
    method = replace(METHOD, k=12)
    found = flat(estimate_from_weights(method, model, sample_loss, x, y, generator()).gradients)
    assert relative_error(found, weight_gradient(model, x, y)) < 1e-10


def test_batch_normalisation_updates_its_statistics_once_in_weight_space():
    model, images, labels = case("mlp")
    model.insert(1, torch.nn.BatchNorm1d(7).double())
    for k in (1, 6):
        measured, plain = (torch.nn.BatchNorm1d(7).double() for _ in range(2))
        model[1] = measured
        estimate_from_weights(replace(METHOD, k=k), model, sample_loss, images, labels, generator())
        model[1] = plain
        model(images)
        for name, buffer in plain.named_buffers():
            assert torch.equal(buffer, getattr(measured, name)), name


class Tied(torch.nn.Module):
    """Two modules that share a parameter."""

    def __init__(self):
        super().__init__()
        self.first, self.second = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
        self.second.weight = self.first.weight

    def forward(self, x):
        return self.second(self.first(x).sin())


def used_twice():
    """Return a model that uses a module twice."""
    middle = torch.nn.Linear(3, 3)
    return torch.nn.Sequential(torch.nn.Linear(3, 3), middle, torch.nn.Tanh(), middle)


@pytest.mark.parametrize("make", [Tied, used_twice])
def test_shared_parameters_are_perturbed_together_and_stay_parameters(make):
    torch.manual_seed(0)
    model, x, y = make().double(), torch.randn(4, 3).double(), torch.randint(3, (4,))
    n = weight_dimension(model)
    for _ in range(2):
        estimate = estimate_from_weights(replace(METHOD, k=n), model, sample_loss, x, y, generator())
        assert relative_error(flat(estimate.gradients), weight_gradient(model, x, y)) < 1e-9
    assert all(isinstance(parameter, torch.nn.Parameter) for parameter in model.parameters())


def test_dropout_is_one_function_for_all_chunks_in_weight_space():
    model, images, labels = case("mlp")
    model.insert(1, torch.nn.Dropout(0.5))
    found = []
    for chunk_size in (None, 2):
        torch.manual_seed(3)
        estimate = estimate_from_weights(
            replace(METHOD, chunk_size=chunk_size), model, sample_loss, images, labels, generator()
        )
        found.append(flat(estimate.gradients))
    assert relative_error(found[1], found[0]) < 1e-12


@pytest.mark.parametrize("measure", ["forward", "simulated"])
def test_buffers_that_a_model_replaces_are_kept_in_weight_space(measure):
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), Follows(), torch.nn.Tanh()).double()
    x, y = torch.randn(4, 3).double(), torch.randint(3, (4,))
    estimate_from_weights(replace(METHOD, measure=measure), model, sample_loss, x, y, generator())
    torch.testing.assert_close(model[1].average, 0.1 * model[0](x).mean(0).detach())


def test_attention_takes_the_kernel_that_can_be_differentiated():
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)
    model = torch.nn.Sequential(layer, torch.nn.Flatten(), torch.nn.Linear(12, 3)).double()
    x, y = torch.randn(4, 3, 4).double(), torch.randint(3, (4,))
    method = replace(METHOD, k=weight_dimension(model))
    for training in (True, False):
        found = estimate_from_weights(method, model.train(training), sample_loss, x, y, generator())
        assert relative_error(flat(found.gradients), weight_gradient(model, x, y)) < 1e-8


def test_backprop_is_reverse_mode():
    model, images, labels = case("mlp")
    loss, gradients, *_ = backprop(model, sample_loss, images, labels, generator())
    assert torch.equal(flat(gradients), weight_gradient(model, images, labels))
    assert torch.equal(loss, sample_loss(model(images), labels).mean())
