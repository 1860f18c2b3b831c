"""Attention: the rule of torch's operation, and the self-attention that models call and rules may be laid over."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, scaled_dot_product_attention

from frog_cli.jets.jet import NoRuleError, may_have_rule, value_of

aten = torch.ops.aten


def attention(
    query: Any, key: Any, value: Any, dropout_p: float = 0.0, is_causal: bool = False,
    *, attn_mask: Any = None, scale: float | None = None,
) -> tuple[Any, Tensor]:  # fmt: skip
    """Return the values weighted by the softmax of the scores, and an empty tensor for what the reverse mode needs."""
    if query.shape[1] != key.shape[1]:
        raise NoRuleError("no forward-mode rule for attention whose queries share their keys")
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    unused = value_of(query).new_empty(0)
    scores = query @ key.transpose(-2, -1) * scale
    if is_causal:
        hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(hidden, -torch.inf)
    if attn_mask is not None:
        scores = scores + attn_mask
    return aten._safe_softmax(scores, -1) @ value, unused


@may_have_rule
def self_attention(
    tokens: Tensor, weight: Tensor, bias: Tensor, heads: int, num_queries: int | None = None, dropout: float = 0.0
) -> Tensor:
    """Return multi-head attention of the first `num_queries` tokens, before the output projection.

    Args:
        tokens: `[B, L, C]`.
        weight: of the projections to queries, keys and values, `[3 C, C]`.
        bias: of the same, `[3 C]`.
        heads: their number, a divisor of C.
        num_queries: how many tokens attend, at most; None for all.
        dropout: probability with which an attention weight is dropped.

    Returns:
        The heads side by side, `[B, min(num_queries, L), C]`.
    """
    num_queries = tokens.shape[1] if num_queries is None else min(num_queries, tokens.shape[1])
    query, key, value = split_heads(linear(tokens, weight, bias), heads)
    attended = scaled_dot_product_attention(query[:, :, :num_queries], key, value, dropout_p=dropout)
    return attended.transpose(1, 2).flatten(2)


def split_heads(projected: Tensor, heads: int) -> tuple[Tensor, ...]:
    """Return queries, keys and values, each `[B, H, L, D]`, from `[B, L, 3 H D]`."""
    return projected.unflatten(-1, (3, heads, -1)).transpose(1, 3).unbind(2)
