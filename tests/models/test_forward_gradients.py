"""Forward gradients of the architectures that frog ships, against reverse mode and an independent projection."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from frog_cli.gradients import (
    TANGENTS,
    estimate_from_activities,
    estimate_from_weights,
)
from frog_cli.gradients.weights import backprop
from frog_cli.models.resnet18 import resnet18
from frog_cli.models.vit import vit
from tests.cases import activity_gradient, project, relative_error, sample_loss
from tests.spaces import (
    METHOD,
    flat,
    generator,
    slopes_of_both_measurements,
    weights_from_activities,
)

ARCHITECTURES = {
    "resnet18": lambda grouping: resnet18((3, 32, 32), 3, grouping=grouping, width=8),
    "vit": lambda grouping: small_vit((3, 8, 8), 3, grouping),
}


def small_vit(image: tuple[int, ...], classes: int, grouping: str):
    return vit(image, classes, patch=4, depth=3, heads=2, hidden=8, mlp=12, grouping=grouping)


def architecture(name: str, grouping: str = "paper", batch: int = 4):
    """Return a network in float64 with images and labels."""
    torch.manual_seed(0)
    model = ARCHITECTURES[name](grouping).double()
    for parameter in model.parameters():
        if parameter.ndim == 1 or not parameter.any():  # no weight of a norm or of the head stays 1 or 0
            torch.nn.init.normal_(parameter, mean=0.7, std=0.2)
    size = 32 if name == "resnet18" else 8
    return model, torch.randn(batch, 3, size, size).double(), torch.arange(batch) % 3


@pytest.mark.filterwarnings("ignore::frog_cli.gradients.CoupledSamplesWarning")
@pytest.mark.parametrize("grouping", ["fine", "paper", "coarse"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_have_the_same_slopes_forward_and_simulated(name, grouping):
    """Per sample without batch normalisation or in evaluation mode, in sum with it in training mode."""
    model, images, labels = architecture(name, grouping)
    if name == "resnet18":
        coupled = slopes_of_both_measurements(model, images, labels)
        assert relative_error(coupled["simulated"], coupled["forward"]) > 0.01
        assert relative_error(coupled["simulated"].sum(1), coupled["forward"].sum(1)) < 1e-8
        model.eval()
    seen = slopes_of_both_measurements(model, images, labels)
    assert relative_error(seen["simulated"], seen["forward"]) < 1e-10


@pytest.mark.parametrize("measure", ["forward", "simulated"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architectures_are_projected_exactly(name, measure):
    model, images, labels = architecture(name)
    model.eval()
    gradient = activity_gradient(model, images, labels).mT
    V = TANGENTS["normal"]((5, len(gradient)), generator(), torch.float64)
    expected = weights_from_activities(model, images, project(V, gradient).mT)
    method = replace(METHOD, measure=measure)
    found = estimate_from_activities(method, model, sample_loss, images, labels, generator())
    assert relative_error(flat(found.gradients), expected) < 1e-8


@pytest.mark.filterwarnings("ignore::frog_cli.gradients.CoupledSamplesWarning")
def test_statistics_of_batch_normalisation_do_not_depend_on_the_gradient():
    def after(estimate):
        model, images, labels = architecture("resnet18")
        estimate(model, sample_loss, images, labels, generator())
        return dict(model.named_buffers())

    expected = after(backprop)
    assert expected["0.1.num_batches_tracked"] == 1
    for estimator in (estimate_from_activities, estimate_from_weights):
        for measure in ("forward", "simulated"):
            for k in (1, 4, 16):
                found = after(partial(estimator, replace(METHOD, k=k, measure=measure, chunk_size=5)))
                assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_vision_transformer_trains_the_same_forward_and_simulated():
    losses = {}
    for measure in ("forward", "simulated"):
        model, images, labels = architecture("vit", batch=8)
        source, losses[measure] = generator(), []
        for _ in range(20):
            method = replace(METHOD, k=16, measure=measure)
            loss, gradients, *_ = estimate_from_activities(method, model, sample_loss, images, labels, source)
            losses[measure].append(loss)
            with torch.no_grad():
                for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                    parameter -= 0.05 * gradient
    forward, simulated = (torch.stack(losses[measure]) for measure in ("forward", "simulated"))
    assert forward[-1] < forward[0]
    torch.testing.assert_close(forward, simulated, rtol=0, atol=1e-10)


@pytest.mark.parametrize("measure", ["forward", "simulated"])
def test_resnet18_with_group_normalisation_is_projected_exactly_in_training_mode(measure):
    torch.manual_seed(0)
    model = resnet18((3, 32, 32), 3, norm="group", width=8).double().train()
    images, labels = torch.randn(4, 3, 32, 32).double(), torch.arange(4) % 3
    gradient = activity_gradient(model, images, labels).mT
    V = TANGENTS["normal"]((5, len(gradient)), generator(), torch.float64)
    expected = weights_from_activities(model, images, project(V, gradient).mT)
    found = estimate_from_activities(replace(METHOD, measure=measure), model, sample_loss, images, labels, generator())
    assert relative_error(flat(found.gradients), expected) < 1e-8
    seen = slopes_of_both_measurements(model, images, labels)
    assert relative_error(seen["simulated"], seen["forward"]) < 1e-10
