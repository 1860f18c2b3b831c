"""Attention."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F  # noqa: N812
from torch.nn.functional import scaled_dot_product_attention as attend

from frog_cli.jets.attention import self_attention
from frog_cli.jets.jet import measure_second_order
from tests.jets.oracles import K, check_case, randn

SHAPES = (2, 2, 5, 4), (2, 2, 5, 4), (2, 2, 5, 3)
MASK = randn(5, 5).fill_diagonal_(1)
CASES = {
    "attention": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v), (2, 2, 5, 4), (2, 2, 5, 4), (2, 2, 5, 4)),
    "causal attention": (lambda q, k, v: attend(q, k, v, is_causal=True), *SHAPES),
    "masked attention": (lambda q, k, v: attend(q, k, v, attn_mask=MASK > 0), *SHAPES),
    "attention with added scores": (lambda q, k, v: attend(q, k, v, attn_mask=MASK), *SHAPES),
    "attention of another scale": (lambda q, k, v: attend(q, k, v, scale=0.3), *SHAPES),
    "attention to what does not vary": (lambda q: attend(q, *(randn(*shape) for shape in SHAPES[1:])), SHAPES[0]),
    "self-attention": (lambda x, w, b: self_attention(x, w, b, 2), (2, 5, 6), (18, 6), (18,)),
    "self-attention of some tokens": (lambda x: self_attention(x, randn(18, 6), randn(18), 2, 3), (2, 5, 6)),
}


@pytest.mark.parametrize("name", CASES)
def test_operation(name):
    check_case(CASES[name])


def test_queries_that_share_keys_have_no_rule():
    queries, keys = randn(1, 4, 5, 6), randn(1, 2, 5, 6)

    def function(x):
        return attend(x, keys, keys, enable_gqa=True).sum()

    with pytest.raises(NotImplementedError, match="no forward-mode rule for attention whose queries share their keys"):
        measure_second_order(function, [queries], [randn(K, *queries.shape)])


@pytest.mark.parametrize("num_queries", [None, 1, 3, 9])
def test_self_attention_is_that_of_torchs_layer(num_queries):
    torch.manual_seed(0)
    layer = torch.nn.MultiheadAttention(6, 2, batch_first=True, dtype=torch.float64).requires_grad_(False)
    torch.nn.init.normal_(layer.in_proj_bias)
    torch.nn.init.eye_(layer.out_proj.weight)
    tokens = randn(4, 5, 6)
    found = self_attention(tokens, layer.in_proj_weight, layer.in_proj_bias, 2, num_queries)
    torch.testing.assert_close(found, layer(tokens[:, :num_queries], tokens, tokens, need_weights=False)[0])
