"""Operations in place."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch.func import jvp

from frog_cli.gradients.measurement import forward
from frog_cli.jets.jet import measure_second_order
from tests.jets.oracles import K, X, by_differences, by_reverse_mode, check, check_case, randn, weigh

LAYERS = {
    "relu": nn.ReLU,
    "leaky relu": nn.LeakyReLU,
    "threshold": lambda inplace: nn.Threshold(0.5, 2, inplace),
    "hard tanh": nn.Hardtanh,
    "relu up to 6": nn.ReLU6,
    "hard swish": nn.Hardswish,
    "silu": nn.SiLU,
    "mish": nn.Mish,
    "elu": nn.ELU,
    "scaled elu": nn.SELU,
    "celu": nn.CELU,
    "dropout": lambda inplace: nn.Dropout(inplace=inplace).eval(),
}
"""Layers that may write into what they are given."""


def set_entries(x):
    y = x.clone()
    y[:, 2] = x[:, 0] * x[:, 1]
    y[0] = 3.0
    y[1, 1:3].zero_()
    y[2].fill_(x[0, 0] * x[0, 1])
    y[3].fill_(0.5)
    return y * y


FUNCTIONS = "neg", "abs", "sqrt", "rsqrt", "reciprocal", "exp", "log"

CASES = {
    **{f"{name} in place": lambda x, layer=layer: layer(inplace=True)(x * x.exp()) for name, layer in LAYERS.items()},
    "in place": lambda x: (x * 1).add_(x * x).mul_(x),
    "difference in place": lambda x: (x * 1).sub_(x * x),
    "quotient in place": lambda x: (x * 1).div_(x * x + 1),
    "sigmoid in place": lambda x: (x * 1).sigmoid_(),
    "hard sigmoid in place": lambda x: F.hardsigmoid(x, inplace=True) if not x.requires_grad else F.relu6(x + 3) / 6,
    "tanh in place": lambda x: (x * 1).tanh_(),
    "masked fill in place": lambda x: (x * 1).masked_fill_(X > 0, 0.5),
    "sum with a number in place": lambda x: (x * x).add_(1.5).sqrt(),
    "other functions in place": lambda x: sum(getattr((x * x + 0.5) * 1, f"{name}_")() for name in FUNCTIONS),
    "clamp in place": lambda x: (x * x * x).clamp_(-0.5, 0.5) * x,
    "at least in place": lambda x: (x * x * x).clamp_min_(-0.5) * x,
    "at most in place": lambda x: (x * x * x).clamp_max_(0.5) * x,
    "at least entries in place": lambda x: (x * x).clamp_min_(x.exp()) * x,
    "root mean square norm": lambda x: F.rms_norm(x, (6,), randn(6)),
    "unit length": lambda x: F.normalize(x.sin(), dim=1),
    "transpose in place": lambda x: (x * 1).transpose_(0, 1) * randn(6, 4),
    "set entries": set_entries,
    "mean of images channels last": (
        lambda x: F.adaptive_avg_pool2d((x * x).to(memory_format=torch.channels_last), 1).flatten(1),
        (2, 3, 4, 4),
    ),
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


def into_two_views(x):
    y = x * 1
    turned = y.permute(1, 0)
    y[1].sub_(x[0] * x[0])
    turned[2] = x[:, 0].exp()
    return y.sin() * turned.t()


def into_a_layer_of_sequences(x):
    y = F.linear(x.view(2, 2, 6), randn(5, 6), randn(5))
    return F.relu(y, inplace=True) * y


def beside_what_has_the_same_derivatives(x):
    y, z = x + 1, x + 2  # whose derivatives are those of x
    y[0].mul_(x[1])
    return y * z * x


def into_a_row_from_another_one(x):
    y = x * x
    y[1].mul_(y[0])
    y[2:] += y[:2]
    return y


def into_a_standardised_turned_tensor(x):
    y = F.layer_norm((x * x).t(), (4,))
    shown = y.flatten()
    shown.mul_(x.flatten())
    return y


def into_groups_channels_last(x):
    y = F.group_norm((x * x).view(1, 4, 2, 3).to(memory_format=torch.channels_last), 2)
    shown = y.permute(0, 2, 3, 1).reshape(-1)
    shown.mul_(x.flatten())
    return y


def into_what_only_has_a_slope(x):
    y = 2 * x
    y[1:3] = x[:2] * x[1:3]
    return y[1] + y[0]


WRITES = [
    into_a_view,
    into_what_a_view_shows,
    into_a_row,
    into_a_chunk,
    into_two_views,
    into_a_layer_of_sequences,
    beside_what_has_the_same_derivatives,
    into_a_row_from_another_one,
    into_a_standardised_turned_tensor,
    into_what_only_has_a_slope,
]


@pytest.mark.parametrize("writes", WRITES)
def test_what_is_written_into_a_view_is_not_lost(writes):
    tangents = randn(K, *X.shape, seed=1)
    _, slopes, _ = forward(lambda x: (weigh(writes(x)), ()), (X,), (tangents,))
    expected = torch.stack([jvp(lambda x: weigh(writes(x)), (X,), (v,))[1] for v in tangents])
    torch.testing.assert_close(slopes, expected)
    value, slopes, curvature = measure_second_order(lambda x: weigh(writes(x)), (X,), (tangents,))
    torch.testing.assert_close((value, slopes), (weigh(writes(X)), expected))
    differences = by_differences(lambda x: weigh(writes(x)), (X,), (tangents,))
    assert (curvature - differences).norm() <= 1e-4 * (1 + differences.norm())


def test_groups_that_lie_channels_last_are_written_to_where_torch_has_them():
    """Torch's own forward mode crashes on them."""
    tangents = (randn(K, *X.shape, seed=1),)
    value, _, curvature = measure_second_order(lambda x: weigh(into_groups_channels_last(x)), (X,), tangents)
    torch.testing.assert_close(value, weigh(into_groups_channels_last(X)))
    differences = by_differences(lambda x: weigh(into_groups_channels_last(x)), (X,), tangents)
    assert (curvature - differences).norm() <= 1e-4 * (1 + differences.norm())


def test_a_write_of_a_tensor_to_itself():
    """Where torch's own forward mode is wrong, reading what it has just written."""
    tangents = (randn(K, *X.shape, seed=1),)
    found = measure_second_order(lambda x: weigh((x * x).mul_(2).sub_(1)), (X,), tangents)
    torch.testing.assert_close(found, by_reverse_mode(lambda x: weigh(2 * x * x - 1), (X,), tangents))

    def squared(x):
        y = x * x
        return weigh(y.mul_(y))

    torch.testing.assert_close(
        measure_second_order(squared, (X,), tangents), by_reverse_mode(lambda x: weigh(x**4), (X,), tangents)
    )


def test_the_point_itself_is_not_written_to():
    x = X.clone()
    value, _, _ = measure_second_order(lambda x: x.view(-1).relu_().sum() + x.sum(), (x,), (randn(K, *X.shape),))
    assert value == 2 * X.relu().sum()
    assert torch.equal(x, X)


def into_what_is_held_without_derivatives(x):
    y = x * x
    held = y.detach()
    y.relu_()
    return y * held


def into_what_shows_entries_twice(x):
    return (x * x).expand(3, 4, 6).mul_(2)


def into_what_a_view_without_gradients_shows(x):
    y = x * x
    with torch.no_grad():
        held = y[0]
    y.mul_(3)
    return y * held


def into_windows(x):
    y = x * x
    y.unfold(1, 2, 1).mul_(x[:, :5].unsqueeze(-1))
    return y


@pytest.mark.parametrize(
    "writes",
    [
        into_what_is_held_without_derivatives,
        into_what_shows_entries_twice,
        into_what_a_view_without_gradients_shows,
        into_windows,
    ],
)
def test_writes_that_views_would_not_see_are_refused(writes):
    with pytest.raises(NotImplementedError, match="would write into memory that is shown in other ways, too"):
        measure_second_order(lambda x: weigh(writes(x)), (X,), (randn(K, *X.shape, seed=1),))


def a_shifted_sum(x):
    y = x * x
    y[:, 1:] += y[:, :-1]
    return y


def a_shifted_copy(x):
    y = x * x
    y[:, 1:] = y[:, :-1]
    return y


def an_entry_into_a_diagonal(x):
    y = x * x
    y.diagonal().add_(y[0, 0])
    return y


@pytest.mark.parametrize("writes", [a_shifted_sum, a_shifted_copy, an_entry_into_a_diagonal])
def test_writes_to_where_they_read_are_refused(writes):
    with pytest.raises(NotImplementedError, match="would write where it reads"):
        measure_second_order(lambda x: weigh(writes(x)), (X,), (randn(K, *X.shape, seed=1),))


def test_a_write_does_not_change_a_shape():
    def grows(x):
        y = x[0] * 1
        y += x
        return y.sum()

    with pytest.raises(NotImplementedError, match=r"would make \[6\] of \[4, 6\]"):
        measure_second_order(grows, (X,), (randn(K, *X.shape, seed=1),))


def test_what_no_view_shows_may_be_written_to():
    weight, x = randn(5, 6), randn(2, 3, 6)
    check(lambda x, weight: weigh(F.relu(F.linear(x, weight), inplace=True) * F.linear(x, weight)), x, weight)


def test_a_tensor_without_derivatives_is_not_written_to():
    with pytest.raises(NotImplementedError, match=r"aten\.add_\.Tensor would write derivatives into a tensor that has"):
        measure_second_order(lambda x: torch.zeros(4, 6).double().add_(x).sum(), [X], [randn(K, 4, 6)])
