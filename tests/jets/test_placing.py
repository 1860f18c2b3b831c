"""Entries that are put at places of another tensor."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from frog_cli.gradients.measurement import forward
from frog_cli.jets.jet import Jet, measure_second_order
from tests.jets.oracles import LABELS, K, X, by_reverse_mode, check_case, randn, weigh

ROWS = torch.tensor([1, 1, 3])


def messages(x):
    """Sum what the neighbours in a graph say, as graph networks do."""
    sources, targets = torch.tensor([0, 1, 2, 3, 0]), torch.tensor([1, 0, 0, 2, 3])
    return x.new_zeros(4, 6).index_add_(0, targets, (x[sources] * x[targets]).sin())


def assigned(x):
    y = x * x
    y[LABELS[:3] % 4, ROWS] = x[:3, 0]
    y[:, [0, 2]] = x[:, [1, 1]] * 2
    y[0, torch.tensor([4, 5])] = 1.5
    return y * x


def assigned_into_nothing(x):
    y = x.new_zeros(x.shape)
    y[:, ::2] = x[:, 1::2].sin()
    z = x.new_empty(2, 6)
    z[0], z[1] = x[0] * x[1], 3
    return torch.cat([y, z]) * torch.ones_like(x).sum()


CASES = {
    "added rows": lambda x: (x * x).index_add(0, ROWS, x[:3].sin()),
    "added multiples of columns": lambda x: x.sin().index_add(-1, ROWS, x[:, :3] * x[:, 3:], alpha=0.5),
    "added to given rows": lambda x: X.index_add(0, ROWS, x[:3].sin()),
    "given rows added": lambda x: x.sin().index_add(0, ROWS, X[:3]),
    "copied rows": lambda x: (x * x).index_copy(0, torch.tensor([2, 0]), x[:2].sin()),
    "added at places": lambda x: (x * x).scatter_add(1, LABELS[:, None].expand(4, 2), x[:, :2].sin()),
    "put at places": lambda x: (x * x).scatter(1, LABELS[:, None], x[:, :1].sin()),
    "a number at places of one row": lambda x: x[0].sin().scatter(0, ROWS, 2.5),
    "put at places of one row": lambda x: x[0].sin().scatter(0, torch.tensor([4, 0, 2]), x[1, :3]),
    "added at places of one row": lambda x: x.new_zeros(6).scatter_add_(0, ROWS, x[0, :3].sin()),
    "number at places": lambda x: (x * x).scatter(-1, LABELS[:, None], 2.5),
    "number in rows": lambda x: (x * x).index_fill(0, ROWS, 2.5) * x,
    "put at indices": lambda x: (x * x).index_put((torch.tensor([0, 1, 3]), ROWS), x[:3, 0].sin()),
    "added at indices": lambda x: (x * x).index_put((ROWS, ROWS), x[:3, 0].sin(), accumulate=True),
    "put at indices of one dimension": lambda x: torch.ops.aten.index_put(x * x, [None, ROWS], x[:, :3].sin(), True),
    "given numbers at indices": lambda x: (x * x).index_put((ROWS,), X[0]),
    "at indices of given numbers": lambda x: X.index_put((torch.tensor([2, 0]),), x[:1]),
    "part replaced": lambda x: torch.slice_scatter(x * x, x[:2].sin(), 0, 1, 3),
    "column replaced": lambda x: torch.select_scatter(x * x, x[:, 0].sin(), -1, 2),
    "rows added in place": messages,
    "added at places in place": lambda x: (x * x).scatter_add_(1, LABELS[:, None], x[:, :1].sin()),
    "put at places in place": lambda x: (x * x).scatter_(1, LABELS[:, None], x[:, :1].sin()),
    "copied in place": lambda x: (x * x).index_copy_(0, torch.tensor([2, 0]), x[:2].sin()),
    "assigned": assigned,
    "assigned into nothing": assigned_into_nothing,
    "like another": lambda x: torch.empty_like(x).copy_(x.sin()) * x.new_ones(6) + x.new_full((6,), 2.0),
}


@pytest.mark.parametrize("name", CASES)
def test_operation(name):
    check_case(CASES[name])


def test_what_is_made_like_another_does_not_vary_before_it_is_written_to():
    _, slopes, curvature = measure_second_order(
        lambda x: weigh(x.new_zeros(4, 6)) + weigh(torch.empty_like(x).fill_(1) * 2), [X], [randn(K, 4, 6)]
    )
    assert slopes.count_nonzero() == curvature.count_nonzero() == 0


def test_what_is_read_before_derivatives_are_written_to_it_is_a_constant():
    """A mask of noise costs no derivatives; views of what is written to vary with it, whichever of them was written."""
    seen = []

    def function(x):
        noise = torch.empty_like(x).bernoulli_(0.5).div_(0.5)
        made = x.new_zeros(x.shape)
        part = made[:2]
        seen.extend([noise.is_still, isinstance(noise * 2, Jet), isinstance(made + noise, Jet), part.is_still])
        part.copy_(x[:2].sin())
        seen.extend([part.is_still, made.is_still, isinstance(made * 2, Jet)])
        return weigh(made * made + x * noise)

    with torch.random.fork_rng():
        measure_second_order(function, [X], [randn(K, 4, 6)])
    assert seen == [True, False, False, True, False, False, True]


def test_what_shows_a_part_before_anything_is_written_sees_what_is_written():
    def function(x):
        made = x.new_zeros(4, 6)
        parts = [made.as_strided((2, 2), (6, 1), 3), made.unfold(1, 2, 2), made[:2]]
        made.fill_diagonal_(1.0)
        made += x.sin()
        return torch.cat([part.flatten() for part in parts]) * made.sum()

    check_case(function)


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, gradient):
        return gradient * 2


def test_what_does_not_vary_yet_may_go_through_a_function_with_a_derivative_of_its_own():
    check_case(lambda x: x * Doubled.apply(x.new_zeros(4, 6) + 1))
    check_case(lambda x: x * F.rrelu(x.new_zeros(4, 6).sub_(1.0), training=True, lower=0.2, upper=0.2))


@pytest.mark.parametrize("measure", [measure_second_order, lambda f, x, V: forward(lambda x: (f(x), ()), x, V)])
def test_what_a_function_keeps_of_an_earlier_pass_is_refused(measure):
    kept = []

    def function(x):
        if not kept:
            kept.append(x.new_zeros(4, 6))
        kept[0][0] = x[0] * x[1]
        return (kept[0] * x).sum()

    measure(function, (X,), (randn(K, 4, 6),))
    for count in (K, 1):
        with pytest.raises(NotImplementedError, match="derivatives of an earlier pass"):
            measure(function, (X,), (randn(count, 4, 6),))
    for of_kept in (lambda x: kept[0].sum(), lambda x: torch.cat([x, kept[0]]).sum()):
        with pytest.raises(NotImplementedError, match="derivatives of an earlier pass"):
            measure(of_kept, (X,), (randn(K, 4, 6),))


def test_values_alone_are_written_where_nothing_is_differentiated():
    def running_means(x):
        means = x.new_zeros(2, 6)
        with torch.no_grad():
            means[0].copy_(x.mean(0))
            means[1].mul_(0.9).add_(x[1], alpha=0.1)
        return (x[:2] - means).square() * means

    def function(x):
        return weigh(running_means(x))

    tangents = [randn(K, 4, 6, seed=1)]
    expected = by_reverse_mode(function, [X], tangents)
    torch.testing.assert_close(measure_second_order(function, [X], tangents), expected)
    _, slopes, _ = forward(lambda x: (function(x), ()), (X,), tuple(tangents))
    torch.testing.assert_close(slopes, expected[1])


def test_what_is_made_to_be_written_to_keeps_its_shape():
    def function(x):
        made = x.new_zeros(1, 6)
        made.squeeze_()
        return (made + x[0]).sum()

    with pytest.raises(NotImplementedError, match="would give a tensor that is written to another shape"):
        measure_second_order(function, [X], [randn(K, 4, 6)])
