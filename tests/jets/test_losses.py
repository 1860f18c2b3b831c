"""Losses of differences, and of probabilities of two classes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from frog_cli.jets.jet import measure_second_order
from tests.jets.oracles import X, check_case, randn

TARGETS, ODDS = randn(4, 6, seed=5), torch.rand(4, 6, generator=torch.Generator().manual_seed(6)).double()
WEIGHTS = torch.arange(1.0, 7).double()

CASES = {
    "mse": lambda x: F.mse_loss(x, torch.ones(4, 6).double()),
    "each mse": lambda x: F.mse_loss(x.sin(), X, reduction="none"),
    "summed mse": lambda x: F.mse_loss(x.sin(), x, reduction="sum"),
    "huber": lambda x: F.huber_loss(x * x, TARGETS, delta=0.7),
    "each huber": lambda x: F.huber_loss(x.sin(), x, reduction="none"),
    "smooth l1": lambda x: F.smooth_l1_loss(x * x, TARGETS, beta=0.7),
    "summed smooth l1": lambda x: F.smooth_l1_loss(x.sin(), x, reduction="sum", beta=0.1),
    "l1": lambda x: F.l1_loss(x * x, TARGETS),
    "two classes": lambda x: F.binary_cross_entropy_with_logits(x * x, ODDS),
    "each of two classes": lambda x: F.binary_cross_entropy_with_logits(x.sin(), ODDS, WEIGHTS, reduction="none"),
    "weighted classes": lambda x: F.binary_cross_entropy_with_logits(x.sin(), ODDS, pos_weight=WEIGHTS),
    "learnt targets": lambda x: F.binary_cross_entropy_with_logits(x, x.sigmoid(), reduction="sum"),
}


@pytest.mark.parametrize("name", CASES)
def test_operation(name):
    check_case(CASES[name])


@pytest.mark.parametrize("odds", [-800.0, -40.0, -1e-9, 0.0, 1e-9, 40.0, 800.0])
def test_the_loss_of_two_classes_neither_overflows_nor_has_a_kink(odds):
    x, target = torch.tensor([odds]).double(), torch.tensor([0.25]).double()
    found = measure_second_order(
        lambda x: F.binary_cross_entropy_with_logits(x, target), (x,), (torch.ones(1, 1).double(),)
    )
    p = x.sigmoid()
    expected = F.binary_cross_entropy_with_logits(x, target), p - 0.25, (p * (-x).sigmoid()).view(1, 1)
    for ours, one in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, one, rtol=1e-12, atol=1e-300)
