from __future__ import annotations

import math

from frog_cli.search.curves import lowest_so_far


def test_the_lowest_loss_so_far_leaves_out_what_is_not_finite():
    assert lowest_so_far([3.0, math.nan, 1.0, math.inf, 2.0]) == [3.0, 3.0, 1.0, 1.0, 1.0]
    assert lowest_so_far([math.nan, 2.0]) == [math.inf, 2.0]
