"""Small models in float64 with a batch, for everything that is compared with an independent oracle."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from frog_cli import ideas
from frog_cli.models.logistic_regression import logistic_regression
from frog_cli.models.mlp import mlp
from frog_cli.objectives.functions import with_start

FUNCTIONS = {name: with_start(idea.function) for name, idea in ideas.registered("function").items()}
"""frog's own functions, each with its start."""

sample_loss = partial(cross_entropy, reduction="none")

IMAGE = (1, 4, 4)
CLASSES = 3
MODELS = {
    "logistic_regression": lambda: logistic_regression(IMAGE, CLASSES),
    "mlp": lambda: mlp(IMAGE, CLASSES, width=7, depth=2),
    "deep_mlp": lambda: mlp(IMAGE, CLASSES, width=5, depth=4),
}


class Follows(nn.Module):
    """Replaces its buffer by a moving average of its input."""

    def __init__(self):
        super().__init__()
        self.register_buffer("average", torch.zeros(3))

    def forward(self, x):
        self.average = 0.9 * self.average + 0.1 * x.detach().mean(0)
        return x


def case(name: str, batch: int = 6) -> tuple[nn.Sequential, Tensor, Tensor]:
    """Return a model, images and labels."""
    torch.manual_seed(1)
    model = MODELS[name]().double()
    return model, torch.randn(batch, *IMAGE, dtype=torch.float64), torch.randint(CLASSES, (batch,))


def weight_gradient(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient `[n]` of the mean loss by reverse mode, over all weights."""
    loss = cross_entropy(model(images), labels)
    return torch.cat([gradient.flatten() for gradient in torch.autograd.grad(loss, list(model.parameters()))])


def activity_gradient(model: nn.Sequential, images: Tensor, labels: Tensor) -> Tensor:
    """Return the gradient `[B, n]` of the summed losses by reverse mode through the whole network, over all outputs."""
    outputs, activity = [], images
    for layer in model:
        activity = layer(activity)
        outputs.append(activity)
    gradients = torch.autograd.grad(cross_entropy(activity, labels, reduction="sum"), outputs)
    return torch.cat([gradient.flatten(1) for gradient in gradients], dim=1)


def project(tangents: Tensor, gradient: Tensor) -> Tensor:
    """Return the orthogonal projection of `gradient` `[n, m]` onto the rows of `tangents`, through a QR."""
    Q, R = torch.linalg.qr(tangents.mT)
    kept = R.diagonal().abs() > 1e-9 * R.diagonal().abs().max()
    Q = Q[:, : len(kept)][:, kept]
    return Q @ (Q.mT @ gradient)


def relative_error(found: Tensor, expected: Tensor) -> float:
    """Return the norm of the difference relative to the norm of the expected."""
    return (torch.linalg.vector_norm(found - expected) / torch.linalg.vector_norm(expected)).item()
