"""Half precision, as weights or by autocast, gives what double precision gives, to its two or three digits."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from frog_cli.engine.regenerated import estimate_from_regenerated_weights
from frog_cli.gradients import (
    AGGREGATIONS,
    TANGENTS,
    ForwardGradient,
    estimate_from_activities,
    estimate_from_weights,
)
from frog_cli.gradients.second_order import SecondOrder, estimate_second_order
from frog_cli.gradients.step_rules import hyperplane_step, line_step
from tests.cases import sample_loss


class Leaks(nn.Module):
    """Chooses between a tensor and numbers."""

    def forward(self, x):
        return torch.where(x > 0, x, 0.1 * x) + torch.where(x > 1, x, 0.5)


def network() -> nn.Sequential:
    torch.manual_seed(0)
    images = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    model = nn.Sequential(images, nn.Sequential(nn.Linear(36, 8), Leaks(), nn.LayerNorm(8), nn.GELU()), nn.Linear(8, 3))
    return model.bfloat16().double()  # weights that half precision has


def flat(estimate) -> torch.Tensor:
    return torch.cat([gradient.flatten().double() for gradient in estimate.gradients])


FIRST = {
    "weights": estimate_from_weights,
    "regenerated": estimate_from_regenerated_weights,
    "activities": estimate_from_activities,
}
SECOND = {
    "line": (1, partial(line_step, damping=0.1)),
    "plane": (2, partial(hyperplane_step, absolute=False)),
    "downhill plane": (2, partial(hyperplane_step, absolute=True)),
}
METHODS = {
    **{
        f"{name} {aggregation}": partial(
            estimator, ForwardGradient(k=6, tangents=TANGENTS["normal"], measure="forward", aggregation=function)
        )
        for name, estimator in FIRST.items()
        for aggregation, function in AGGREGATIONS.items()
    },
    **{
        name: partial(
            estimate_second_order,
            SecondOrder(directions="sampled", k=k, tangents=TANGENTS["normal"], rule=rule),
        )
        for name, (k, rule) in SECOND.items()
    },
}


@pytest.mark.parametrize("kind", ["bfloat16", "float16", "autocast"])
@pytest.mark.parametrize("name", METHODS)
def test_half_precision(name, kind):
    images, labels = torch.randn(16, 1, 8, 8).bfloat16().double(), torch.arange(16) % 3
    expected = flat(METHODS[name](network(), sample_loss, images, labels, torch.Generator().manual_seed(4)))
    dtype = torch.float32 if kind == "autocast" else getattr(torch, kind)
    with torch.autocast("cpu", torch.bfloat16, enabled=kind == "autocast"):
        estimate = METHODS[name](
            network().to(dtype), sample_loss, images.to(dtype), labels, torch.Generator().manual_seed(4)
        )
    cosine = torch.cosine_similarity(flat(estimate), expected, dim=0)
    assert cosine > 0.95
    assert flat(estimate).norm() == pytest.approx(expected.norm().item(), rel=0.2)
