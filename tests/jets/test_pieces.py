"""Functions of each entry that are made of pieces, within the pieces and at their ends."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from frog_cli.jets.jet import measure_second_order
from tests.jets.oracles import K, by_reverse_mode, check_case, randn, weigh


def hard_sigmoid(x):
    """What torch differentiates only once, in words that it differentiates twice."""
    return F.relu6(x + 3) / 6


PIECES = {
    "leaky relu": F.leaky_relu,
    "steeper leaky relu": lambda x: F.leaky_relu(x, 0.3),
    "threshold": lambda x: F.threshold(x, 0.5, 2),
    "hard tanh": lambda x: F.hardtanh(x, -0.5, 2),
    "relu up to 6": F.relu6,
    "hard swish": F.hardswish,
    "hard shrink": F.hardshrink,
    "hard shrink of 1": lambda x: F.hardshrink(x, 1),
    "soft shrink": F.softshrink,
    "soft shrink of 1": lambda x: F.softshrink(x, 1),
    "elu": F.elu,
    "steep elu": lambda x: F.elu(x, 2),
    "scaled elu": F.selu,
    "celu": F.celu,
    "celu of 2": lambda x: F.celu(x, 2),
    "clamp": lambda x: x.clamp(-0.5, 2),
    "clamp to nothing": lambda x: x.clamp(2, -0.5),
    "clamp from below": lambda x: x.clamp(min=-0.5),
    "clamp from above": lambda x: x.clamp(max=0.5),
    "numbers for what is none": lambda x: x.nan_to_num(),
    "fraction": lambda x: (x + 0.25).frac(),
    "remainder": lambda x: (x + 0.25).remainder(0.7),
    "remainder towards zero": lambda x: (x + 0.25).fmod(0.7),
    "at least": lambda x: torch.clamp_min(x, -0.5),
    "at most": lambda x: torch.clamp_max(x, 0.5),
}

CASES = {
    **{name: lambda x, function=function: function(3 * x.sin() + x * x) for name, function in PIECES.items()},
    "hard sigmoid": lambda x: (F.hardsigmoid if not x.requires_grad else hard_sigmoid)(x * x * x),
    "at least entries": lambda x: torch.clamp_min(x.sin(), (x * x).cos()),
}


@pytest.mark.parametrize("name", CASES)
def test_operation(name):
    check_case(CASES[name])


@pytest.mark.parametrize("name", PIECES)
def test_at_the_ends_of_pieces_derivatives_are_those_of_reverse_mode(name):
    x = torch.tensor([-6, -3, -2, -1, -0.5, 0, 0.5, 1, 2, 3, 6]).double()
    tangents = [randn(K, len(x), seed=1)]
    found = measure_second_order(lambda x: weigh(PIECES[name](x)), [x], tangents)
    torch.testing.assert_close(found, by_reverse_mode(lambda x: weigh(PIECES[name](x)), [x], tangents))


def test_hard_sigmoid_has_no_slope_at_its_ends():
    x, unit = torch.tensor([-3.0, 0.0, 3.0]).double(), [torch.eye(3).double()]
    value, slopes, curvature = measure_second_order(lambda x: F.hardsigmoid(x).sum(), [x], unit)
    torch.testing.assert_close((value, slopes), (torch.tensor(1.5).double(), torch.tensor([0, 1 / 6, 0]).double()))
    assert curvature.count_nonzero() == 0
