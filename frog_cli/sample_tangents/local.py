"""Tangents that know something: the idea, and what their directions are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from frog_cli import ideas
from frog_cli.gradients.tangents import normal
from frog_cli.ideas.types import CountOrZero, Positive
from frog_cli.sample_tangents.blocks import unit


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


def pulled_back(passes: Sequence[tuple[Tensor, Tensor]], own: Sequence[Tensor], depth: int) -> list[Tensor]:
    """Return the tangents `[B, m_l, n_l]` of each layer: its own, and those of the layers behind up to a depth.

    Args:
        passes: what goes into each layer and what comes out, with a graph of that layer alone.
        own: of each layer, the gradients `[B, n_l]` of its own losses.
        depth: how many layers a tangent passes backward through at most.
    """
    own = [*(unit(one) for one in own)]
    blocks = [own[-1].unsqueeze(1)]
    for (entering, output), tangent in zip(passes[:0:-1], own[-2::-1], strict=True):
        pulled = [
            torch.autograd.grad(output, entering, behind.reshape(output.shape).to(output.dtype), retain_graph=True)[0]
            for behind in blocks[0].unbind(1)[:depth]
        ]
        blocks.insert(0, torch.stack([tangent, *(unit(one.flatten(1)) for one in pulled)], 1))
    return blocks
