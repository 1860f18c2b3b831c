"""A run's name: what determines its result, in words and as a hash."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from frog_cli.data import locations
from frog_cli.settings import methods
from frog_cli.settings.schema import (
    ClassificationRun,
    FunctionRun,
    Run,
    are_layerwise,
    are_local,
    ideas_of,
    model_settings,
    samples_tangents,
)

WITHOUT_EFFECT = (
    "device",
    "compile",
    "evaluation_batch_size",
    "checkpoint",
    "keep_weights",
    "tensorboard",
    "parallel",
    "exchange",
)
"""Settings that change a result by rounding at most, or, as a GPU does, by drawing other random numbers.

They are recorded, and a run that differs in them is the same.
"""


def identity_settings(run: Run) -> dict[str, Any]:
    """Return all settings that determine the result."""
    settings = run.model_dump(exclude={*WITHOUT_EFFECT})
    if run.curvature_length is None:
        del settings["step"]
    if not samples_tangents(run.gradient):
        del settings["tangents"]
    elif are_local(run.tangents):  # of which there are as many as layers
        del settings["gradient"]["k"]
    if settings["gradient"].get("measure") != "greedy" and are_layerwise(run.tangents):  # without heads
        settings.get("tangents", {}).pop("rate", None)
    if settings.get("tangents", {}).get("per") == "batch":  # as all were before the choice
        del settings["tangents"]["per"]
    settings["gradient"].pop("chunk_size", None)
    if settings["gradient"].get("measure") != "difference":
        settings["gradient"].pop("spacing", None)
    if isinstance(run, ClassificationRun) and run.quality.batches is None:
        del settings["quality"]
    if isinstance(run, ClassificationRun):
        settings["model"] = model_settings(run.model)
    ideas = ideas_of(run)
    for group in ideas.keys() & settings.keys():
        settings[group].pop("source", None)  # the content of its file counts alone
        declaration = ideas[group].declaration
        if declaration is None or ideas[group].from_outside:  # whose files frog does not know to be the same elsewhere
            continue
        for option in declaration.options:
            if not option.has_effect:
                del settings[group][option.name]
    if isinstance(run, ClassificationRun):
        settings["data"] |= locations.content(run.data)
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
        settings = model_settings(run.model)
        width = None if run.model.from_outside else settings.get("width")
        size = "" if width is None else f"-w{width}" if run.model.name[-1].isdigit() else str(width)
        size += "-groupnorm" if settings.get("norm") == "group" else ""
        words = [run.model.name + size, re.sub(r"[^A-Za-z0-9_.-]+", "_", run.data.variant)[:90]]
    return "-".join([*words, methods.of_run(run).name_of_runs()])
