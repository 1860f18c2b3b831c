"""Faster rules for jets, which are laid over those of the table: fast products, and attention in other orders."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from frog_cli.engine.fast_attention import attention_jet
from frog_cli.engine.fast_products import matrix_product
from frog_cli.engine.fast_self_attention import self_attention_rule
from frog_cli.jets.attention import attention, self_attention
from frog_cli.jets.jet import Jet, Rule, laid_over
from frog_cli.jets.products import MATRIX_PRODUCTS, matrix_products


def faster_jets() -> AbstractContextManager[None]:
    """Let the faster rules stand in the table while the body runs."""
    return laid_over(FASTER)


def _attention(
    query: Any, key: Any, value: Any, dropout_p: float = 0.0, is_causal: bool = False,
    *, attn_mask: Any = None, scale: float | None = None,
) -> tuple[Any, Tensor]:  # fmt: skip
    """Attend by `attention_jet` where all three vary to first order, without a mask."""
    all_vary = isinstance(query, Jet) and isinstance(key, Jet) and isinstance(value, Jet)
    same_heads = query.shape[1] == key.shape[1]
    if all_vary and same_heads and query.directions.order == 1 and not is_causal and attn_mask is None:
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        unused = query.value.new_empty(0)  # what the reverse mode would need
        jets = query, key, value
        result, terms = attention_jet([x.value for x in jets], [x.terms for x in jets], scale)
        return Jet(result, terms, query.directions), unused
    return attention(query, key, value, dropout_p, is_causal, attn_mask=attn_mask, scale=scale)


FASTER: dict[Any, Rule] = {
    **dict.fromkeys(MATRIX_PRODUCTS, matrix_products(matrix_product)),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default: _attention,
    self_attention: self_attention_rule,
}
