"""Tangents in each layer alone, whose slopes may be those of a loss of the layer's own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from frog_cli import ideas
from frog_cli.gradients.aggregation import Aggregation
from frog_cli.gradients.tangents import normal
from frog_cli.ideas.types import Positive


@ideas.tangents(unbiased=True)
def layerwise(shape: tuple[int, ...], generator: Generator, dtype: torch.dtype, *, rate: Positive = 20.0) -> Tensor:
    """Normal, k in each layer alone; over activities (Ren et al. 2023).

    Each is zero in all layers but one, and the layers are estimated independently of each other: in a layer of n_l
    outputs the noise is that of n_l dimensions. A pass along them carries k more directions from layer to layer. With
    gradient.measure=greedy the slopes are not those of the real loss, but of a loss of each layer's own, from a linear
    head of its output: greedy training layer by layer (arXiv 2210.03310).

    Args:
        shape: of the tangents.
        generator: what they are drawn from.
        dtype: of their entries.
        rate: the learning rate of the layers' own losses, with gradient.measure=greedy.
    """
    del rate
    return normal(shape, generator, dtype)


def coefficients_by_layer(aggregation: Aggregation, own: Sequence[Tensor], slopes: Tensor) -> Tensor:
    """Return coefficients `[B, k]` of tangents in one layer each, aggregated layer by layer.

    Args:
        aggregation: makes coefficients of slopes.
        own: the tangents in each layer alone, `[K, n_l]` if the samples share them, else `[B, K, n_l]`.
        slopes: along them, `[B, k]`, K of each layer.
    """
    parts = slopes.to(own[0].dtype).chunk(len(own), dim=1)
    if own[0].ndim == 2:
        return torch.cat([aggregation(V, d.mT).mT for V, d in zip(own, parts, strict=True)], dim=1)
    return torch.cat([aggregation(V, d.unsqueeze(2)).squeeze(2) for V, d in zip(own, parts, strict=True)], dim=1)
