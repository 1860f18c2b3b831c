"""Tangents that know something: for each sample and layer, directions from losses of the layer's own.

Beside each layer l but the last stands a head, a linear map of the layer's output scaled to unit length, with a loss of
its own. The derivative of that loss by the output of layer l is a tangent: of one sample, zero in all other layers. For
the last layer it is the derivative of the loss itself, which is local there. With a depth d > 0 the tangents of the d
layers behind join it, each pulled back through the layers between alone. Along all of them the slopes of the REAL loss
are measured, and combined as those of random tangents are: the projection onto them is the best estimate within their
span, and for tangents of different layers, which are orthogonal, each layer gets its own coefficient.

B samples, L layers, n_l outputs of layer l for one sample, m_l tangents there, K random tangents beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import Linear, Module, ModuleList, Sequential

from frog_cli import ideas
from frog_cli.gradients.activities import activity_sizes, layer_passes, local_gradients, reverse
from frog_cli.gradients.aggregation import Aggregation
from frog_cli.gradients.measurement import forward
from frog_cli.gradients.space import SampleLoss, Tensors, without_autocast
from frog_cli.gradients.tangents import Sampler, normal
from frog_cli.ideas.types import CountOrZero, Positive
from frog_cli.modules.calls import call_with, cloned_buffers, copied, untouched
from frog_cli.modules.requirements import as_layers, check_batch, check_one_tensor, each_loss, warn_of_coupling
from frog_cli.modules.restoring import attributes_restored, random_state, set_random_state


@ideas.tangents
def local(
    shape: tuple[int, ...],
    generator: Generator,
    dtype: torch.dtype,
    *,
    depth: CountOrZero = 0,
    random: CountOrZero = 0,
    rate: Positive = 20.0,
) -> Tensor:
    """From losses of the layers' own, and random ones; over activities only.

    What is drawn here are the random ones alone, independent standard normal entries.

    Args:
        shape: of the random tangents.
        generator: what they are drawn from.
        dtype: of their entries.
        depth: how many layers further on the tangents of a layer come from as well.
        random: how many random tangents over all layers join them.
        rate: the learning rate of the layers' own losses.
    """
    del depth, random, rate
    return normal(shape, generator, dtype)


class Heads(ModuleList):
    """A linear head for each layer but the last, zero at first."""

    def __init__(self, model: Module, inputs: Tensor):
        """Make the heads of a sequential model for batches like `inputs`, with as many outputs as it has."""
        layers = as_layers(model)
        check_one_tensor(inputs)
        like = next(model.parameters())
        *sizes, classes = activity_sizes(layers, inputs[:2])
        super().__init__(Linear(size, classes, device=like.device, dtype=like.dtype) for size in sizes)
        for parameter in self.parameters():
            torch.nn.init.zeros_(parameter)


@dataclass(frozen=True, kw_only=True)
class LocalTangents:
    """How the gradient is estimated from tangents of local losses.

    Attributes:
        depth: how many layers further on the tangents of a layer come from as well, at least 0.
        random: number K of random tangents over all layers beside them, at least 0.
        tangents: samples these.
        measure: of the slopes, `forward` or `simulated`; `greedy` ones are those of the layers' own losses.
        aggregation: makes coefficients of the slopes; it may depend on the tangents through their Gram matrix alone.
    """

    depth: int
    random: int
    tangents: Sampler
    measure: Literal["forward", "simulated", "greedy"]
    aggregation: Aggregation


class LocalEstimate(NamedTuple):
    """What a batch tells.

    Attributes:
        loss: the mean loss `[]`.
        gradients: the estimate, a tensor for each parameter of the model.
        of_heads: the gradients of the heads' own mean losses, a tensor for each parameter of the heads.
    """

    loss: Tensor
    gradients: Tensors
    of_heads: Tensors


def estimate_from_local_tangents(
    method: LocalTangents,
    model: Sequential,
    heads: Heads,
    loss: SampleLoss,
    inputs: Tensor,
    targets: Tensor,
    generator: Generator,
) -> LocalEstimate:
    """Estimate the gradient of the mean loss over a batch; nothing passes backward through more than `depth` layers.

    With simulated slopes a true gradient stands for the forward passes, as everywhere.
    """
    check_batch(inputs)
    before, restore = random_state(inputs.device), attributes_restored(model, loss)
    buffers = cloned_buffers(model)
    passes = list(layer_passes(model, inputs, linked=True))
    outputs = [output for _, output in passes]
    own, of_heads = _of_own_losses(outputs, heads, loss, targets)
    blocks = _with_pulled_back(passes, [_unit(one) for one in own], method.depth)
    n = sum(output[0].numel() for output in outputs)
    V = (
        method.tangents((method.random, n), generator, outputs[0].dtype)
        if method.random
        else outputs[0].new_zeros(0, n)
    )
    if method.measure == "simulated":
        losses, gradients = reverse(loss, targets, passes)
        slopes = _simulated(blocks, V, gradients)
    elif method.measure == "greedy":
        losses, slopes = each_loss(loss, outputs[-1].detach(), targets), _simulated(blocks, V, own)
    else:
        warn_of_coupling(model)
        after = random_state(inputs.device)
        set_random_state(inputs.device, before)  # so that dropout is that of the pass above
        restore()
        losses, slopes = measure_growing(model, buffers, loss, inputs, targets, blocks, V)
        set_random_state(inputs.device, after)
    with without_autocast(V.device):
        factor = _root(_gram(blocks, V))
        coefficients = method.aggregation(factor, slopes.unsqueeze(-1)).squeeze(-1)
        combined = torch.cat(_combined(blocks, V, coefficients / len(inputs)), 1)
    return LocalEstimate(losses.mean(), local_gradients(model, outputs, lambda part: combined[:, part]), of_heads)


def _of_own_losses(
    outputs: Sequence[Tensor], heads: Heads, loss: SampleLoss, targets: Tensor
) -> tuple[list[Tensor], Tensors]:
    """Return the gradients `[B, n_l]` of each layer's own losses by its outputs, and those of the heads."""
    own, of_heads = [], []
    for head, output in zip([*heads, None], outputs, strict=True):
        activity = output.detach().requires_grad_()
        with torch.enable_grad():
            seen = activity if head is None else head(_unit(activity.flatten(1)))
            losses = each_loss(loss, seen, targets)
        parameters = [] if head is None else list(head.parameters())
        tangent, *found = torch.autograd.grad(losses.sum(), [activity, *parameters])
        own.append(tangent.flatten(1))
        of_heads += [gradient / len(output) for gradient in found]
    return own, tuple(of_heads)


def _with_pulled_back(passes: Sequence[tuple[Tensor, Tensor]], own: Sequence[Tensor], depth: int) -> list[Tensor]:
    """Return the tangents of each layer, `[B, m_l, n_l]`: its own, and those of the layers behind up to a depth."""
    blocks = [own[-1].unsqueeze(1)]
    for (entering, output), tangent in zip(passes[:0:-1], own[-2::-1], strict=True):
        pulled = [
            torch.autograd.grad(output, entering, behind.reshape(output.shape).to(output.dtype), retain_graph=True)[0]
            for behind in blocks[0].unbind(1)[:depth]
        ]
        blocks.insert(0, torch.stack([tangent, *(_unit(one.flatten(1)) for one in pulled)], 1))
    return blocks


def _unit(x: Tensor) -> Tensor:
    """Return rows `[B, n]` of unit length; zero stays zero."""
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / torch.where(length > 0, length, 1)


def measure_growing(
    model: Sequential,
    buffers: dict[int, Tensor],
    loss: SampleLoss,
    inputs: Tensor,
    targets: Tensor,
    blocks: Sequence[Tensor],
    V: Tensor,
) -> tuple[Tensor, Tensor]:
    """Measure each sample's loss `[B]` and its slopes `[B, K + sum m_l]` in one forward pass that gains directions.

    A tangent of layer l is carried from there on only: the pass begins without any.

    Args:
        model: the layers.
        buffers: those that the pass is to see, and may change.
        loss: of each sample.
        inputs: the batch.
        targets: of the batch.
        blocks: the tangents `[B, m_l, n_l]` of each layer.
        V: tangents `[K, n]` over all layers, shared by the batch.
    """
    activity = untouched(inputs, model)
    terms = activity.new_zeros(0, *activity.shape)
    shares = V.split([block.shape[2] for block in blocks], dim=1)
    for layer, block, share in zip(model, blocks, shares, strict=True):
        activity, terms = _through(layer, buffers, activity, terms)
        shape = activity.shape
        everywhere = share.view(-1, 1, *shape[1:])
        terms = (
            everywhere.expand(-1, *shape)
            if not len(terms)
            else torch.cat([terms[: len(V)] + everywhere, terms[len(V) :]])
        )
        terms = torch.cat([terms, block.mT.movedim(2, 0).reshape(-1, *shape)]).to(activity.dtype)
    losses, slopes, _ = forward(lambda x: (each_loss(loss, x, copied(targets)), ()), (activity,), (terms,))
    return losses.detach(), slopes.mT


def _through(layer: Module, buffers: dict[int, Tensor], activity: Tensor, terms: Tensor) -> tuple[Tensor, Tensor]:
    """Return a layer's output and the derivatives of it `[K, *output]`, for those of what goes in."""

    def call(x: Tensor) -> tuple[Tensor, tuple[()]]:
        weights = [weight.detach() for weight in layer.parameters() if weight.requires_grad]
        return call_with(layer, weights, buffers, x), ()

    if len(terms):
        output, derivatives, _ = forward(call, (activity,), (terms,))
        return output.detach(), derivatives
    with torch.no_grad():
        output, _ = call(activity)
    return output, output.new_zeros(0, *output.shape)


def _simulated(blocks: Sequence[Tensor], V: Tensor, gradients: Sequence[Tensor]) -> Tensor:
    """Return the slopes `[B, K + sum m_l]` along all tangents from the true gradients `[B, n_l]`."""
    with without_autocast(V.device):
        random = torch.cat(list(gradients), 1).to(V.dtype) @ V.mT
        pairs = zip(blocks, gradients, strict=True)
        own = [torch.einsum("bmn,bn->bm", block, gradient.to(block.dtype)) for block, gradient in pairs]
    return torch.cat([random, *own], 1)


def _gram(blocks: Sequence[Tensor], V: Tensor) -> Tensor:
    """Return the inner products `[B, k, k]` of each sample's tangents: the K random ones, then those of each layer."""
    shares = V.split([block.shape[2] for block in blocks], dim=1)
    sizes = [len(V), *(block.shape[1] for block in blocks)]
    gram = V.new_zeros(len(blocks[0]), sum(sizes), sum(sizes))
    gram[:, : len(V), : len(V)] = V @ V.mT
    start = len(V)
    for block, share in zip(blocks, shares, strict=True):
        end = start + block.shape[1]
        gram[:, start:end, start:end] = block @ block.mT
        across = block @ share.mT
        gram[:, start:end, : len(V)], gram[:, : len(V), start:end] = across, across.mT
        start = end
    return gram


def _root(gram: Tensor) -> Tensor:
    """Return F `[.., k, k]` with F F^T the Gram matrix: tangents that an aggregation cannot tell from the real ones."""
    length = gram.diagonal(dim1=-2, dim2=-1).sqrt().unsqueeze(-1)
    scale = torch.where(length > 0, length, 1)
    values, vectors = torch.linalg.eigh(gram / (scale * scale.mT))
    return length * (vectors * values.clamp(min=0).sqrt().unsqueeze(-2))


def _combined(blocks: Sequence[Tensor], V: Tensor, coefficients: Tensor) -> list[Tensor]:
    """Return the estimated gradients `[B, n_l]` of each layer's outputs from coefficients `[B, K + sum m_l]`."""
    sizes = [len(V), *(block.shape[1] for block in blocks)]
    random, *own = coefficients.split(sizes, dim=1)
    shares = V.split([block.shape[2] for block in blocks], dim=1)
    return [
        torch.einsum("bm,bmn->bn", c, block) + random @ share
        for c, block, share in zip(own, blocks, shares, strict=True)
    ]
