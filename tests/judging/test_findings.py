from __future__ import annotations

import sys
import warnings
from functools import partial

import pytest
import torch

from frog_cli.gradients.aggregation import projection
from frog_cli.gradients.tangents import normal
from frog_cli.ideas import trait
from frog_cli.judging.aggregations import judge_aggregation
from frog_cli.judging.findings import Check, Finding, difference, judged, same, states_of_sources, told
from frog_cli.judging.functions import judge_function
from frog_cli.judging.tangents import judge_tangents
from frog_cli.objectives.functions import sphere

NAN = float("nan")


@pytest.mark.parametrize(
    "judge",
    [partial(judge_tangents, normal), partial(judge_aggregation, projection), partial(judge_function, sphere, 1)],
)
def test_judges_are_deterministic_and_leave_the_global_random_numbers(judge):
    torch.manual_seed(5)
    before = states_of_sources()
    findings = judge()
    assert states_of_sources() == before
    torch.manual_seed(6)
    assert judge() == findings


def test_an_exception_is_a_failed_finding():
    def divides():
        return 1 / 0

    def leaves():
        sys.exit(3)

    assert judged([Check("divides", divides), Check("leaves", leaves)]) == [
        Finding("divides", False, "ZeroDivisionError: division by zero"),
        Finding("leaves", False, "SystemExit: 3"),
    ]
    assert told(ValueError("first\nsecond")) == "ValueError: first"
    assert told(ValueError()) == "ValueError"


def test_what_a_failed_check_would_repeat_is_not_looked_at():
    findings = judged(
        [
            Check("first", lambda: (False, "wrong")),
            Check("second", lambda: (True, "right"), ("first",)),
            Check("third", lambda: (True, "right")),
        ]
    )
    assert [finding.ok for finding in findings] == [False, None, True]
    assert findings[1].seen == "not looked at, because of: first"


def test_warnings_of_an_idea_are_no_errors():
    def warns():
        warnings.warn("careful", UserWarning, stacklevel=1)
        return True, "fine"

    assert judged([Check("warns", warns)]) == [Finding("warns", True, "fine")]


def test_attributes_are_found_below_bound_options():
    def idea():
        pass

    vars(idea)["gram_only"] = True
    assert trait(partial(partial(idea), 1), "gram_only") is True
    assert trait(partial(idea), "unbiased") is None


def test_comparisons():
    x = torch.tensor([1.0, NAN, 3.0])
    assert same(x, x.clone())
    assert not same(x, torch.tensor([1.0, NAN, 4.0]))
    assert difference(x, x.clone()) == 0
    assert difference(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])) == 0.5
    assert difference(x, torch.ones(3)) == float("inf")
