"""How well a run's own estimates approximate the true gradient while it trains, by layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import torch
from torch import Generator, Tensor
from torch.nn import Module

from frog_cli.data.dataset import Split
from frog_cli.files.csv import Row
from frog_cli.gradients.space import Estimate, SampleLoss, Tensors
from frog_cli.gradients.weights import backprop
from frog_cli.modules.restoring import kept_as_it_is


def approximation(
    model: Module, estimate: Callable[..., Estimate], loss: SampleLoss, batches: Sequence[Split], generator: Generator
) -> Row:
    """Return cosine similarity and norm ratio of estimates with the true gradient, means over batches.

    Both are of the mean loss of a batch by the weights: of all, and of each layer, which is a child of the model that
    has weights, counted from 1. An estimate of zero has cosine 0, and so has one of a gradient of zero, beside which no
    norm ratio is finite. The model stays as it is, and dropout draws what it would have drawn.

    Args:
        model: in the mode in which it is trained.
        estimate: of the gradient, from inputs, targets and a generator.
        loss: of each sample.
        batches: which it is asked for.
        generator: of the tangents.
    """
    found = []
    for images, labels in batches:
        with kept_as_it_is(model, images.device):
            true = backprop(model, loss, images, labels).gradients
        with kept_as_it_is(model, images.device):
            estimated = estimate(images, labels, generator).gradients
        pairs = zip(_by_layer(model, estimated), _by_layer(model, true), strict=True)
        found.append(torch.stack([_likeness(*pair) for pair in [(_joined(estimated), _joined(true)), *pairs]]))
    layers = torch.stack(found).mean(0).tolist()
    names = ["", *(f"_layer_{number}" for number in range(1, len(layers)))]
    return {
        f"{what}{name}": layer[column]
        for column, what in enumerate(("cosine", "norm_ratio"))
        for name, layer in zip(names, layers, strict=True)
    }


def _by_layer(model: Module, gradients: Tensors) -> Iterator[Tensor]:
    """Yield all numbers of the gradients of each layer's weights, in double precision."""
    names = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    named = zip(names, gradients, strict=True)
    for _, of_layer in groupby(named, key=lambda one: one[0].partition(".")[0]):
        yield _joined([gradient for _, gradient in of_layer])


def _joined(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([tensor.detach().flatten().double() for tensor in tensors])


def _likeness(estimate: Tensor, gradient: Tensor) -> Tensor:
    """Return cosine similarity and norm ratio `[2]`."""
    lengths = torch.linalg.vector_norm(estimate), torch.linalg.vector_norm(gradient)
    product = lengths[0] * lengths[1]
    cosine = torch.where(product == 0, 0, estimate @ gradient / product)
    return torch.stack([cosine, lengths[0] / lengths[1]])
