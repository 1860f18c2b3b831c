"""Slopes of the real loss along the tangents of each sample, in one forward pass that gains directions on its way."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import Module, Sequential

from frog_cli.gradients.measurement import forward
from frog_cli.gradients.space import SampleLoss
from frog_cli.modules.calls import call_with, copied, untouched
from frog_cli.modules.requirements import check_reached_through_modules, each_loss
from frog_cli.sample_tangents.blocks import Blocks


def measure_growing(
    model: Sequential, buffers: dict[int, Tensor], loss: SampleLoss, first: Tensor, targets: Tensor, blocks: Blocks
) -> tuple[Tensor, Tensor]:
    """Measure each sample's loss `[B]` and its slopes `[B, k]`; a tangent in one layer alone is carried from there on.

    No tangent goes through the first layer, whose outputs are taken as they are.

    Args:
        model: the layers.
        buffers: those that the pass is to see, and may change.
        loss: of each sample.
        first: outputs of the first layer for a batch.
        targets: of the batch.
        blocks: the tangents.
    """
    trained = list(model.parameters())
    activity, carried = first, first.new_zeros(0, *first.shape)
    for index, (layer, share, own) in enumerate(zip(model, *blocks, strict=True)):
        if index > 0:
            activity, carried = _through(layer, buffers, trained, untouched(activity, layer), carried)
        shape = activity.shape
        everywhere = share.unsqueeze(-2) if share.ndim == 2 else share.movedim(1, 0)
        everywhere = everywhere.unflatten(-1, shape[1:]).expand(-1, *shape)
        K = len(everywhere)
        begun = everywhere if not len(carried) else carried[:K] + everywhere
        inside = own.movedim(1, 0).unflatten(-1, shape[1:])
        carried = torch.cat([begun, carried[K:], inside]).to(activity.dtype)
    losses, slopes, _ = forward(lambda x: (each_loss(loss, x, copied(targets)), ()), (activity,), (carried,))
    return check_reached_through_modules(losses, trained).detach(), slopes.mT


def _through(
    layer: Module, buffers: dict[int, Tensor], trained: Sequence[Tensor], activity: Tensor, carried: Tensor
) -> tuple[Tensor, Tensor]:
    """Return a layer's output and its derivatives `[K, *output]` along those of what goes in."""

    def call(x: Tensor) -> tuple[Tensor, tuple[()]]:
        weights = [weight.detach() for weight in layer.parameters() if weight.requires_grad]
        return check_reached_through_modules(call_with(layer, weights, buffers, x), trained), ()

    output, derivatives, _ = forward(call, (activity,), (carried,))
    return check_reached_through_modules(output, trained).detach(), derivatives
