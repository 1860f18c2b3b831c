"""Softmax, its logarithm and normalisation, and losses."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from frog_cli.gradients.measurement import forward
from tests.jets.oracles import LABELS, K, check_case, randn

CASES = {
    "softmax": lambda x: F.softmax(x, 1),
    "log softmax": lambda x: F.log_softmax(x, 0),
    "logsumexp": lambda x: x.logsumexp(1),
    "nothing to choose": lambda x: torch._safe_softmax(torch.cat([x * x, torch.full((1, 6), -torch.inf).double()]), 1),
    "cross entropy": lambda x: F.cross_entropy(x, LABELS),
    "each cross entropy": lambda x: F.cross_entropy(x, LABELS, reduction="none"),
    "smoothed cross entropy": lambda x: F.cross_entropy(x, LABELS, label_smoothing=0.1),
    "nll": lambda x: F.nll_loss(x.sin(), LABELS, reduction="sum"),
    "mse": lambda x: F.mse_loss(x, torch.ones(4, 6).double()),
    # MORE
}


@pytest.mark.parametrize("name", CASES)
def test_operation(name):
    check_case(CASES[name])


def test_logsumexp_of_infinite_numbers():
    rows = torch.tensor([[-torch.inf, -torch.inf], [torch.inf, 0]]).double()
    value, _, _ = forward(lambda x: ((x + rows).logsumexp(1), ()), (torch.zeros(2, 2).double(),), (randn(K, 2, 2),))
    assert value.tolist() == [-torch.inf, torch.inf]
