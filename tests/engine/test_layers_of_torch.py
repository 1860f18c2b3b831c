"""Recordings of every layer of torch.nn take the steps that the layers take without them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

WITHOUT_BATCH = {"FractionalMaxPool2d", "FractionalMaxPool3d", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"}
"""Layers with samples that lack the batch's dimension: over activities these are not cut, as what they keep says."""


@pytest.mark.slow
def test_recorded_layers_take_the_same_steps():
    words = [sys.executable, "-m", "tests.engine.layers_of_torch"]
    done = subprocess.run(words, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    others = {name: one["others"] for name, one in found.items() if one["others"]}
    assert {name for name in others if name.removeprefix("nn.") not in WITHOUT_BATCH} == set(), others
    assert not any("apart" in one for several in others.values() for one in several)
    assert sum(one["same"] for one in found.values()) > 400
