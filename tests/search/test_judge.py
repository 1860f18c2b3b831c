from __future__ import annotations

import pytest

from frog_cli.search.judge import clearly_worse

BEST = [2.0, 1.0, 0.5, 0.25, 0.125, 0.0625]


@pytest.mark.parametrize(("shift", "scale"), [(0, 1), (0, 1e-6), (0, 1e6), (-2506, 1), (-2506, 1e6), (1e6, 1)])
@pytest.mark.parametrize(
    ("curve", "expected"),
    [
        ([2.0, 1.9, 1.8, 1.7], True),  # lacks more than half of the gain in all of the last three rows
        ([2.0, 1.9, 1.8], False),  # not for long enough yet
        ([2.0, 1.9, 1.8, 0.3], False),  # has caught up
        ([2.0, 1.4, 1.2, 1.1], False),  # lacks less than half
        (BEST, False),
    ],
)
def test_a_run_is_given_up_by_what_it_lacks_whatever_the_sign_and_size_of_losses(curve, expected, shift, scale):
    ours, best = ([shift + scale * loss for loss in losses] for losses in (curve, BEST))
    assert clearly_worse(ours, best, margin=0.5, patience=3) is expected


def test_a_best_run_that_ended_earlier_stays_where_it_was():
    assert clearly_worse([2.0, 1.9, 1.9, 1.9, 1.9, 1.9], BEST[:3], margin=0.5, patience=3)
    assert not clearly_worse([2.0, 1.9, 1.5, 1.0, 0.6, 0.5, 0.4], BEST[:3], margin=0.5, patience=3)
