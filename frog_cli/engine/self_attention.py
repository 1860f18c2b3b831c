"""Self-attention, whose derivatives along many directions need fewer multiplications in an order of their own."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear, scaled_dot_product_attention

from frog_cli.engine.attention import weighted_sums
from frog_cli.engine.products import matrix_product
from frog_cli.jets.jets import Jet

LARGE = 2**25
"""Multiplications for one sample that earn operations of its own."""


def self_attention(
    tokens: Tensor, weight: Tensor, bias: Tensor, heads: int, asking: int | None = None, dropout: float = 0.0
) -> Tensor:
    """Return what the first tokens learn from all of them, the heads side by side, before these are mixed.

    Args:
        tokens: `[B, L, C]`.
        weight: of the projections to queries, keys and values, `[3 C, C]`.
        bias: of the same, `[3 C]`.
        heads: their number, a divisor of C.
        asking: how many tokens ask, A; None for all.
        dropout: probability with which a token's share in an answer is dropped.

    Returns:
        The answers, `[B, A, C]`.
    """
    asking = tokens.shape[1] if asking is None else min(asking, tokens.shape[1])
    tokens_alone_vary = not (isinstance(weight, Jet) or isinstance(bias, Jet) or dropout)
    if isinstance(tokens, Jet) and tokens_alone_vary and _projected_last_is_faster(tokens, heads, asking):
        answers, changes = _projected_last(tokens.value, tokens.terms, weight, bias, heads, asking)
        return Jet(answers, changes, tokens.directions)
    query, key, value = _by_head(linear(tokens, weight, bias), heads)
    attended = scaled_dot_product_attention(query[:, :, :asking], key, value, dropout_p=dropout)
    return attended.transpose(1, 2).flatten(2)


def _by_head(projected: Tensor, heads: int) -> tuple[Tensor, ...]:
    """Return queries, keys and values, each `[B, H, L, D]`, from `[B, L, 3 H D]`."""
    return projected.unflatten(-1, (3, heads, -1)).transpose(1, 3).unbind(2)


def _projected_last_is_faster(tokens: Jet, heads: int, asking: int) -> bool:
    """Return whether it applies, and takes fewer multiplications than to project derivatives first, which are many."""
    _, length, width = tokens.shape
    applies = tokens.device.type == "cpu" and tokens.directions.order == 1 and torch.is_grad_enabled()
    projections, products = 2 * length * width, 2 * asking * length
    first = tokens.K * (projections + products)
    last = projections + tokens.K * heads * products
    return applies and last < first and first * width >= LARGE


@torch.library.custom_op("frog::self_attention_jet", mutates_args=())
def _projected_last(
    tokens: Tensor, changes: Tensor, weight: Tensor, bias: Tensor, heads: int, asking: int
) -> tuple[Tensor, Tensor]:
    """Return the answers `[B, A, C]` to the first A tokens with their derivatives `[k, B, A, C]`.

    The score of token i for token j is q_i . k_j, with q_i = W_q x_i and k_j = W_k x_j. Along a direction it changes by
    (W_q^T k_j) . dx_i + (W_k^T q_i) . dx_j, whose brackets all directions share: no change is projected.
    """
    k, count, length, width = changes.shape
    size = width // heads
    weights = weight.unflatten(0, (3, heads, size))
    to_values = weight[2 * width :].mT
    queries, keys, values = _by_head(matrix_product(tokens, weight.mT) + bias, heads)
    queries, scaled_keys = queries[:, :, :asking], keys * size**-0.5
    P = (queries @ scaled_keys.mT).softmax(-1)
    of_change = _head_by_head(queries * size**-0.5, weights[1])
    of_asking_change = _head_by_head(scaled_keys, weights[0])
    answers = P @ values
    derivatives = tokens.new_empty(k, count, asking, heads, size)
    for sample in range(count):
        change = changes[:, sample].reshape(-1, width)
        asking_change = change if asking == length else changes[:, sample, :asking].reshape(-1, width)
        scores = matrix_product(of_change[sample], change.mT).view(heads, asking, k, length)
        from_asking = matrix_product(of_asking_change[sample], asking_change.mT).view(heads, length, k, asking)
        scores += from_asking.transpose(1, 3)
        v = matrix_product(change, to_values).view(k, length, heads, size)
        v = v.permute(2, 1, 0, 3).reshape(heads, length, -1)
        found = weighted_sums(P[sample], scores, values[sample], v).view(heads, asking, k, size)
        derivatives[:, sample] = found.permute(2, 1, 0, 3)
    return answers.transpose(1, 2).flatten(2), derivatives.flatten(3)


@_projected_last.register_fake
def _(tokens: Tensor, changes: Tensor, weight: Tensor, bias: Tensor, heads: int, asking: int) -> tuple[Tensor, Tensor]:
    answers = tokens.shape[0], asking, tokens.shape[2]
    return tokens.new_empty(answers), tokens.new_empty(len(changes), *answers)


def _head_by_head(factor: Tensor, weights: Tensor) -> Tensor:
    """Multiply `[B, H, L, D]` by each head's weights, `[H, D, C]`, to `[B, H L, C]`."""
    products = [matrix_product(one.contiguous(), own) for one, own in zip(factor.unbind(1), weights, strict=True)]
    return torch.stack(products, 1).flatten(1, 2)
