"""What tells one search from all others."""

from __future__ import annotations

from typing import Any

from frog_cli.runs import identity as of_runs
from frog_cli.settings.requests import SearchRequest


def identity_settings(plan: SearchRequest) -> dict[str, Any]:
    """Return all settings that determine a search; more evaluations only make it longer, unless they are a grid."""
    settings = of_runs.identity_settings(plan.request.runs[0])
    left_out = {"method", "evaluations"} if plan.search.method == "evolution" else set[str]()
    return {
        "search": plan.search.model_dump(exclude=left_out),
        "run": {name: value for name, value in settings.items() if name not in (plan.searched, "seed")},
        "seeds": [run.seed for run in plan.request.runs],
    }


def identity(plan: SearchRequest) -> str:
    """Return the first ten digits of the SHA-256 of all settings that determine a search."""
    return of_runs.digest(identity_settings(plan))
