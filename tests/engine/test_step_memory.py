"""Forward mode keeps no activations for later: its memory does not grow with depth, that of backpropagation does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from frog_cli.engine.memory import peak_memory
from frog_cli.gradients import AGGREGATIONS, TANGENTS, Estimate, ForwardGradient, backprop, estimate_from_activities
from frog_cli.gradients.second_order import SecondOrder, estimate_second_order
from frog_cli.gradients.step_rules import hyperplane_step, line_step
from tests.cases import sample_loss

CPU = torch.device("cpu")
DEPTHS = (2, 8, 32)


def deep_mlp(depth: int) -> tuple[nn.Sequential, torch.Tensor, torch.Tensor]:
    """Return a network whose activities are large beside its weights, and a batch for it."""
    width, batch = 64, 8_192
    layers = [layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Linear(width, 10))
    return model, torch.randn(batch, width), torch.randint(10, (batch,))


def sampled(k: int) -> Callable[..., Estimate]:
    """Return a FoMoH step in the plane of k normal tangents."""
    rule = partial(line_step, damping=1e-8) if k == 1 else partial(hyperplane_step, absolute=False)
    method = SecondOrder(directions="sampled", k=k, tangents=TANGENTS["normal"], rule=rule)
    return partial(estimate_second_order, method)


def peaks(estimate) -> list[int]:
    """Return the peak with the weights, which inference needs, too, for each depth."""
    found = []
    for depth in DEPTHS:
        model, images, labels = deep_mlp(depth)
        weights = sum(parameter.nbytes for parameter in model.parameters())
        found.append(peak_memory(partial(estimate, model, images, labels), CPU) + weights)
    return found


@torch.no_grad()
def inference(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> None:
    sample_loss(model(images), labels).mean()


@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_second_order_step_needs_what_inference_needs_for_each_of_its_terms(k, generator):
    terms = 1 + k + k * (k + 1) // 2
    found = peaks(lambda model, *batch: sampled(k)(model, sample_loss, *batch, generator))
    for peak, needed in zip(found, peaks(inference), strict=True):
        assert peak <= 1.01 * terms * needed


def test_backpropagation_needs_more_the_deeper_the_network(generator):
    shallow, _, deep = peaks(lambda model, *batch: backprop(model, sample_loss, *batch, generator))
    assert deep > 5 * shallow


def test_chunks_bound_the_memory_of_forward_mode(generator):
    """Beyond what the same step needs without forward mode: a value and its derivatives, before and after a layer."""
    simulated = ForwardGradient(
        k=16, tangents=TANGENTS["normal"], measure="simulated", aggregation=AGGREGATIONS["projection"]
    )
    model, images, labels = deep_mlp(8)

    def peak(method: ForwardGradient) -> int:
        estimate = partial(estimate_from_activities, method, model, sample_loss, images, labels, generator)
        return peak_memory(estimate, CPU)

    without = peak(simulated)
    for chunk_size in (16, 4, 1):
        chunked = replace(simulated, measure="forward", chunk_size=chunk_size)
        assert peak(chunked) - without <= 2 * (1 + chunk_size) * images.nbytes
    assert peak(replace(simulated, measure="forward")) > 2 * 16 * images.nbytes


def test_a_first_order_step_over_activities_needs_about_twice_what_inference_needs_whatever_the_depth(generator):
    """The weights and their gradients; a value and its derivative before and after a layer."""
    method = ForwardGradient(k=1, tangents=TANGENTS["normal"], measure="forward", aggregation=AGGREGATIONS["mean"])
    found = peaks(lambda model, *batch: estimate_from_activities(method, model, sample_loss, *batch, generator))
    for peak, needed in zip(found, peaks(inference), strict=True):
        assert peak <= 2.2 * needed
