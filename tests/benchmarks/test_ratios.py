"""Speed as ratios to what users would write, both measured in the same run, interleaved."""

from __future__ import annotations

from statistics import median

import pytest

from tests.benchmarks import data, minimisation

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("method", minimisation.METHODS)
def test_seeds_side_by_side_are_forty_times_faster_than_a_loop_over_seeds_and_tangents(method):
    found = minimisation.rounds(minimisation.OVERRIDES)
    assert median(found[method]) >= 40 * median(found["frog"])


def test_an_epoch_on_resident_tensors_is_eight_times_faster_than_with_data_loaders(mnist_root):
    resident, loaded = data.rounds([*data.OVERRIDES, *data.GRADIENTS["backprop"], f"data.root={mnist_root}"])
    assert median(loaded) >= 8 * median(resident)
