"""Products, quotients and affine maps."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from frog_cli.jets.jet import evaluate, laid_over, measure_second_order
from frog_cli.jets.products import MATRIX_PRODUCTS, matrix_products
from tests.jets.oracles import K, X, check_case, randn, whole

CASES = {
    "sum with a product": lambda x: torch.addcmul(x[0], x.sin(), x, value=0.5),
    "sum with a quotient": lambda x: torch.addcdiv(x[0], x.sin(), x * x + 1, value=2),
    "between two": lambda x: torch.lerp(x.sin(), x * x, 0.3),
    "between two, by entries": lambda x: torch.lerp(x.sin(), x * x, x.sigmoid()),
    "bilinear layer": (F.bilinear, (4, 3), (4, 2), (5, 3, 2), (5,)),
    "quotient": lambda x: x / (x * x + 1),
    "divided": lambda x: x / 3,
    "product": lambda x: x * x.exp(),
    "by integers": lambda x: x / torch.arange(1, 7),
    "einsum": lambda x: torch.einsum("ij,kj->ik", x, x),
    "outer": lambda x: x[:, 0].outer(x[:, 1]),
    "vectors": lambda x: x[0] @ x[1] * (x @ x[2]),
    "matrix product": (lambda a, b: a @ b, (4, 6), (6, 5)),
    "batched matrix product": (lambda a, b: a @ b, (2, 4, 6), (2, 6, 5)),
    "broadcast matrix product": (lambda a, b: a @ b, (2, 3, 4, 6), (6, 5)),
    "broadcast batched matrix product": (lambda a, b: a @ b, (2, 3, 4, 6), (3, 6, 5)),
    "matrix by batched matrix": (lambda a, b: a @ b, (4, 6), (3, 6, 5)),
    "product of stacks of matrices": (torch.ops.aten.matmul, (2, 3, 4, 6), (1, 3, 6, 5)),
    "broadcast product": (lambda a, b: a * b + a - b, (4, 1, 6), (3, 1)),
    "linear": (F.linear, (4, 6), (5, 6), (5,)),
    "linear over a sequence": (F.linear, (2, 4, 6), (5, 6), (5,)),
    "convolution": (lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1), (2, 3, 7, 7), (4, 3, 3, 3), (4,)),
    "grouped convolution": (lambda x, w: F.conv2d(x, w, groups=3), (2, 3, 5, 5), (6, 1, 3, 3)),
    "convolution of given images": (lambda w, b: F.conv2d(randn(2, 3, 5, 5), w, b), (4, 3, 3, 3), (4,)),
    "convolution with given weights": (lambda x: F.conv2d(x, randn(4, 3, 3, 3)), (2, 3, 5, 5)),
    "vector by matrix": lambda x: whole(torch.matmul, x[0], x.sin().mT),
    "added product": lambda x: torch.addmm(x[:, :4], x, x.mT),
    "added multiple of a product": lambda x: torch.addmm(x[:, :4], x, x.mT, beta=2, alpha=0.5),
    "added batched product": lambda x: torch.baddbmm(x[None, :, :4], x[None], x.mT[None]),
    "product instead of a bias": lambda x: torch.addmm(torch.full((4, 4), torch.nan).double(), x, x.mT, beta=0),
    "transposed bias": lambda x: torch.addmm(randn(4, 4).T, x, x.mT, beta=2).view(-1),
    "no batches": lambda x: torch.cat([(x.new_ones(0, 2, 2, 4) @ x.sin()).flatten(), x[0]]),
    "bias of a given product": (lambda b: torch.addmm(b, randn(3, 4), randn(4, 6)) * b, (6,)),
    "curved bias": lambda x: torch.addmm(x[:, :4].exp(), x, X.mT),
    "whole linear": (lambda *given: whole(F.linear, *given), (4, 6), (5, 6), (5,)),
    "whole linear without bias": (lambda *given: whole(F.linear, *given), (4, 6), (5, 6)),
    "by given numbers": lambda x: x.sin() / (X * X + 1),
    "given numbers by": lambda x: X / (x * x + 1),
    "transposed convolution": (F.conv_transpose2d, (2, 3, 4, 4), (3, 4, 2, 2), (4,)),
    "convolution of signals": (F.conv1d, (2, 3, 7), (4, 3, 3), (4,)),
    "convolution in channels last": (
        lambda x, w: F.conv2d(x.to(memory_format=torch.channels_last), w),
        (2, 3, 5, 5),
        (4, 3, 3, 3),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_operation(name):
    check_case(CASES[name])


def test_between_two_is_rounded_as_in_torch():
    large, small = torch.tensor([1e8]), torch.tensor([0.3])
    value, _, _ = measure_second_order(lambda x: torch.lerp(large, x, 1.0), [small], [torch.ones(1, 1)])
    assert value == torch.lerp(large, small, 1.0)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: (x @ w).tanh(),
        lambda x, w: F.linear(x, w.mT, randn(5)).sin(),
        lambda x, w: F.conv2d(x.view(4, 1, 2, 3), w[:4].reshape(5, 1, 2, 2)).exp(),
        lambda x, w: F.linear(x + 2, w.mT) * x.sum(1, keepdim=True),
        lambda x, w: ((x @ w) * (x @ w)).cos(),
    ],
)
def test_directions_that_a_batch_shares_are_multiplied_once_and_give_the_same(function, order):
    w = randn(6, 5, seed=3)
    shared = randn(K, 1, 6, seed=4).expand(K, 4, 6)
    rows = []

    def spy(left, right):
        rows.append(left.shape[-2])
        return left @ right

    with laid_over(dict.fromkeys(MATRIX_PRODUCTS, matrix_products(spy))):
        found = evaluate(lambda x: function(x, w), [X], [shared], order)
    assert all(number == 1 for number in rows[1::2])  # after each value
    expected = evaluate(lambda x: function(x, w), [X], [shared.contiguous()], order)
    torch.testing.assert_close(found.value, expected.value, rtol=0, atol=0)
    torch.testing.assert_close(found.terms, expected.terms, rtol=1e-12, atol=1e-12)


PRODUCTS = {
    "mm": (lambda x, y: x @ y, (4, 6), (6, 5)),
    "addmm": (lambda x, y: torch.addmm(torch.zeros(5).double(), x, y), (4, 6), (6, 5)),
    "linear": (lambda x, y: F.linear(x, y.mT), (4, 6), (6, 5)),
    "whole linear": (lambda x, y: whole(F.linear, x, y.mT), (4, 6), (6, 5)),
    "linear over a sequence": (lambda x, y: F.linear(x, y.mT), (2, 4, 6), (6, 5)),
    "bmm": (lambda x, y: x @ y, (2, 4, 6), (2, 6, 5)),
    "baddbmm": (lambda x, y: torch.baddbmm(torch.zeros(5).double(), x, y), (2, 4, 6), (2, 6, 5)),
    "matmul": (lambda x, y: x @ y, (2, 3, 4, 6), (3, 6, 5)),
    "mv": (lambda x, y: x @ y, (4, 6), (6,)),
    "dot": (lambda x, y: x @ y, (6,), (6,)),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_every_matrix_product_can_be_another_one(name):
    function, *shapes = PRODUCTS[name]
    points, tangents = [randn(*shape) for shape in shapes], [randn(K, *shape) for shape in shapes]
    assert evaluate(function, points, tangents, 1).value.all()
    rule = matrix_products(lambda left, right: torch.zeros_like(left @ right))
    with laid_over(dict.fromkeys(MATRIX_PRODUCTS, rule)):
        assert not evaluate(function, points, tangents, 1).value.any()
