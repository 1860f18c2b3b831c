"""Losses of differences, and of probabilities of two classes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from frog_cli.jets.jet import measure_second_order
from tests.jets.oracles import LABELS, X, check_case, randn

TARGETS, ODDS = randn(4, 6, seed=5), torch.rand(4, 6, generator=torch.Generator().manual_seed(6)).double()
WEIGHTS = torch.arange(1.0, 7).double()


def multi_margin(x, target, p=1, margin=1.0, weight=None, reduction="mean"):
    """Take torch's loss, or, as torch differentiates that once, the same in words that it differentiates twice."""
    if not x.requires_grad:
        return F.multi_margin_loss(x, target, p, margin, weight, reduction=reduction)
    x, target = (x, target) if x.ndim == 2 else (x[None], target[None])
    rows = torch.arange(len(x))
    within = (margin - x[rows, target, None] + x).relu() ** p * (F.one_hot(target, x.shape[1]) == 0)
    losses = (within * (1 if weight is None else weight[target, None])).mean(1)
    return {"none": losses, "sum": losses.sum(), "mean": losses.mean()}[reduction]


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
    "probabilities": lambda x: F.binary_cross_entropy(x.sigmoid(), ODDS),
    "each probability": lambda x: F.binary_cross_entropy(x.sigmoid(), ODDS, WEIGHTS, reduction="none"),
    "soft margin": lambda x: F.soft_margin_loss(x * x, TARGETS.sign()),
    "each soft margin": lambda x: F.soft_margin_loss(x.sin(), TARGETS.sign(), reduction="none"),
    "margins of classes": lambda x: multi_margin(x.sin(), LABELS),
    "squared margins of classes": lambda x: multi_margin(x.sin(), LABELS, 2, 0.7, WEIGHTS, reduction="none"),
    "margins of one sample": lambda x: multi_margin(x[0].sin(), LABELS[0], reduction="sum"),
    "divergence": lambda x: F.kl_div(x.log_softmax(1), ODDS.softmax(1), reduction="batchmean"),
    "divergence of learnt targets": lambda x: F.kl_div(
        x.log_softmax(1), x.sin().log_softmax(1), reduction="sum", log_target=True
    ),
    "angles between": lambda x: F.cosine_embedding_loss(x.sin(), X, torch.tensor([1, -1, 1, -1])),
    "similarity": lambda x: F.cosine_similarity(x.sin(), x * x),
    "gaussian": lambda x: F.gaussian_nll_loss(x, TARGETS, x * x),
    "poisson": lambda x: F.poisson_nll_loss(x, ODDS, log_input=True, full=True),
    "hinges": lambda x: F.hinge_embedding_loss(x.sin(), TARGETS.sign()),
    "triplets": lambda x: F.triplet_margin_loss(x, x.sin(), X * X),
    "ranks": lambda x: F.margin_ranking_loss(x, x.sin(), TARGETS.sign()),
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
