"""Derivatives of scaled dot-product attention along many directions at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

IN_CACHE = 2**20
"""Numbers in one of the matrices that are held at once: few enough to stay in the cache, as many as products need."""


@torch.library.custom_op("frog::attention_jet", mutates_args=())
def attention_jet(factors: Sequence[Tensor], changes: Sequence[Tensor], scale: float) -> tuple[Tensor, Tensor]:
    """Return softmax(scale Q K^T) V and its derivatives along k directions.

    The directions of some samples are joined, so that each factor that does not vary is in one matrix product with all
    of them; they lie next to a query's position, where both terms of a product rule have the same place.

    Args:
        factors: Q `[B, H, L, D]`, K `[B, H, M, D]` and V `[B, H, M, E]`.
        changes: their derivatives, with a leading k.
        scale: of the scores.

    Returns:
        The value `[B, H, L, E]` and the derivatives `[k, B, H, L, E]`, both with the heads next to E in memory.
    """
    value, derivatives = _room(factors, changes)
    k, count, heads, length, size = changes[0].shape
    keys = factors[1].shape[2]
    samples = max(1, IN_CACHE // (k * heads * length * max(size, keys)))
    for first in range(0, count, samples):
        some = slice(first, first + samples)
        Q, K, V = (factor[some].flatten(0, 1) for factor in factors)
        scaled, n = Q * scale, len(Q)
        P = torch.bmm(scaled, K.mT).softmax(-1)
        value[some] = torch.bmm(P, V).view_as(value[some])
        q, k_, v = (change[:, some] for change in changes)
        q = q.permute(1, 2, 3, 0, 4).reshape(n, length * k, size)
        k_ = k_.permute(1, 2, 0, 3, 4).reshape(n, k * keys, size)
        v = v.permute(1, 2, 3, 0, 4).reshape(n, keys, -1)
        scores = torch.bmm(scaled, k_.mT).view(n, length * k, keys).baddbmm_(q, K.mT, alpha=scale)
        found = weighted_sums(P, scores.view(n, length, k, keys), V, v)
        derivatives[:, some] = found.view(-1, heads, length, k, V.shape[-1]).permute(3, 0, 1, 2, 4)
    return value, derivatives


@attention_jet.register_fake
def _room(factors: Sequence[Tensor], changes: Sequence[Tensor], scale: float | None = None) -> tuple[Tensor, Tensor]:
    """Return memory for the value and the derivatives, which tells compilers their layout, too."""
    count, heads, length, _ = factors[0].shape
    shape = count, length, heads, factors[2].shape[-1]
    leading = len(changes[0])
    return factors[0].new_empty(shape).transpose(1, 2), factors[0].new_empty(leading, *shape).transpose(2, 3)


def weighted_sums(P: Tensor, scores: Tensor, V: Tensor, v: Tensor) -> Tensor:
    """Return the derivatives of softmax(S) V along k directions, `[N, L, k E]`, for N heads.

    Args:
        P: softmax(S), `[N, L, M]`.
        scores: the derivatives of S, `[N, L, k, M]`.
        V: what is weighted, `[N, M, E]`.
        v: its derivatives, `[N, M, k E]`.
    """
    n, length, k, keys = scores.shape
    # the Jacobian of softmax is symmetric, so that torch's kernel for the reverse mode serves
    p = torch.ops.aten._softmax_backward_data(scores, P.unsqueeze(2).expand(scores.shape), -1, P.dtype)
    return torch.bmm(p.view(n, length * k, keys), V).view(n, length, v.shape[-1]).baddbmm_(P, v)
