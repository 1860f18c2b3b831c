"""What torch's own forward mode gets silently wrong is refused by name, and is still wrong in this version of torch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.func import jvp

from frog_cli.gradients.measurement import forward
from frog_cli.jets.jet import measure_second_order

X = torch.tensor([-10.0, 2.0, 0.0, 20.0, -7.0], dtype=torch.float64)
V = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def reverse(function, x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    return V @ torch.autograd.grad(function(x), x)[0]


def scattered(x):
    index = torch.tensor([0, 0, 1, 1, 1])
    return torch.ones(2, dtype=x.dtype).scatter_reduce(0, index, x, "prod").sum()


def inverted(x):
    return torch.cholesky_inverse(torch.diag(x.square() + 1) + 0.1 * x.outer(x).tril(-1)).tril().sin().sum()


def cumulated(x):
    return x.logcumsumexp(0)[0] * 1


WRONG = {"logcumsumexp": cumulated, "scatter_reduce": scattered, "cholesky_inverse": inverted}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("before", [lambda x: x, nn.functional.celu], ids=["first", "after another without a rule"])
def test_operations_with_wrong_rules_are_refused(name, before):
    with pytest.raises(NotImplementedError, match=f"torch's forward-mode rule for {name} is wrong"):
        forward(lambda x: (WRONG[name](before(x)), ()), (X,), (V,))


@pytest.mark.parametrize("name", WRONG)
def test_would_notice_when_torch_mends_its_rules(name):
    """If this fails, torch has been repaired, and the operation need not be refused any more."""
    slopes = torch.stack([jvp(WRONG[name], (X,), (v,))[1] for v in V])
    assert not torch.allclose(slopes, reverse(WRONG[name], X), equal_nan=True)


@torch.library.custom_op("frog_tests::square", mutates_args=())
def squared(x: Tensor) -> Tensor:
    """Square, with a derivative that only the reverse mode knows."""
    return x * x


squared.register_autograd(
    lambda ctx, gradient: 2 * ctx.saved_tensors[0] * gradient,
    setup_context=lambda ctx, inputs, output: ctx.save_for_backward(*inputs),
)


@pytest.mark.parametrize("before", [lambda x: x, nn.functional.celu], ids=["first", "after another without a rule"])
def test_operations_of_other_libraries_are_refused(before):
    with pytest.raises(NotImplementedError, match="frog_tests::square has a derivative of its own"):
        forward(lambda x: (squared(before(x)).sum(), ()), (X,), (V,))


@pytest.mark.parametrize("before", [lambda x: x, nn.functional.celu], ids=["by jets", "by torch"])
def test_a_reverse_pass_inside_a_model_is_refused(before):
    def slope(x):
        inner = torch.ones(5, dtype=torch.float64, requires_grad=True)
        return torch.autograd.grad((before(x) * inner).exp().sum(), inner, create_graph=True)[0].sum()

    with pytest.raises(NotImplementedError, match=r"torch\.autograd\.grad in a model .* torch\.func\.jvp has one"):
        forward(lambda x: (slope(x), ()), (X / 10,), (V,))
    assert torch.autograd.grad(X.clone().requires_grad_().sum(), X.clone().requires_grad_(), allow_unused=True) == (
        None,
    )


class Squared(torch.autograd.Function):
    """A function whose derivative is not that of its operations."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient


by_another_name = Squared.apply  # as torch's documentation does


def test_a_function_is_known_by_any_name():
    with pytest.raises(NotImplementedError, match="Squared, which has a derivative of its own"):
        measure_second_order(lambda x: by_another_name(x).sum(), [X], [V])
    with pytest.raises(RuntimeError, match="setup_context"):  # what torch says of those that its own transforms refuse
        forward(lambda x: (by_another_name(x).sum(), ()), (X,), (V,))
    assert torch.equal(by_another_name(X), X * X)


class WithoutForwardMode(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx, gradient):
        return 2 * gradient * ctx.saved_tensors[0]


@pytest.mark.parametrize("function", [Squared, WithoutForwardMode])
def test_a_function_of_its_own_derivative_without_forward_mode_is_told(function):
    with pytest.raises(NotImplementedError, match=r"torch\.autograd\.Function without jvp .* measured simulated or"):
        forward(lambda x: (function.apply(x).sum(), ()), (torch.ones(3),), (torch.ones(2, 3),))
