"""The judge of each kind of idea."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from frog_cli.ideas import trait
from frog_cli.ideas.declarations import Declaration
from frog_cli.ideas.registry import Idea
from frog_cli.judging.aggregations import judge_aggregation
from frog_cli.judging.data import judge_data
from frog_cli.judging.findings import Finding
from frog_cli.judging.functions import judge_function
from frog_cli.judging.models import image_for, judge_model
from frog_cli.judging.step_rules import judge_step_rule
from frog_cli.judging.tangents import judge_tangents


def judge(idea: Idea, declaration: Declaration) -> list[Finding]:
    """Return what the checks of an idea's kind find, with the defaults of its options, and FROG_DATA for a root."""
    roots = [option.name for option in declaration.options if option.is_root]
    here = {name: os.environ["FROG_DATA"] for name in roots if os.environ.get("FROG_DATA")}
    function: Any = partial(idea.function, **here) if here else idea.function
    if idea.kind == "tangents":
        return judge_tangents(function)
    if idea.kind == "aggregation":
        return judge_aggregation(function)
    if idea.kind == "step_rule":
        return judge_step_rule(function)
    if idea.kind == "function":
        return judge_function(function, trait(function, "start"))
    if idea.kind == "model":
        return judge_model(function, image_for(function))
    return judge_data(function)
