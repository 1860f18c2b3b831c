"""Attention."""

from __future__ import annotations

import pytest
import torch.nn.functional as F  # noqa: N812

from tests.jets.oracles import check_case

CASES = {
    "attention": (lambda q, k, v: F.scaled_dot_product_attention(q, k, v), (2, 2, 5, 4), (2, 2, 5, 4), (2, 2, 5, 4)),
    # MORE
}


@pytest.mark.parametrize("name", CASES)
def test_operation(name):
    check_case(CASES[name])
