"""The judge of each kind of idea."""

from __future__ import annotations

from typing import Any

from frog_cli.ideas import trait
from frog_cli.ideas.registry import Idea
from frog_cli.judging.aggregations import judge_aggregation
from frog_cli.judging.data import judge_data
from frog_cli.judging.findings import Finding
from frog_cli.judging.functions import judge_function
from frog_cli.judging.models import judge_model
from frog_cli.judging.tangents import judge_tangents


def judge(idea: Idea) -> list[Finding]:
    """Return what the checks of an idea's kind find, with the defaults of its options."""
    function: Any = idea.function
    if idea.kind == "tangents":
        return judge_tangents(function)
    if idea.kind == "aggregation":
        return judge_aggregation(function)
    if idea.kind == "function":
        return judge_function(function, trait(function, "start"))
    return judge_model(function) if idea.kind == "model" else judge_data(function)
