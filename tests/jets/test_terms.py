"""Terms: numbers without dimensions, types and memory layouts."""

from __future__ import annotations

import pytest
import torch
from torch.func import jvp

from frog_cli.gradients.measurement import forward
from tests.jets.oracles import K, randn


@pytest.mark.parametrize("along", [lambda x: x.cumsum(0) * x, lambda x: x.sum(0) * x])
def test_the_one_dimension_of_a_number_is_not_that_of_the_directions(along):
    x, tangents = randn(), randn(K)
    _, slopes, _ = forward(lambda x: (along(x), ()), (x,), (tangents,))
    torch.testing.assert_close(slopes, torch.stack([jvp(along, (x,), (v,))[1] for v in tangents]))


@pytest.mark.parametrize(
    "of_a_number",
    [
        lambda x: x.norm(),
        lambda x: x.sum(dim=()),
        lambda x: x.mean(dim=()),
        lambda x: x.log_softmax(0),
        lambda x: x.var(correction=0),
    ],
)
def test_numbers(of_a_number):
    x, tangents = randn().square() + 1, randn(K)
    _, slopes, _ = forward(lambda x: (of_a_number(x * x), ()), (x,), (tangents,))
    torch.testing.assert_close(
        slopes, torch.stack([jvp(lambda x: of_a_number(x * x), (x,), (v,))[1] for v in tangents])
    )


def test_types_and_layouts_are_those_of_the_values():
    x, double = randn(2, 3, 4, 4).float(), randn(4)
    tangents = (randn(K, 2, 3, 4, 4).float(),)

    def function(x):
        x = x.to(memory_format=torch.channels_last) + double.float()
        x = (x + double) @ randn(4, 4)
        narrow = x.float()
        narrow += double
        return torch.cat([torch.empty(0), (narrow @ randn(4, 4).float()).flatten()]).sum()

    _, slopes, _ = forward(lambda x: (function(x), ()), (x,), tangents)
    torch.testing.assert_close(
        slopes, torch.stack([jvp(function, (x,), (v,))[1] for v in tangents[0]]), rtol=1e-4, atol=1e-4
    )
