"""Recordings overwrite what is used up, and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx

from frog_cli.engine.overwriting import overwriting

WEIGHT = torch.linspace(1, 2, 6).view(2, 3)


def in_place_operations(function, *examples: Tensor) -> list[str]:
    """Return the names of the operations that overwrite something, after comparing the numbers."""
    recording = overwriting(make_fx(function)(*examples), examples)
    before = [example.clone() for example in examples]
    expected = function(*(example.clone() for example in examples))
    for _ in range(2):  # what is overwritten is made anew
        torch.testing.assert_close(recording(*examples), expected, rtol=0, atol=0)
    torch.testing.assert_close([*examples, WEIGHT], [*before, torch.linspace(1, 2, 6).view(2, 3)], rtol=0, atol=0)
    names = [str(node.target) for node in recording.graph.nodes if node.op == "call_function"]
    return [name.removeprefix("aten.") for name in names if "_." in name]


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


UNSAID = {
    "unsafe_view": lambda x: torch.ops.aten._unsafe_view(x, [-1]) + 1,
    "unsafe_view of a result": lambda x: (y := x.exp(), torch.ops.aten._unsafe_view(y, [-1]).sin())[0],
    "unsafe_chunk": lambda x: torch.unsafe_chunk(x, 2)[0] + 1,
    "unsafe_chunk of a weight": lambda x: torch.unsafe_chunk(WEIGHT, 2)[1].exp() @ x.mT,
    "unsafe_split of a result": lambda x: ((y := x.exp()), [z.tanh() for z in torch.unsafe_split(y, 1)])[0],
    "set": lambda x: torch.empty(0).set_(WEIGHT) + 1,
}


@pytest.mark.parametrize("case", UNSAID)
def test_results_in_the_memory_of_others_whose_schemas_do_not_say_so(case):
    assert in_place_operations(UNSAID[case], WEIGHT.clone()) in ([], ["set_.source_Tensor"])


def test_what_another_library_keeps_is_not_overwritten():
    kept = torch.ones(3)

    @torch.library.custom_op("frogtest::kept", mutates_args=())
    def keeps(x: torch.Tensor) -> torch.Tensor:
        return kept

    assert in_place_operations(lambda x: keeps(x) + 1, torch.zeros(3)) == []
    assert kept.tolist() == [1, 1, 1]


def test_complex_numbers_are_left_alone():
    """Their division in place rounds differently, so that a recording would differ from what it records."""
    function = lambda x: torch.fft.irfft(torch.fft.rfft(x) / torch.fft.rfft(x + 3))  # noqa: E731
    assert in_place_operations(function, torch.linspace(-1, 1, 64).view(4, 16)) == []
