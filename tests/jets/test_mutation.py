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
    "difference in place": lambda x: (x * 1).sub_(x * x),
    "quotient in place": lambda x: (x * 1).div_(x * x + 1),
    "sigmoid in place": lambda x: (x * 1).sigmoid_(),
    "tanh in place": lambda x: (x * 1).tanh_(),
    "masked fill in place": lambda x: (x * 1).masked_fill_(X > 0, 0.5),
    "sum with a number in place": lambda x: (x * x).add_(1.5).sqrt(),
    "clamp in place": lambda x: (x * x * x).clamp_(-0.5, 0.5) * x,
    "at least in place": lambda x: (x * x * x).clamp_min_(-0.5) * x,
    "root mean square norm": lambda x: F.rms_norm(x, (6,), randn(6)),
    "unit length": lambda x: F.normalize(x.sin(), dim=1),
    "transpose in place": lambda x: (x * 1).transpose_(0, 1) * randn(6, 4),
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


def test_a_tensor_without_derivatives_is_not_written_to():
    with pytest.raises(NotImplementedError, match=r"aten\.add_\.Tensor would write derivatives into a tensor that has"):
        measure_second_order(lambda x: torch.zeros(4, 6).double().add_(x).sum(), [X], [randn(K, 4, 6)])
