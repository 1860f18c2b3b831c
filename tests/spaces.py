"""What tests of several spaces share: one method, and estimates of the small models in each space."""

from __future__ import annotations

from dataclasses import replace

import torch

from frog_cli.gradients import (
    TANGENTS,
    ForwardGradient,
    estimate_from_activities,
    estimate_from_weights,
)
from frog_cli.gradients.aggregation import projection
from tests.cases import case, sample_loss

METHOD = ForwardGradient(k=5, tangents=TANGENTS["normal"], measure="forward", aggregation=projection)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def weight_dimension(model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def flat(gradients) -> torch.Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients])


def weights(method, name, seed=0):
    return estimate_from_weights(method, *_arguments(name), generator(seed))


def activities(method, name, seed=0):
    return estimate_from_activities(method, *_arguments(name), generator(seed))


def _arguments(name):
    model, images, labels = case(name)
    return model, sample_loss, images, labels


def weights_from_activities(model, images, activity_gradients):
    """Return the weight gradients that follow from given gradients of all outputs, one layer at a time."""
    found, activity, start = [], images, 0
    for layer in model:
        inputs = activity.detach()
        activity = layer(inputs)
        end = start + activity[0].numel()
        cotangent = activity_gradients[:, start:end].view_as(activity) / len(images)
        own = list(layer.parameters())
        found += torch.autograd.grad((activity * cotangent).sum(), own) if own else []
        start = end
    return flat(found)


def slopes_of_both_measurements(model, images, labels) -> dict[str, torch.Tensor]:
    """Return the slopes `[k, B]` of each sample along the same tangents, measured forward and simulated."""
    seen = {}
    for measure in ("forward", "simulated"):

        def spy(V, slopes, measure=measure):
            seen[measure] = slopes
            return projection(V, slopes)

        method = replace(METHOD, measure=measure, aggregation=spy)
        estimate_from_activities(method, model, sample_loss, images, labels, generator())
    return seen
