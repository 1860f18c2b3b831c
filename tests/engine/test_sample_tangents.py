"""Recorded estimates from tangents of each sample's own are those of the mathematics."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from frog_cli.engine.sample_tangents import fast_sample_tangents
from frog_cli.gradients import AGGREGATIONS, TANGENTS
from frog_cli.sample_tangents.estimate import SampleTangents, estimate_from_sample_tangents
from frog_cli.sample_tangents.heads import Heads
from tests.cases import case, relative_error, sample_loss
from tests.spaces import flat, generator


def method(**changes) -> SampleTangents:
    usual = {"depth": 1, "random": 2, "tangents": TANGENTS["normal"], "measure": "forward"}
    return SampleTangents(**{**usual, "aggregation": AGGREGATIONS["projection"], **changes})


@pytest.mark.parametrize("measure", ["forward", "simulated", "greedy"])
@pytest.mark.parametrize("per", ["batch", "sample"])
def test_recorded_estimates_follow_weights_heads_and_batches_of_any_size(measure, per):
    model, images, labels = case("deep_mlp")
    heads, wanted = Heads(model, images), method(measure=measure, per=per)
    fast = fast_sample_tangents(wanted, model, heads, sample_loss)
    for step in range(3):
        few = slice(0, 2 if step == 1 else None)
        where = images[few], labels[few]
        plain = estimate_from_sample_tangents(wanted, model, heads, sample_loss, *where, generator())
        found = fast(*where, generator())
        assert relative_error(flat(found.gradients), flat(plain.gradients)) < 1e-10
        assert relative_error(flat(found.of_heads), flat(plain.of_heads)) < 1e-10
        torch.testing.assert_close(found.loss, plain.loss)
        with torch.no_grad():
            for parameter in [*model.parameters(), *heads.parameters()]:
                parameter += 0.1 * torch.randn_like(parameter)


def test_samples_whose_tangents_vanish_leave_no_estimate_that_is_not_finite():
    """With a dead layer at the end the last gradient is finite whatever the others are."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(7, 6), nn.Tanh(), nn.Sequential(nn.Linear(6, 3), nn.ReLU()))
    with torch.no_grad():
        model[2][0].bias.fill_(-0.2)
    images, labels = torch.randn(6, 7), torch.arange(6) % 3
    dead = (model(images) == 0).all(1)
    assert dead.any()
    assert not dead.all()
    heads = Heads(model, images)
    for parameter in heads.parameters():
        nn.init.normal_(parameter)
    wanted = method(random=0, measure="simulated")
    found = fast_sample_tangents(wanted, model, heads, sample_loss)(images, labels, generator())
    plain = estimate_from_sample_tangents(wanted, model, heads, sample_loss, images, labels, generator())
    assert all(gradient.isfinite().all() for gradient in found.gradients)
    assert relative_error(flat(found.gradients), flat(plain.gradients)) < 1e-5
