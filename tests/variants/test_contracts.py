"""Every variant keeps the contract of its kind, whatever its options are."""

from __future__ import annotations

from functools import partial

import pytest

from frog_cli.ideas import sources
from frog_cli.judging.aggregations import judge_aggregation
from frog_cli.judging.step_rules import judge_step_rule
from frog_cli.judging.tangents import judge_tangents
from tests.judging.faults import failed

JUDGES = {"tangents": judge_tangents, "aggregation": judge_aggregation, "step_rule": judge_step_rule}
OPTIONS = {
    "max": [{}, {"corrected": True}],
    "top_mean": [{}, {"steepest": 1}, {"steepest": 100, "corrected": True}],
    "gauss_newton": [{}, {"damping": 10.0}],
    "fomoh_diagonal": [{}, {"damping": 1.0}],
    "fomoh_cg": [{}, {"iterations": 1}, {"iterations": 50}],
}
CASES = [
    (kind, name, options)
    for (kind, name), (source, _) in sources.own_declarations().items()
    if source.path.parent.name == "variants"
    for options in OPTIONS.get(name, [{}])
]


@pytest.mark.parametrize(("kind", "name", "options"), CASES)
def test_a_variant_keeps_its_contract(kind, name, options):
    idea = sources.load(*sources.own_declarations()[kind, name])
    assert failed(JUDGES[kind](partial(idea.function, **options) if options else idea.function)) == []
