"""Largest and smallest entries."""

from __future__ import annotations

import pytest
import torch.nn.functional as F  # noqa: N812

from tests.jets.oracles import check_case

CASES = {
    "maximum": lambda x: x.max(),
    "maxima": lambda x: x.max(1).values,
    "largest": lambda x: x.amax(0),
    "max pooling": (lambda x: F.max_pool2d(x, 2), (2, 3, 6, 6)),
    "overlapping max pooling": (lambda x: F.max_pool2d(x, 3, 2, 1), (2, 3, 6, 6)),
    # MORE
}


@pytest.mark.parametrize("name", CASES)
def test_operation(name):
    check_case(CASES[name])
