"""Self-attention and its derivatives in both orders of multiplication, against torch's layer and forward mode."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor
from torch.func import jvp
from torch.nn import MultiheadAttention
from torch.nn.attention import SDPBackend, sdpa_kernel

from frog_cli.engine import fast_self_attention as module
from frog_cli.engine.faster_rules import faster_jets
from frog_cli.gradients.measurement import forward
from frog_cli.jets.attention import self_attention
from frog_cli.jets.jet import Directions, Jet

DIRECTIONS, SAMPLES, TOKENS, WIDTH, HEADS = 3, 4, 5, 6, 2


@pytest.fixture
def layer() -> MultiheadAttention:
    """Return torch's layer without its last projection."""
    torch.manual_seed(0)
    layer = MultiheadAttention(WIDTH, HEADS, batch_first=True, dtype=torch.float64)
    torch.nn.init.normal_(layer.in_proj_bias)
    torch.nn.init.eye_(layer.out_proj.weight)
    return layer.requires_grad_(False)


@pytest.fixture
def tokens() -> Tensor:
    return torch.randn(SAMPLES, TOKENS, WIDTH, dtype=torch.float64)


@pytest.fixture
def tangents() -> Tensor:
    return torch.randn(DIRECTIONS, SAMPLES, TOKENS, WIDTH, dtype=torch.float64)


@pytest.mark.parametrize(("num_queries", "projected_last"), list(product([None, 1, 3, 9], [True, False])))
def test_value_and_derivatives_are_those_of_torchs_layer(
    layer, tokens, tangents, num_queries, projected_last, monkeypatch
):
    monkeypatch.setattr(module, "_projected_last_is_faster", lambda *_: projected_last)
    weights = layer.in_proj_weight, layer.in_proj_bias
    with faster_jets():
        found = forward(lambda x: (self_attention(x, *weights, HEADS, num_queries), ()), (tokens,), (tangents,))[:2]

    def attend(x: Tensor) -> Tensor:
        return layer(x[:, :num_queries], x, x, need_weights=False)[0]

    with sdpa_kernel(SDPBackend.MATH):
        slopes = [jvp(attend, (tokens,), (tangent,))[1] for tangent in tangents]
    torch.testing.assert_close(found, (attend(tokens), torch.stack(slopes)))


def varied(x: Tensor, order: int = 1) -> Jet:
    k = 16
    return Jet(x, torch.randn(k if order == 1 else k + k * (k + 1) // 2, *x.shape, dtype=x.dtype), Directions(k, order))


def test_what_the_other_order_does_not_cover_takes_the_usual_one(layer, tokens, monkeypatch):
    taken: list[tuple] = []
    monkeypatch.setattr(module, "LARGE", 0)
    monkeypatch.setattr(module, "_projected_last", lambda *given: taken.append(given) or given[:2])
    weight, bias = layer.in_proj_weight, layer.in_proj_bias
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH), faster_jets():
        self_attention(varied(tokens), weight, bias, HEADS, 1)
        assert len(taken) == 1
        self_attention(varied(tokens), varied(weight), bias, HEADS, 1)
        self_attention(varied(tokens), weight, varied(bias), HEADS, 1)
        self_attention(varied(tokens, order=2), weight, bias, HEADS, 1)
        assert not self_attention(varied(tokens), weight, bias, HEADS, 1, dropout=1.0).value.any()
        with torch.no_grad():
            assert not isinstance(self_attention(varied(tokens), weight, bias, HEADS, 1), Jet)
    assert len(taken) == 1


@pytest.mark.parametrize(
    ("k", "length", "width", "heads", "num_queries", "faster"),
    [
        (16, 65, 256, 4, 65, True),  # the paper's transformer
        (16, 65, 256, 4, 1, True),  # its last layer
        (1, 65, 256, 4, 65, False),
        (16, 197, 768, 12, 197, False),  # ViT-B/16
        (16, 17, 64, 4, 17, False),  # too small to earn it
    ],
)
def test_the_order_with_fewer_multiplications_is_taken(k, length, width, heads, num_queries, faster):
    tokens = Jet(torch.empty(1, length, width), torch.empty(k, 1, length, width), Directions(k, 1))
    assert module._projected_last_is_faster(tokens, heads, num_queries) is faster


def test_it_tells_compilers_what_it_returns(layer, tokens, tangents):
    for num_queries in (TOKENS, 2):
        given = tokens, tangents, layer.in_proj_weight, layer.in_proj_bias, HEADS, num_queries
        torch.library.opcheck(module._projected_last, given)
