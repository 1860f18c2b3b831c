from __future__ import annotations

from functools import partial

import pytest
import torch

from frog_cli import ideas
from frog_cli.gradients.step_rules import hyperplane_step, line_step
from frog_cli.ideas import sources
from frog_cli.judging.step_rules import judge_step_rule
from tests.judging.faults import failed


def newton(slopes, curvature):
    return hyperplane_step(slopes, curvature, absolute=False)


def one_too_few(slopes, curvature):
    return newton(slopes, curvature)[..., 1:]


def always_double(slopes, curvature):
    return newton(slopes, curvature).double()


def writes(slopes, curvature):
    curvature.diagonal(dim1=-2, dim2=-1).add_(1)
    return newton(slopes, curvature)


def draws(slopes, curvature):
    return newton(slopes, curvature) * (1 + 1e-3 * torch.rand(()))


def mixes(slopes, curvature):
    return slopes / curvature.abs().amax()


def uphill(slopes, curvature):
    return -newton(slopes, curvature)


def hides(slopes, curvature):
    return newton(slopes, curvature).nan_to_num()


@pytest.mark.parametrize(
    ("rule", "checks"),
    [
        (one_too_few, ["shape"]),
        (always_double, ["dtype"]),
        (writes, ["leaves its arguments as they are"]),
        (draws, ["same arguments, same numbers"]),
        (mixes, ["leading indices are independent", "no number without a step"]),
        (uphill, ["downhill where the curvature is positive"]),
        (hides, ["no number without a step"]),
    ],
    ids=lambda one: getattr(one, "__name__", ""),
)
def test_a_fault_fails_its_check_alone(rule, checks):
    assert failed(judge_step_rule(rule)) == checks


@pytest.mark.parametrize("name", [name for kind, name in sources.own_declarations() if kind == "step_rule"])
def test_frogs_own_rules_pass(name):
    source, declaration = sources.own_declarations()["step_rule", name]
    assert failed(judge_step_rule(sources.load(source, declaration).function)) == []


def test_rules_that_are_no_ideas_pass_as_well():
    assert failed(judge_step_rule(partial(hyperplane_step, absolute=True))) == []
    assert "shape" in failed(judge_step_rule(partial(line_step, damping=0.0)))  # which is for one tangent


def test_which_curvature_a_rule_is_for_is_told():
    found = {
        name: one.function.curvature
        for name, one in ideas.registered("step_rule").items()
        if "frog_cli" in one.function.__module__
    }
    assert found == {
        "fomoh_kd": "hessian",
        "fomoh_cg": "hessian",
        "fomoh_diagonal": "hessian",
        "gauss_newton": "gauss_newton",
    }
