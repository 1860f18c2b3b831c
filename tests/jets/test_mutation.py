"""Operations in place."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch.func import jvp

from frog_cli.gradients.measurement import forward
from frog_cli.jets.jet import measure_second_order
from tests.jets.oracles import K, X, check, check_case, randn, weigh

CASES = {
    "relu in place": lambda x: F.relu(x * 1, inplace=True),
    "in place": lambda x: (x * 1).add_(x * x).mul_(x),
    # MORE
}


@pytest.mark.parametrize("name", CASES)
def test_operation(name):
    check_case(CASES[name])


def into_a_view(x):
    y = x * 2
    y.view(-1).mul_(x.view(-1))
    return y


def into_what_a_view_shows(x):
    y = x * 2
    shown = y.view(-1)
    y.mul_(x)
    return shown * shown


def into_a_row(x):
    y = x * x
    y[0].mul_(x[1])
    return y


def into_a_chunk(x):
    y = x * x
    y.chunk(2)[0].add_(x[:2])
    return y


@pytest.mark.parametrize("writes", [into_a_view, into_what_a_view_shows, into_a_row, into_a_chunk])
def test_what_is_written_into_a_view_is_not_lost(writes):
    tangents = randn(K, *X.shape, seed=1)
    _, slopes, _ = forward(lambda x: (weigh(writes(x)), ()), (X,), (tangents,))
    expected = torch.stack([jvp(lambda x: weigh(writes(x)), (X,), (v,))[1] for v in tangents])
    torch.testing.assert_close(slopes, expected)
    with pytest.raises(NotImplementedError, match="would write into memory that a view shows, too"):
        measure_second_order(lambda x: weigh(writes(x)), (X,), (tangents,))


def test_what_no_view_shows_may_be_written_to():
    weight, x = randn(5, 6), randn(2, 3, 6)
    check(lambda x, weight: weigh(F.relu(F.linear(x, weight), inplace=True) * F.linear(x, weight)), x, weight)
