"""The faster rules: they give the same, and leave the table as it was."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from frog_cli.engine import fast_products
from frog_cli.engine.faster_rules import FASTER, faster_jets
from frog_cli.jets.jet import RULES, evaluate


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("shapes", [((4, 6), (6, 5)), ((2, 4, 6), (2, 6, 5)), ((2, 4, 6), (6, 5)), ((4, 6), (6,))])
def test_fast_products_are_products(shapes, order, monkeypatch):
    def function(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y).tanh()

    points = [randn(*shape, seed=index) for index, shape in enumerate(shapes)]
    tangents = [randn(3, *shape, seed=index + 2) for index, shape in enumerate(shapes)]
    expected = evaluate(function, points, tangents, order)
    monkeypatch.setattr(fast_products, "SMALLEST", 0)
    monkeypatch.setattr(fast_products, "FASTER_HERE", fast_products.AVAILABLE)
    with faster_jets():
        found = evaluate(function, points, tangents, order)
    torch.testing.assert_close((found.value, found.terms), (expected.value, expected.terms), rtol=1e-4, atol=1e-5)


def test_the_table_is_restored():
    before = dict(RULES)
    with faster_jets():
        assert {operation: RULES[operation] for operation in FASTER} == FASTER
    assert before == RULES
