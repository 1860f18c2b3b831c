"""Products, quotients and affine maps."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from frog_cli.jets.jet import evaluate, laid_over
from frog_cli.jets.products import MATRIX_PRODUCTS, matrix_products
from tests.jets.oracles import K, X, check_case, randn

CASES = {
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
    # MORE
}


@pytest.mark.parametrize("name", CASES)
def test_operation(name):
    check_case(CASES[name])


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
