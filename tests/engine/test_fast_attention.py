"""Attention and its derivatives in float64, against torch's own forward mode."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import jvp
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from frog_cli.engine import fast_attention
from frog_cli.engine.faster_rules import faster_jets
from frog_cli.gradients.measurement import forward
from frog_cli.jets.jet import RULES, laid_over

DIRECTIONS, SAMPLES, HEADS, QUERIES, KEYS, SIZE = 3, 5, 2, 4, 6, 7


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def factors(*leading: int, seed: int = 0) -> list[Tensor]:
    return [randn(*leading, SAMPLES, HEADS, n, SIZE, seed=seed + n) for n in (QUERIES, KEYS, KEYS)]


def expected(function, primals, tangents):
    with sdpa_kernel(SDPBackend.MATH):
        slopes = [jvp(function, tuple(primals), one)[1] for one in zip(*tangents, strict=True)]
        return function(*primals), torch.stack(slopes)


@pytest.mark.parametrize("in_cache", [1, 400, 2**20])  # one sample at a time, two, all of them
@pytest.mark.parametrize("scale", [SIZE**-0.5, 2.0])
def test_value_and_derivatives(in_cache, scale, monkeypatch):
    monkeypatch.setattr(fast_attention, "IN_CACHE", in_cache)
    primals, tangents = factors(), factors(DIRECTIONS, seed=1)
    value, derivatives = fast_attention.attention_jet(primals, tangents, scale)
    wanted = expected(lambda *x: scaled_dot_product_attention(*x, scale=scale), primals, tangents)
    torch.testing.assert_close((value, derivatives), wanted)


MASK = randn(QUERIES, KEYS, seed=3)
KINDS = {
    "plain": {}, "causal": {"is_causal": True}, "masked": {"attn_mask": MASK > -1}, "added": {"attn_mask": MASK},
    "scaled": {"scale": 0.3},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_passes_through_jets(kind, monkeypatch):
    monkeypatch.setattr("frog_cli.gradients.measurement.measure_by_transforms", None)  # there is no falling back
    primals, tangents = factors(), factors(DIRECTIONS, seed=1)

    def attend(*x: Tensor) -> Tensor:
        return scaled_dot_product_attention(*x, **KINDS[kind])

    with faster_jets():
        value, slopes, _ = forward(lambda *x: (attend(*x), ()), tuple(primals), tuple(tangents))
    torch.testing.assert_close((value, slopes), expected(attend, primals, tangents))


def test_attention_to_what_does_not_vary():
    query, key, value = factors()
    tangent = factors(DIRECTIONS, seed=1)[0]
    with faster_jets():
        found = forward(lambda x: (scaled_dot_product_attention(x, key, value), ()), (query,), (tangent,))[:2]
    wanted = expected(lambda x: scaled_dot_product_attention(x, key, value), [query], [tangent])
    torch.testing.assert_close(found, wanted)


def test_it_is_one_operation_for_jets():
    operation, seen = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default, []
    primals, tangents = factors(), factors(DIRECTIONS, seed=1)
    with faster_jets():
        rule = RULES[operation]
        with laid_over({operation: lambda *given, **options: seen.append(1) or rule(*given, **options)}):
            forward(lambda *x: (scaled_dot_product_attention(*x), ()), tuple(primals), tuple(tangents))
    assert seen == [1]


def test_it_tells_compilers_what_it_returns():
    torch.library.opcheck(fast_attention.attention_jet, (factors(), factors(DIRECTIONS, seed=1), 0.5))
