"""Self-attention, whose derivatives along many directions need fewer multiplications in an order of their own."""

from __future__ import annotations

from inspect import unwrap
from typing import Any

import torch
from torch import Tensor

from frog_cli.engine.fast_attention import weighted_sums
from frog_cli.engine.fast_products import matrix_product
from frog_cli.jets.attention import self_attention, split_heads
from frog_cli.jets.jet import Jet

LARGE = 2**25
"""Multiplications for one sample that earn operations of its own."""


def self_attention_rule(
    tokens: Any, weight: Any, bias: Any, heads: int, num_queries: int | None = None, dropout: float = 0.0
) -> Any:
    """Return `self_attention`, with the changes of tokens projected last where that is faster."""
    length = tokens.shape[1]
    queries = length if num_queries is None else min(num_queries, length)
    tokens_alone_vary = isinstance(tokens, Jet) and not (isinstance(weight, Jet) or isinstance(bias, Jet) or dropout)
    if tokens_alone_vary and _projected_last_is_faster(tokens, heads, queries):
        attended, changes = _projected_last(tokens.value, tokens.terms, weight, bias, heads, queries)
        return Jet(attended, changes, tokens.directions)
    return unwrap(self_attention)(tokens, weight, bias, heads, num_queries, dropout)


def _projected_last_is_faster(tokens: Jet, heads: int, num_queries: int) -> bool:
    """Return whether it applies, and takes fewer multiplications than to project derivatives first, which are many."""
    _, length, width = tokens.shape
    applies = tokens.device.type == "cpu" and tokens.directions.order == 1 and torch.is_grad_enabled()
    projections, products = 2 * length * width, 2 * num_queries * length
    first = tokens.K * (projections + products)
    last = projections + tokens.K * heads * products
    return applies and last < first and first * width >= LARGE


@torch.library.custom_op("frog::self_attention_jet", mutates_args=())
def _projected_last(
    tokens: Tensor, changes: Tensor, weight: Tensor, bias: Tensor, heads: int, num_queries: int
) -> tuple[Tensor, Tensor]:
    """Return the attention `[B, A, C]` of the first A = `num_queries` tokens with its derivatives `[k, B, A, C]`.

    The score of token i for token j is q_i . k_j, with q_i = W_q x_i and k_j = W_k x_j. Along a direction it changes by
    (W_q^T k_j) . dx_i + (W_k^T q_i) . dx_j, whose brackets all directions share: no change is projected.
    """
    k, count, length, width = changes.shape
    size = width // heads
    weights = weight.unflatten(0, (3, heads, size))
    to_values = weight[2 * width :].mT
    queries, keys, values = split_heads(matrix_product(tokens, weight.mT) + bias, heads)
    queries, scaled_keys = queries[:, :, :num_queries], keys * size**-0.5
    P = (queries @ scaled_keys.mT).softmax(-1)
    of_change = _head_by_head(queries * size**-0.5, weights[1])
    of_query_change = _head_by_head(scaled_keys, weights[0])
    attended = P @ values
    derivatives = tokens.new_empty(k, count, num_queries, heads, size)
    for sample in range(count):
        change = changes[:, sample].reshape(-1, width)
        query_change = change if num_queries == length else changes[:, sample, :num_queries].reshape(-1, width)
        scores = matrix_product(of_change[sample], change.mT).view(heads, num_queries, k, length)
        from_queries = matrix_product(of_query_change[sample], query_change.mT).view(heads, length, k, num_queries)
        scores += from_queries.transpose(1, 3)
        v = matrix_product(change, to_values).view(k, length, heads, size)
        v = v.permute(2, 1, 0, 3).reshape(heads, length, -1)
        found = weighted_sums(P[sample], scores, values[sample], v).view(heads, num_queries, k, size)
        derivatives[:, sample] = found.permute(2, 1, 0, 3)
    return attended.transpose(1, 2).flatten(2), derivatives.flatten(3)


@_projected_last.register_fake
def _(
    tokens: Tensor, changes: Tensor, weight: Tensor, bias: Tensor, heads: int, num_queries: int
) -> tuple[Tensor, Tensor]:
    shape = tokens.shape[0], num_queries, tokens.shape[2]
    return tokens.new_empty(shape), tokens.new_empty(len(changes), *shape)


def _head_by_head(factor: Tensor, weights: Tensor) -> Tensor:
    """Multiply `[B, H, L, D]` by each head's weights, `[H, D, C]`, to `[B, H L, C]`."""
    products = [matrix_product(one.contiguous(), own) for one, own in zip(factor.unbind(1), weights, strict=True)]
    return torch.stack(products, 1).flatten(1, 2)
