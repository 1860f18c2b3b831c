"""Heads: what gives each layer but the last a loss of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Linear, Module, ModuleList
from torch.nn.init import zeros_

from frog_cli.gradients.activities import activity_sizes
from frog_cli.gradients.space import SampleLoss, Tensors
from frog_cli.modules.requirements import as_layers, check_one_tensor, each_loss
from frog_cli.sample_tangents.blocks import unit


class Heads(ModuleList):
    """A linear head for each layer but the last, of its flattened output scaled to unit length; zero at first."""

    def __init__(self, model: Module, inputs: Tensor):
        """Make the heads of a sequential model for batches like `inputs`, with as many outputs as it has."""
        layers = as_layers(model)
        check_one_tensor(inputs)
        like = next(model.parameters())
        *sizes, classes = activity_sizes(layers, inputs[:2])
        super().__init__(Linear(size, classes, device=like.device, dtype=like.dtype) for size in sizes)
        for parameter in self.parameters():
            zeros_(parameter)


def own_gradients(
    outputs: Sequence[Tensor], heads: Heads, loss: SampleLoss, targets: Tensor
) -> tuple[list[Tensor], Tensors]:
    """Return the gradients `[B, n_l]` of each layer's own losses by its outputs, and those of the heads' mean losses.

    The last layer's own loss is the loss itself. Nothing passes backward through a layer.
    """
    of_outputs, of_heads = [], []
    for head, output in zip([*heads, None], outputs, strict=True):
        activity = output.detach().requires_grad_()
        with torch.enable_grad():
            seen = activity if head is None else head(unit(activity.flatten(1)))
            total = each_loss(loss, seen, targets).sum()
        parameters = [] if head is None else list(head.parameters())
        of_output, *of_head = torch.autograd.grad(total, [activity, *parameters])
        of_outputs.append(of_output.flatten(1))
        of_heads += [gradient / len(output) for gradient in of_head]
    return of_outputs, tuple(of_heads)
