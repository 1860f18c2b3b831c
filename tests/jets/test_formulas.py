"""Functions of each entry of which value, slope and curvature are written down."""

from __future__ import annotations

import pytest
import torch

from frog_cli.jets.formulas import FORMULAS
from tests.jets.oracles import check_case, randn, whole

WITHIN = {
    "log": (0.1, 3),
    "log2": (0.1, 3),
    "log10": (0.1, 3),
    "log1p": (-0.9, 3),
    "sqrt": (0.1, 3),
    "rsqrt": (0.1, 3),
    "reciprocal": (0.1, 3),
    "acosh": (1.1, 3),
    "asin": (-0.9, 0.9),
    "acos": (-0.9, 0.9),
    "atanh": (-0.9, 0.9),
    "erfinv": (-0.9, 0.9),
    "lgamma": (0.2, 3),
    "digamma": (0.2, 3),
}
"""Where a function is curved and its neighbourhood is in its domain; others are taken between -1.2 and 1.2."""


def scaled(operation):
    low, high = WITHIN.get(operation._schema.name.removeprefix("aten::"), (-1.2, 1.2))
    return lambda x: whole(operation, low + (high - low) * x.sigmoid())


CASES = {operation._schema.name: scaled(operation) for operation in FORMULAS}


@pytest.mark.parametrize("name", CASES)
def test_formula(name):
    check_case(CASES[name])


@pytest.mark.parametrize("name", ["asin", "acos", "atanh", "erfinv"])
def test_outside_of_its_domain_a_function_is_no_number(name):
    x = randn(3).square() + 1.5
    for one in FORMULAS[getattr(torch.ops.aten, name).default](x)[:1]:
        assert one.isnan().all()
