"""Every layer of torch.nn, and every operation that torch's own tests call, has right derivatives or is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

WITHOUT_RULE = {"nn.CTCLoss", "nn.LinearCrossEntropyLoss", "nn.MultiLabelMarginLoss"}
"""Layers that second order does not pass through."""

OF_NUMBERS = "no forward-mode rule for operations along a dimension of a number"
"""Why some calls of other layers are refused."""

WITHOUT_REFERENCE = {
    **dict.fromkeys(("float", "half", "bfloat16"), "differences need more digits than the result has"),
    "cdist": "torch differentiates it once, and differences are far off beside roots of small numbers",
    "native_layer_norm": "the mean and deviation beside its result are constant for torch, too",
    "round": "differences see the jumps, which are not differentiated",
}
"""Operations that have cases of their own elsewhere, and why they are not compared here."""


def of_torch(what: str, count: int) -> dict[str, dict]:
    """Return what became of at most so many calls of each layer or operation."""
    words = [sys.executable, "-m", "tests.jets.of_torch", what, str(count)]
    done = subprocess.run(words, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, dict] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("count", [1, pytest.param(1000, marks=pytest.mark.slow)])
def test_layers(count):
    found = of_torch("layers", count)
    assert len(found) > 100
    assert {name: one["wrong"] for name, one in found.items() if one["wrong"]} == {}
    assert {name for name, one in found.items() if {*one["refused"]} - {OF_NUMBERS}} <= WITHOUT_RULE
    assert {name for name, one in found.items() if not one["right"]} <= WITHOUT_RULE


@pytest.mark.slow
def test_operations():
    found = of_torch("operations", 12)
    assert {name: one["wrong"] for name, one in found.items() if one["wrong"]}.keys() <= WITHOUT_REFERENCE.keys()
    assert sum(one["right"] > 0 for one in found.values()) > 350
