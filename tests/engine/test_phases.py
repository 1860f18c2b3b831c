from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch

from frog_cli.engine import phases as parts
from frog_cli.engine.recording import replayed
from frog_cli.gradients import (
    AGGREGATIONS,
    TANGENTS,
    ForwardGradient,
    backprop,
    estimate_from_activities,
    estimate_from_regenerated_weights,
    estimate_from_weights,
)
from frog_cli.gradients.activities import activity_dimension
from tests.cases import case, sample_loss

METHOD = ForwardGradient(k=3, tangents=TANGENTS["normal"], measure="forward", aggregation=AGGREGATIONS["mean"])
LAYERS = ["local gradients", *(["aggregation", "local gradients"] * 3)]
STEPS = {
    "weights": (partial(estimate_from_weights, METHOD), ["tangents", "derivatives", "aggregation"]),
    "activities": (partial(estimate_from_activities, METHOD), ["tangents", "derivatives", "aggregation", *LAYERS]),
    "simulated": (
        partial(estimate_from_activities, replace(METHOD, measure="simulated")),
        ["derivatives", "tangents", "derivatives", "aggregation", *LAYERS],
    ),
    "regenerated": (
        partial(estimate_from_regenerated_weights, replace(METHOD, chunk_size=2)),
        ["tangents", "derivatives", "tangents", "derivatives", "aggregation"],
    ),
    "backprop": (backprop, ["derivatives"]),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_clock_is_told_of_each_part_as_it_begins(name):
    step, expected = STEPS[name]
    model, images, labels = case("mlp")
    told: list[str] = []
    with parts.told_to(told.append):
        step(model, sample_loss, images, labels, torch.Generator())
    assert told == expected
    assert set(told) <= set(parts.PARTS)
    step(model, sample_loss, images, labels, torch.Generator())
    assert told == expected  # nobody listens any more


def test_a_recording_tells_of_its_parts_at_every_replay():
    model, images, labels = case("mlp")
    replay = replayed(METHOD, estimate_from_activities, activity_dimension, model, sample_loss)
    told: list[str] = []
    with parts.told_to(told.append):
        replay(images, labels, torch.Generator())
        for _ in range(2):
            told.clear()
            replay(images, labels, torch.Generator())
            assert [part for part in told if part != "tangents"] == ["derivatives", "aggregation", *LAYERS]
            assert told[0] == "tangents"
