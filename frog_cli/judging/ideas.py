"""The judge of each kind of idea."""

from __future__ import annotations

from functools import partial
from inspect import Parameter, signature
from typing import Any

from frog_cli.ideas import trait
from frog_cli.ideas.registry import Idea
from frog_cli.judging.aggregations import judge_aggregation
from frog_cli.judging.data import judge_data
from frog_cli.judging.findings import Finding
from frog_cli.judging.functions import judge_function
from frog_cli.judging.models import judge_model
from frog_cli.judging.tangents import judge_tangents

_EXAMPLES = {"angle": 45.0}
"""Values of options that must be given."""


def judge(idea: Idea) -> list[Finding]:
    """Return what the checks of an idea's kind find, with the defaults of its options."""
    parameters = signature(idea.function).parameters.values()
    needed = [one.name for one in parameters if one.kind is Parameter.KEYWORD_ONLY and one.default is Parameter.empty]
    given = {name: _EXAMPLES[name] for name in needed}
    function: Any = partial(idea.function, **given) if given else idea.function
    if idea.kind == "tangents":
        return judge_tangents(function)
    if idea.kind == "aggregation":
        return judge_aggregation(function)
    if idea.kind == "function":
        return judge_function(function, trait(function, "start"))
    return judge_model(function) if idea.kind == "model" else judge_data(function)
