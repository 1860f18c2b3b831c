"""What cannot be right is refused in one line, before a pass."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from frog_cli.engine.regenerated import estimate_from_regenerated_weights
from frog_cli.gradients import (
    AGGREGATIONS,
    TANGENTS,
    CoupledSamplesWarning,
    ForwardGradient,
    backprop,
    estimate_from_activities,
    estimate_from_weights,
)
from frog_cli.gradients.activities import activity_sizes
from frog_cli.gradients.second_order import SecondOrder, estimate_second_order
from frog_cli.gradients.step_rules import line_step
from tests.cases import case, relative_error, sample_loss, weight_gradient

METHOD = ForwardGradient(
    k=3, tangents=TANGENTS["normal"], measure="forward", aggregation=AGGREGATIONS["projection"], chunk_size=2
)
FOMOH = SecondOrder(directions="sampled", k=1, tangents=TANGENTS["normal"], rule=partial(line_step, damping=1e-8))
ESTIMATORS = {
    "weights": partial(estimate_from_weights, METHOD),
    "regenerated": partial(estimate_from_regenerated_weights, METHOD),
    "activities": partial(estimate_from_activities, METHOD),
    "simulated": partial(estimate_from_activities, replace(METHOD, measure="simulated")),
    "second order": partial(estimate_second_order, FOMOH),
    "backprop": backprop,
}


class Residual(nn.Sequential):
    """Adds its input to what its children make of it."""

    def forward(self, x):
        return x + super().forward(x)


def hooked(register: str) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    getattr(model, register)(lambda module, *values: None)
    return model


def with_a_weight_of_its_own() -> nn.Sequential:
    model = nn.Sequential(nn.Linear(3, 3))
    model.register_parameter("scale", nn.Parameter(torch.ones(())))
    return model


NO_LAYERS = {
    "no sequence": (lambda: nn.Linear(3, 3), r"needs a torch\.nn\.Sequential of layers, not a Linear"),
    "own forward": (lambda: Residual(nn.Linear(3, 3)), "plain Sequential of layers: Residual has a forward of its own"),
    "hook": (lambda: hooked("register_forward_hook"), "put the hooks of the Sequential on one of them"),
    "hook before": (lambda: hooked("register_forward_pre_hook"), "put the hooks of the Sequential on one of them"),
    "hook backward": (lambda: hooked("register_full_backward_hook"), "put the hooks of the Sequential on one of them"),
    "own weight": (with_a_weight_of_its_own, "scale belongs to the Sequential itself"),
    "tuple": (lambda: nn.Sequential(nn.Linear(3, 3), nn.GRU(3, 3)), "layer 1, a GRU, returns a tuple"),
}


@pytest.mark.parametrize("measure", ["forward", "simulated"])
@pytest.mark.parametrize("name", NO_LAYERS)
def test_what_is_no_sequence_of_layers_is_refused_in_activity_space(name, measure):
    make, message = NO_LAYERS[name]
    with pytest.raises(TypeError, match=f"^activity perturbation .*{message}"):
        estimate_from_activities(
            replace(METHOD, measure=measure),
            make(),
            sample_loss,
            torch.ones(4, 3),
            torch.zeros(4).long(),
            torch.Generator(),
        )


def test_hooks_of_layers_are_called():
    _, images, labels = case("mlp")
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    model[1].register_forward_hook(lambda module, inputs, output: output * 2)
    method = replace(METHOD, k=sum(activity_sizes(model, images)))
    found = estimate_from_activities(method, model, sample_loss, images, labels, torch.Generator())
    assert (
        relative_error(torch.cat([g.flatten() for g in found.gradients]), weight_gradient(model, images, labels)) < 1e-9
    )


@pytest.mark.parametrize("measure", ["forward", "simulated"])
def test_a_loss_that_is_one_number_is_refused_in_activity_space(measure):
    model, images, labels = case("mlp")
    with pytest.raises(ValueError, match=r"one loss per sample, of shape \[6\], not \[\]; .* reduction='none'"):
        estimate_from_activities(
            replace(METHOD, measure=measure), model, cross_entropy, images, labels, torch.Generator()
        )


def test_several_inputs_are_refused_in_activity_space():
    model, images, labels = case("mlp")
    with pytest.raises(TypeError, match="needs one tensor of inputs, not a tuple"):
        estimate_from_activities(METHOD, model, sample_loss, (images, images), labels, torch.Generator())


@pytest.mark.parametrize("name", ESTIMATORS)
def test_an_empty_batch_is_refused(name):
    model, images, labels = case("mlp")
    with pytest.raises(ValueError, match="the batch is empty"):
        ESTIMATORS[name](model, sample_loss, images[:0], labels[:0], torch.Generator())


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_model_with_nothing_to_train_is_refused(name):
    model, images, labels = case("mlp")
    with pytest.raises(ValueError, match="no parameter of this Sequential requires a gradient"):
        ESTIMATORS[name](model.requires_grad_(False), sample_loss, images, labels, torch.Generator())


class OfTwo(nn.Module):
    """Takes two tensors as one argument."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(3, 3), nn.Linear(4, 3)

    def forward(self, both):
        return self.left(both[0].mul_(2)) + self.right(both[1]).tanh()


def test_a_model_may_take_several_tensors_as_one_argument_in_weight_space():
    model = OfTwo().double()
    both, labels = (torch.randn(5, 3).double(), torch.randn(5, 4).double()), torch.tensor([0, 1, 2, 1, 0])
    expected = weight_gradient(model, (both[0].clone(), both[1]), labels)
    method = replace(METHOD, k=len(expected))
    for estimator in (estimate_from_weights, estimate_from_regenerated_weights):
        found = estimator(method, model, sample_loss, both, labels, torch.Generator())
        assert relative_error(torch.cat([g.flatten() for g in found.gradients]), expected) < 1e-8
    estimate_second_order(FOMOH, model, sample_loss, both, labels, torch.Generator())


def test_normalisation_by_the_batch_is_warned_of_where_it_makes_slopes_wrong():
    model, images, labels = case("mlp")
    model.insert(1, nn.BatchNorm1d(7).double())
    with pytest.warns(
        CoupledSamplesWarning, match=r"batch normalisation \(module 1\) couples .* simulated.* weights.*GroupNorm"
    ):
        ESTIMATORS["activities"](model, sample_loss, images, labels, torch.Generator())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("simulated", "weights", "backprop"):
            ESTIMATORS[name](model, sample_loss, images, labels, torch.Generator())
        ESTIMATORS["activities"](model.eval(), sample_loss, images, labels, torch.Generator())
    model[1].running_mean = model[1].running_var = None  # then it normalises by the batch in evaluation, too
    with pytest.warns(CoupledSamplesWarning):
        ESTIMATORS["activities"](model, sample_loss, images, labels, torch.Generator())


class Penalised(nn.Module):
    """Reaches a weight through a list, where no module sees it."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(16, 3)
        self.penalised = [self.linear.weight]

    def forward(self, x):
        return self.linear(x.flatten(1)) * self.penalised[0].sum()


@pytest.mark.parametrize("name", ["weights", "regenerated", "second order", "activities"])
def test_a_parameter_that_is_reached_otherwise_than_through_its_module_is_refused(name):
    _, images, labels = case("mlp")
    model = nn.Sequential(Penalised()).double()
    with pytest.raises(NotImplementedError, match=r"a trained parameter of shape \[3, 16\] is reached otherwise"):
        ESTIMATORS[name](model, sample_loss, images, labels, torch.Generator())
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.CELU()).double()  # which has no rule of frog's own

    def decayed(outputs, targets):
        return sample_loss(outputs, targets) + model[1].weight.square().sum()

    with pytest.raises(
        NotImplementedError, match=r"reached otherwise|no forward-mode rule for the operation aten\.celu"
    ):
        ESTIMATORS[name](model, decayed, images, labels, torch.Generator())


def test_a_loss_may_have_parameters_of_its_own_and_inputs_may_require_gradients():
    model, images, labels = case("mlp")
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    expected = 2 * weight_gradient(model, images, labels)
    method = replace(METHOD, k=len(expected))
    found = estimate_from_weights(
        method, model, lambda *given: scale * sample_loss(*given), images.requires_grad_(), labels, torch.Generator()
    )
    assert relative_error(torch.cat([g.flatten() for g in found.gradients]).detach(), expected) < 1e-8


def test_normalised_groups_of_images_in_channels_last():
    """Where torch's derivative of group normalisation would end the process if its cotangent had another layout."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Sequential(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4)), nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    )
    model = model.double().to(memory_format=torch.channels_last)
    images, labels = torch.randn(4, 2, 4, 4, dtype=torch.float64), torch.tensor([0, 1, 2, 1])
    method = replace(METHOD, k=sum(activity_sizes(model, images)))
    for measure in ("forward", "simulated"):
        found = estimate_from_activities(
            replace(method, measure=measure), model, sample_loss, images, labels, torch.Generator()
        )
        expected = weight_gradient(model, images, labels)
        assert relative_error(torch.cat([g.flatten() for g in found.gradients]), expected) < 1e-8


@pytest.mark.parametrize("name", ["normalised", "standard_basis"])
def test_tangents_whose_entries_depend_on_each_other_are_not_drawn_block_by_block(name):
    model, images, labels = case("mlp")
    with pytest.raises(ValueError, match="if their entries are independent"):
        estimate_from_regenerated_weights(
            replace(METHOD, tangents=TANGENTS[name]), model, sample_loss, images, labels, torch.Generator()
        )


BACKWARD_HOOKS = {
    "module": lambda model: model[1].register_full_backward_hook(lambda module, before, after: None),
    "before": lambda model: model[1].register_full_backward_pre_hook(lambda module, after: None),
    "parameter": lambda model: model[1].weight.register_hook(lambda gradient: 0 * gradient),
}


@pytest.mark.parametrize("name", ESTIMATORS)
@pytest.mark.parametrize("hook", BACKWARD_HOOKS)
def test_backward_hooks_are_told_to_do_nothing_where_nothing_goes_back(hook, name):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    BACKWARD_HOOKS[hook](model)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        ESTIMATORS[name](model, sample_loss, torch.randn(4, 3), torch.arange(4) % 3, torch.Generator().manual_seed(0))
    passes_back = name in ("simulated", "backprop")
    assert sum("a backward hook (1" in str(one.message) for one in told) == (0 if passes_back else 1)
