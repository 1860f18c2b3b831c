"""A run's name: what determines its result, in words and as a hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from frog_cli.data import locations
from frog_cli.settings import methods
from frog_cli.settings.schema import (
    MLP,
    ClassificationRun,
    FunctionRun,
    ImageFolder,
    Run,
    model_settings,
    outside_ideas,
    samples_tangents,
)

_WITHOUT_EFFECT = ("device", "compile", "evaluation_batch_size", "checkpoint")
"""Settings that change a result by rounding at most; they are recorded, and a run that differs in them is the same."""


def identity_settings(run: Run) -> dict[str, Any]:
    """Return all settings that determine the result."""
    settings = run.model_dump(exclude={*_WITHOUT_EFFECT})
    if not samples_tangents(run.gradient):
        del settings["tangents"]
    settings["gradient"].pop("chunk_size", None)
    for where_from in ("root", "download", "stands_for"):
        settings.get("data", {}).pop(where_from, None)
    if isinstance(run, ClassificationRun):
        settings["model"] = model_settings(run.model)
    for group in outside_ideas(run).keys() & settings.keys():
        del settings[group]["source"]  # the content of its file counts alone
    if isinstance(run, ClassificationRun) and isinstance(run.data, ImageFolder):
        settings["data"]["files"] = locations.digest(run.data)
    return settings


def identity(run: Run) -> str:
    """Return a readable name and a hash of all settings that determine the result."""
    return f"{slug(run)}-seed{run.seed}-{digest(identity_settings(run))}"


def digest(settings: Mapping[str, Any]) -> str:
    """Return the first ten digits of the settings' SHA-256."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:10]


def slug(run: Run) -> str:
    """Return a readable name of what a run minimises and how, without its seed."""
    words = []
    if isinstance(run, FunctionRun):
        words = [run.objective.name, f"n{run.objective.n}"]
    if isinstance(run, ClassificationRun):
        size = str(run.model.width) if isinstance(run.model, MLP) else ""
        size += "-groupnorm" if model_settings(run.model).get("norm") == "group" else ""
        words = [run.model.name + size, run.data.variant if isinstance(run.data, ImageFolder) else run.data.name]
    return "-".join([*words, methods.of_run(run).name_of_runs()])
