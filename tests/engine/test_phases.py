from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from frog_cli.engine import phases
from frog_cli.engine.batch_gradients import fast_backprop, fast_forward_gradient, fast_second_order
from frog_cli.engine.regenerated import estimate_from_regenerated_weights
from frog_cli.gradients import AGGREGATIONS, TANGENTS, ForwardGradient
from frog_cli.gradients.activities import activities
from frog_cli.gradients.second_order import SecondOrder
from frog_cli.gradients.step_rules import line_step
from frog_cli.gradients.weights import weights
from tests.cases import case, sample_loss

METHOD = ForwardGradient(k=3, tangents=TANGENTS["normal"], measure="forward", aggregation=AGGREGATIONS["mean"])


def forward_gradient(space, phase, measure="forward"):
    method = replace(METHOD, measure=measure)
    return lambda model: fast_forward_gradient(method, space(model, sample_loss, measure), model, phase_of_step=phase)


def second_order(directions):
    method = SecondOrder(directions=directions, k=1, tangents=TANGENTS["normal"], rule=partial(line_step, damping=1e-8))
    return lambda model: fast_second_order(method, model, sample_loss)


STEPS = {
    "weights": (forward_gradient(weights, "aggregation"), ["tangents", "derivatives", "aggregation"]),
    "activities": (
        forward_gradient(activities, "local gradients"),
        ["tangents", "derivatives", "aggregation", "local gradients"],
    ),
    "simulated": (
        forward_gradient(activities, "local gradients", "simulated"),
        ["tangents", "derivatives", "aggregation", "local gradients"],
    ),
    "regenerated": (
        lambda model: partial(estimate_from_regenerated_weights, replace(METHOD, chunk_size=2), model, sample_loss),
        ["tangents", "derivatives", "tangents", "derivatives", "aggregation"],
    ),
    "backprop": (lambda model: fast_backprop(model, sample_loss), ["derivatives"]),
    "second order": (second_order("sampled"), ["tangents", "derivatives", "aggregation"]),
    "along the gradient": (second_order("gradient"), ["derivatives", "aggregation"]),
}


def drops_out(model):
    """Keep a model from being recorded."""
    return torch.nn.Sequential(*model, torch.nn.Dropout(0.1))


@pytest.mark.parametrize("change", [lambda model: model, drops_out])
@pytest.mark.parametrize("name", STEPS)
def test_a_clock_is_told_of_each_phase_as_it_begins_at_every_step(name, change):
    make, expected = STEPS[name]
    model, images, labels = case("mlp")
    step = make(change(model))
    told: list[str] = []
    with phases.timed_by(told.append):
        step(images, labels, torch.Generator())  # records, too
        for _ in range(2):
            told.clear()
            step(images, labels, torch.Generator())
            once = [phase for phase, before in zip(told, [None, *told], strict=False) if phase != before]
            assert once == expected
            assert set(told) <= set(phases.PHASES)
    step(images, labels, torch.Generator())
    assert once == [phase for phase, before in zip(told, [None, *told], strict=False) if phase != before]


def test_a_function_in_a_phase_keeps_what_it_carries():
    announced = phases.in_phase("aggregation", AGGREGATIONS["projection"])
    assert announced.without_branch is AGGREGATIONS["projection"].without_branch
