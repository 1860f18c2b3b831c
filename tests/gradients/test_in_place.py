"""Recordings overwrite what is used up, and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from frog_cli.gradients.in_place import overwriting

WEIGHT = torch.linspace(1, 2, 6).view(2, 3)


def in_place_operations(function, *examples: Tensor) -> list[str]:
    """Return the names of the operations that overwrite something, after comparing the numbers."""
    recording = overwriting(make_fx(function)(*examples))
    before = [example.clone() for example in examples]
    for _ in range(2):  # what is overwritten is made anew
        torch.testing.assert_close(recording(*examples), function(*examples), rtol=0, atol=0)
    torch.testing.assert_close(list(examples), before, rtol=0, atol=0)
    names = [str(node.target) for node in recording.graph.nodes if node.op == "call_function"]
    return [name.removeprefix("aten.") for name in names if name.split(".")[1].endswith("_")]


USED_UP = {
    "the left one": (lambda x: (x @ x.mT) + 1, ["add_.Tensor"]),
    "the right one": (lambda x: x * x.exp(), ["mul_.Tensor"]),
    "in a row": (lambda x: (x.exp() + x).relu().sin(), ["add_.Tensor", "relu_.default", "sin_.default"]),
    "through a view": (lambda x: x.exp().view(-1) + x.view(-1), ["add_.Tensor"]),
    "a part": (lambda x: x.exp()[:1] * 2, ["mul_.Tensor"]),
    "with a shorter one": (lambda x: x.exp() + x[0], ["add_.Tensor"]),
}
STILL_NEEDED = {
    "an argument": lambda x: x + 1,
    "a view of an argument": lambda x: x.view(-1) + 1,
    "a weight": lambda x: WEIGHT * 2,
    "read later": lambda x: ((y := x.exp()).sin(), y @ y.mT),
    "a view read later": lambda x: ((y := x.exp()), (z := y[0]), y.sin(), z @ z)[2:],
    "a result": lambda x: ((y := x.exp()), y.sin()),
    "a view of a result": lambda x: ((y := x.exp()).mT, y.sin()),
    "itself turned over": lambda x: (y := x.exp()[:, :2]) + y.mT,
    "twice the same": lambda x: x.exp()[0].expand(2, 3) * 2,
    "another type": lambda x: x.exp() > 0,
    "larger results": lambda x: x.exp()[:1] + x,
}


@pytest.mark.parametrize("case", USED_UP)
def test_what_is_used_up_is_overwritten(case):
    function, expected = USED_UP[case]
    assert in_place_operations(function, WEIGHT.clone()) == expected


@pytest.mark.parametrize("case", STILL_NEEDED)
def test_what_is_needed_is_not(case):
    assert in_place_operations(STILL_NEEDED[case], WEIGHT.clone()) == []


def test_results_in_the_memory_of_an_argument_whose_schema_does_not_say_so():
    unsafe_view = torch.ops.aten._unsafe_view.default
    assert in_place_operations(lambda x: unsafe_view(x, [-1]) + 1, WEIGHT.clone()) == []
    assert in_place_operations(lambda x: (y := x.exp(), unsafe_view(y, [-1]).sin())[0], WEIGHT.clone()) == []
