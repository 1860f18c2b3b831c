"""Derivatives of scaled dot-product attention along many directions at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

IN_CACHE = 2**20
"""Numbers in one of the matrices that are held at once: few enough to stay in the cache, as many as products need."""


def write_jet(
    value: Tensor, derivatives: Tensor, factors: Sequence[Tensor], changes: Sequence[Tensor], scale: float
) -> None:
    """Write softmax(scale Q K^T) V and its derivatives along k directions.

    The directions of some samples are joined, so that each factor that does not vary is in one matrix product with all
    of them; they lie next to a query's position, where both terms of a product rule have the same place.

    Args:
        value: where to write the value, `[B, H, L, E]`.
        derivatives: where to write the derivatives, `[k, B, H, L, E]`.
        factors: Q `[B, H, L, D]`, K `[B, H, M, D]` and V `[B, H, M, E]`.
        changes: their derivatives, with a leading k.
        scale: of the scores.
    """
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
        everywhere = P.unsqueeze(2).expand(n, length, k, keys)
        # the Jacobian of softmax is symmetric, so that torch's kernel for the reverse mode serves
        p = torch.ops.aten._softmax_backward_data(scores.view(everywhere.shape), everywhere, -1, P.dtype)
        found = torch.bmm(p.view(n, length * k, keys), V).view(n, length, -1).baddbmm_(P, v)
        derivatives[:, some] = found.view(-1, heads, length, k, V.shape[-1]).permute(3, 0, 1, 2, 4)
