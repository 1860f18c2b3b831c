from __future__ import annotations

from functools import partial

import pytest
import torch

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


def test_rules_that_are_no_ideas_pass_as_well():
    assert failed(judge_step_rule(partial(hyperplane_step, absolute=True))) == []
    assert "shape" in failed(judge_step_rule(partial(line_step, damping=0.0)))  # which is for one tangent


def test_which_curvature_a_rule_is_for_is_told():
    own = [(name, *one) for (kind, name), one in sources.own_declarations().items() if kind == "step_rule"]
    found = {name: sources.load(source, declaration).function.curvature for name, source, declaration in own}
    assert found == {
        "fomoh_kd": "hessian",
        "fomoh_cg": "hessian",
        "fomoh_diagonal": "hessian",
        "gauss_newton": "gauss_newton",
    }
