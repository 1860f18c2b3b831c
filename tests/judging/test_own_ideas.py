"""frog's own ideas keep the contracts of their kinds, whatever their options are."""

from __future__ import annotations

from functools import partial

import pytest

from frog_cli.ideas import sources
from frog_cli.judging.ideas import judge
from tests.judging.faults import failed

TRANSFORMER = {"patch": 4, "hidden": 16, "heads": 2, "depth": 2, "mlp": 32}
OPTIONS = {
    "max": [{}, {"corrected": True}],
    "top_mean": [{}, {"steepest": 1}, {"steepest": 100, "corrected": True}],
    "gauss_newton": [{}, {"damping": 10.0}],
    "fomoh_diagonal": [{}, {"damping": 1.0}],
    "fomoh_cg": [{}, {"iterations": 1}, {"iterations": 50}],
    "cone": [{}, {"angle": 90.0}],
    "normalised_cone": [{}, {"angle": 90.0}],
    "mlp": [{"width": 32}],
    "mlp_mixer": [{"depth": 2, "hidden": 16, "patch": 4}],
    "vit": [TRANSFORMER | {"grouping": "paper", "dropout": 0.0}, TRANSFORMER | {"grouping": "fine", "dropout": 0.1}],
    "resnet18": [{"width": 8, "grouping": "coarse", "norm": norm} for norm in ("batch", "group")],
}
"""Those with which an idea is judged; networks are small."""

CASES = [(kind, name, options) for kind, name in sources.own_declarations() for options in OPTIONS.get(name, [{}])]


@pytest.mark.parametrize(("kind", "name", "options"), CASES)
def test_an_idea_of_frogs_own_keeps_its_contract(kind, name, options):
    source, declaration = sources.own_declarations()[kind, name]
    idea = sources.load(source, declaration)
    findings = judge(idea._replace(function=partial(idea.function, **options)) if options else idea, declaration)
    assert failed(findings) == []
    assert any(finding.ok for finding in findings) or kind == "data"  # whose files may not be here
