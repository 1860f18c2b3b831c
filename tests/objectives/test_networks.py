"""Networks from outside that are not whole until they are called."""

from __future__ import annotations

import pytest
import torch

from frog_cli.data.dataset import load
from frog_cli.objectives.classification import Classification
from frog_cli.settings.requests import train_request

IDEAS = """
import torch
from torch import nn
from frog_cli import ideas


class Head(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.classes, self.head = classes, None

    def forward(self, x):
        if self.head is None:
            self.head = nn.Linear(x.shape[1], self.classes)
        return self.head(x)


@ideas.model
def head_at_first_call(image, classes):
    "Makes its head when it is first called."
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), Head(classes))


@ideas.model
def lazy(image, classes):
    "Has sizes only when it is first called."
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.Flatten(), nn.LazyLinear(classes))
"""


@pytest.mark.parametrize("gradient", ["backprop", "mean"])
@pytest.mark.parametrize("name", ["head_at_first_call", "lazy"])
def test_what_a_network_makes_in_its_first_call_is_trained(name, gradient, tmp_path):
    (tmp_path / "ideas.py").write_text(IDEAS)
    words = [f"ideas=[{tmp_path / 'ideas.py'}]", f"model={name}", f"gradient={gradient}", "gradient.perturb=weights"]
    words = [word for word in words if gradient != "backprop" or not word.startswith("gradient.")]
    run = train_request([*words, "data.limit=64", "learning_rate=0.01", "epochs=1"]).runs[0]
    data = load(run.data, torch.device("cpu"))
    objective = Classification(run, data, torch.device("cpu"))
    model = objective._model
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    assert len(before) == {"head_at_first_call": 4, "lazy": 6}[name]
    objective.measure()
    objective.epoch()
    assert model is objective._model
    assert dict(model.named_parameters()).keys() == before.keys()
    assert all(not torch.equal(weight, before[name]) for name, weight in model.named_parameters())
