"""Tangents of each sample, in parts by layer: what is zero outside one layer is held for that layer alone.

B samples, L layers, n_l outputs of layer l for one sample, n of all layers, m_l tangents in layer l alone, K tangents
over all layers, k = K + sum m_l.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Blocks(NamedTuple):
    """The k tangents of each sample.

    Attributes:
        shares: of the K tangents over all layers, the part in each layer: `[K, n_l]` if the samples share them, else
            `[B, K, n_l]`.
        own: the tangents in each layer alone, `[B, m_l, n_l]`.
    """

    shares: Sequence[Tensor]
    own: Sequence[Tensor]

    @property
    def sizes(self) -> list[int]:
        """How many tangents there are: K, then m_l of each layer."""
        return [self.shares[0].shape[-2], *(one.shape[1] for one in self.own)]


def slopes_along(blocks: Blocks, gradients: Sequence[Tensor]) -> Tensor:
    """Return the slopes `[B, k]` along all tangents from the gradients `[B, n_l]` by each layer's outputs."""
    everywhere, inside = [], []
    for share, own, gradient in zip(*blocks, gradients, strict=True):
        row = gradient.to(own.dtype).unsqueeze(1)
        everywhere.append((row @ share.mT).squeeze(1))
        inside.append((row @ own.mT).squeeze(1))
    return torch.cat([torch.stack(everywhere).sum(0), *inside], 1)


def gram(blocks: Blocks) -> Tensor:
    """Return the inner products `[B, k, k]` of each sample's tangents: the K first, then those of each layer.

    They are in double precision, where the device has it: a small angle between two tangents is the square root of a
    smaller number.
    """
    K, *_ = blocks.sizes
    first = blocks.own[0]
    precise = first.dtype if first.device.type == "mps" else torch.float64
    found = first.new_zeros(len(first), sum(blocks.sizes), sum(blocks.sizes), dtype=precise)
    start = K
    for share, own in zip(*blocks, strict=True):
        share, own = share.to(precise), own.to(precise)
        found[:, :K, :K] += share @ share.mT
        end = start + own.shape[1]
        found[:, start:end, start:end] = own @ own.mT
        across = own @ share.mT
        found[:, start:end, :K], found[:, :K, start:end] = across, across.mT
        start = end
    return found


def root(gram: Tensor, dtype: torch.dtype) -> Tensor:
    """Return F `[.., k, k]` with F F^T the Gram matrix: tangents that an aggregation cannot tell from the real ones.

    Tangents of this type that are closer to dependent than their slopes are exact count as dependent. Those of a sample
    that are not finite have a root of NaN.
    """
    length = gram.diagonal(dim1=-2, dim2=-1).sqrt().unsqueeze(-1)
    scale = torch.where(length > 0, length, 1)
    finite = gram.isfinite().all(-1, keepdim=True).all(-2, keepdim=True)
    values, vectors = torch.linalg.eigh(torch.where(finite, gram / (scale * scale.mT), 0))  # which raises for others
    smallest = max(torch.finfo(dtype).eps / 10, 10 * gram.shape[-1] * torch.finfo(gram.dtype).eps)
    found = length * (vectors * torch.where(values > smallest, values, 0).sqrt().unsqueeze(-2))
    return torch.where(finite, found, torch.nan)


def combined(blocks: Blocks, coefficients: Tensor) -> list[Tensor]:
    """Return each layer's part `[B, n_l]` of the tangents times coefficients `[B, k]`, summed up."""
    everywhere, *inside = coefficients.unsqueeze(1).split(blocks.sizes, dim=2)
    return [(row @ own + everywhere @ share).squeeze(1) for row, share, own in zip(inside, *blocks, strict=True)]


def unit(x: Tensor) -> Tensor:
    """Return rows `[B, n]` of unit length; zero stays zero."""
    length = torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return x / torch.where(length > 0, length, 1)
