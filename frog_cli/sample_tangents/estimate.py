"""The gradient from tangents of each sample's own, as far as they span it.

Beside each layer l but the last stands a head, a linear map of the layer's output scaled to unit length, with a loss of
its own. The derivative of that loss by the output of layer l is a tangent: of one sample, zero in all other layers. For
the last layer it is the derivative of the loss itself, which is local there. With a depth d > 0 the tangents of the d
layers behind join it, each pulled back through the layers between alone. Along all of them, and along random ones if
wanted, the slopes of the REAL loss are measured, and combined as those of random tangents are: the projection onto them
is the best estimate within their span, and for tangents of different layers, which are orthogonal, each layer gets its
own coefficient.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import Sequential

from frog_cli.gradients.activities import activity_sizes, layer_passes, local_gradients, reverse
from frog_cli.gradients.aggregation import Aggregation
from frog_cli.gradients.space import SampleLoss, Tensors, without_autocast
from frog_cli.gradients.tangents import Sampler
from frog_cli.modules.calls import cloned_buffers
from frog_cli.modules.random_numbers import random_state, set_random_state
from frog_cli.modules.requirements import check_batch, each_loss, warn_of_coupling
from frog_cli.modules.restoring import attributes_restored, buffers_restored
from frog_cli.sample_tangents.blocks import Blocks, combined, gram, root, slopes_along
from frog_cli.sample_tangents.gated import where_on
from frog_cli.sample_tangents.heads import Heads, own_gradients
from frog_cli.sample_tangents.layerwise import coefficients_by_layer
from frog_cli.sample_tangents.local import pulled_back
from frog_cli.sample_tangents.measurement import measure_growing


@dataclass(frozen=True, kw_only=True)
class SampleTangents:
    """How the gradient is estimated from tangents of each sample.

    Attributes:
        depth: how many layers further on the tangents of a layer come from as well, at least 0; of importance only
            with heads.
        random: number K of random tangents over all layers, at least 0, and 1 without heads.
        per: whether the samples of a batch share the random ones, or each has its own.
        gated: whether the random ones are zero where a layer's ReLU is off, for each sample.
        layerwise: whether the random ones are K in each layer alone instead, each layer aggregated by itself; then no
            others come from heads, whose losses are there for `greedy` slopes.
        tangents: samples these.
        measure: of the slopes, `forward` or `simulated`; `greedy` ones are those of the layers' own losses.
        aggregation: makes coefficients of the slopes; it may depend on the tangents through their Gram matrix alone.
    """

    depth: int = 0
    random: int
    per: Literal["batch", "sample"] = "batch"
    gated: bool = False
    layerwise: bool = False
    tangents: Sampler
    measure: Literal["forward", "simulated", "greedy"]
    aggregation: Aggregation

    def draw(self, samples: int, n: int, generator: Generator, dtype: torch.dtype) -> Tensor:
        """Return the random tangents, `[K, n]` or `[B, K, n]`."""
        drawn_for = (samples,) if self.per == "sample" else ()
        if not self.random:
            return torch.zeros(*drawn_for, 0, n, dtype=dtype, device=generator.device)
        return self.tangents((*drawn_for, self.random, n), generator, dtype)


class SampleEstimate(NamedTuple):
    """What a batch tells.

    Attributes:
        loss: the mean loss `[]`.
        gradients: the estimate, a tensor for each parameter of the model.
        of_heads: the gradients of the heads' own mean losses, a tensor for each parameter of the heads.
        coefficients: of each sample's tangents, `[B, k]`.
    """

    loss: Tensor
    gradients: Tensors
    of_heads: Tensors
    coefficients: Tensor


def estimate_from_sample_tangents(
    method: SampleTangents,
    model: Sequential,
    heads: Heads | None,
    loss: SampleLoss,
    inputs: Tensor,
    targets: Tensor,
    generator: Generator,
) -> SampleEstimate:
    """Estimate the gradient of the mean loss over a batch; nothing passes backward through more than `depth` layers.

    With simulated slopes a true gradient stands for the forward passes, as everywhere. Without heads the random
    tangents are all there are.
    """
    check_batch(inputs)
    n = sum(activity_sizes(model, inputs[:2]))
    V = method.draw(len(inputs), n, generator, next(model.parameters()).dtype)
    return estimate_along(method, model, heads, loss, inputs, targets, V)


def estimate_along(
    method: SampleTangents,
    model: Sequential,
    heads: Heads | None,
    loss: SampleLoss,
    inputs: Tensor,
    targets: Tensor,
    V: Tensor,
) -> SampleEstimate:
    """Estimate the gradient as `estimate_from_sample_tangents` does, with given random tangents V."""
    walk = layer_passes(model, inputs, linked=True)
    passes = [next(walk)]
    # what the other layers see, so that they are measured as they are now: dropout, statistics, attributes
    before, restore, buffers = random_state(inputs.device), attributes_restored(model, loss), cloned_buffers(model)
    restore_buffers = buffers_restored(model)
    passes += walk
    outputs = [output for _, output in passes]
    restore_loss = attributes_restored(None, loss)  # which is asked once for each head, too
    own, of_heads = own_gradients(outputs, heads, loss, targets) if heads is not None else ([], ())
    restore_loss()
    if method.gated:
        V = V * where_on(model, outputs).unsqueeze(1)
    shares = V.split([one[0].numel() for one in outputs], dim=-1)
    if method.layerwise:
        blocks = Blocks(
            [share[..., :0, :] for share in shares], [share.expand(len(inputs), -1, -1) for share in shares]
        )
    else:
        found = pulled_back(passes, own, method.depth) if heads is not None else _none(outputs)
        blocks = Blocks(shares, [tangents.to(V.dtype) for tangents in found])
    if method.measure == "simulated":
        losses, gradients = reverse(loss, targets, passes)
        slopes = _slopes(blocks, gradients)
    elif method.measure == "greedy":
        losses, slopes = each_loss(loss, outputs[-1].detach(), targets), _slopes(blocks, own)
    else:
        warn_of_coupling(model)
        after, restore_later_buffers = random_state(inputs.device), buffers_restored(model)
        set_random_state(inputs.device, before)
        restore()
        restore_buffers()
        losses, slopes = measure_growing(model, buffers, loss, outputs[0].detach(), targets, blocks)
        set_random_state(inputs.device, after)
        restore_later_buffers()
    with without_autocast(V.device):
        if method.layerwise:
            coefficients = coefficients_by_layer(method.aggregation, shares, slopes)
        else:
            factor = root(gram(blocks), V.dtype)
            coefficients = method.aggregation(factor, slopes.unsqueeze(-1).to(factor.dtype)).squeeze(-1).to(V.dtype)
        estimates = torch.cat(combined(blocks, coefficients / len(inputs)), 1)
    estimated = local_gradients(model, outputs, lambda part: estimates[:, part])
    return SampleEstimate(losses.mean(), estimated, of_heads, coefficients)


def _none(outputs: Sequence[Tensor]) -> list[Tensor]:
    """Return no tangents for each of some layers."""
    return [output.new_zeros(len(output), 0, output[0].numel()) for output in outputs]


def _slopes(blocks: Blocks, gradients: Sequence[Tensor]) -> Tensor:
    with without_autocast(blocks.own[0].device):
        return slopes_along(blocks, gradients)
