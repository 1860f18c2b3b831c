"""Losses of models that keep something from call to call are those of the models as they are."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from frog_cli.data.dataset import Split
from frog_cli.objectives.evaluation import evaluator


class Keeping(torch.nn.Module):
    """Shifts images by a mean that training moves, and multiplies by a slope that training raises."""

    def __init__(self, in_place: bool):
        super().__init__()
        self.layer, self.slope, self.in_place = torch.nn.Linear(4, 3), 1.0, in_place
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x):
        if self.training:
            self.slope *= 1.2
            moved = 0.9 * self.mean + 0.1 * x.detach().mean(0)
            if self.in_place:
                self.mean.copy_(moved)
            else:
                self.mean = moved
        return self.slope * self.layer(x - self.mean)


@pytest.mark.parametrize("in_place", [True, False])
def test_what_training_changes_counts_in_the_next_evaluation(in_place):
    torch.manual_seed(0)
    model = Keeping(in_place)
    split = Split(torch.randn(10, 4), torch.arange(10) % 3)
    evaluate = evaluator(model, batch_size=4)
    for _ in range(4):
        loss, accuracy = evaluate(split)
        with torch.no_grad():
            outputs = model.eval()(split.images)
        assert loss == pytest.approx(cross_entropy(outputs, split.labels).item(), rel=1e-6)
        assert accuracy == pytest.approx(10.0 * (outputs.argmax(1) == split.labels).sum().item())
        model.train()(torch.randn(5, 4) + 1)
