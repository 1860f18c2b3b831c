from __future__ import annotations

import math
import random
from functools import partial

import pytest
import torch

from frog_cli.judging.functions import judge_function
from frog_cli.objectives.functions import rosenbrock
from tests.judging.faults import failed, seen


class WrongSine(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(x):
        return x.sin()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx, cotangent):
        return cotangent * ctx.saved_tensors[0]

    @staticmethod
    def jvp(ctx, tangent):
        return tangent * ctx.saved_tensors[0]


def wrong_derivative(x):
    return WrongSine.apply(x).sum(-1)


def only_part_differentiated(x):
    return (x * x.detach()).sum(-1)


def not_batched(x):
    return x.square().sum()


def vector(x):
    return x.square()


def couples_points(x):
    values = x.square().sum(-1)
    return values if values.ndim == 0 else values + values.mean()


def without_forward_mode(x):
    return torch.special.bessel_j0(x).sum(-1)


def writes(x):
    return x.mul_(2).sum(-1)


def random_values(x):
    return x.sum(-1) * random.random()


def in_double_precision(x):
    return x.double().square().sum(-1)


def logarithm(x):
    return x.log().sum(-1)


def ackley(x, *, width=0.2):
    wide = -20 * torch.exp(-width * x.square().mean(-1).sqrt())
    return wide - torch.exp(torch.cos(2 * math.pi * x).mean(-1)) + 20 + math.e


FAULTY = [
    (wrong_derivative, 1.0, ["first derivative, forward"]),
    (only_part_differentiated, 1.0, ["first derivative, forward"]),
    (without_forward_mode, 1.0, ["first derivative, forward"]),
    (not_batched, 1.0, ["shape"]),
    (vector, 1.0, ["shape"]),
    (couples_points, 1.0, ["values of a batch are independent"]),
    (writes, 1.0, ["leaves its argument as it is"]),
    (random_values, 1.0, ["same points, same values"]),
    (in_double_precision, 1.0, ["dtype"]),
    (logarithm, 0.0, ["finite at the start"]),
    (rosenbrock, lambda n: torch.zeros(3), ["start"]),
    (rosenbrock, float("nan"), ["start"]),
]


@pytest.mark.parametrize(("function", "start", "checks"), FAULTY)
def test_a_fault_is_found_by_the_check_that_names_it(function, start, checks):
    findings = judge_function(function, start)
    assert failed(findings) == checks, findings


def test_a_function_of_its_own_options_has_no_fault():
    assert {finding.ok for finding in judge_function(partial(ackley, width=0.1), -1)} == {True}


def test_an_operation_without_second_order_is_named():
    finding = seen(judge_function(lambda x: torch.sinc(x.square() + 1).sum(-1), 1.0), "second derivative")
    assert finding.ok is None
    assert "sinc" in finding.seen


def test_a_kink_at_the_start_is_found():
    assert failed(judge_function(ackley, 0.0)) == ["first derivative, forward"]  # the square root of 0
    assert failed(judge_function(lambda x: x.abs().sum(-1), 1.0)) == []
