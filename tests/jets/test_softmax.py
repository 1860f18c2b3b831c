"""Softmax, its logarithm and normalisation, and losses."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from frog_cli.gradients.measurement import forward
from frog_cli.jets.jet import measure_second_order
from tests.jets.oracles import LABELS, K, check_case, randn

CASES = {
    "logarithm of two exponentials": lambda x: torch.logaddexp(x * x, x[:, :1].sin()),
    "softmax": lambda x: F.softmax(x, 1),
    "log softmax": lambda x: F.log_softmax(x, 0),
    "logsumexp": lambda x: x.logsumexp(1),
    "nothing to choose": lambda x: torch._safe_softmax(torch.cat([x * x, torch.full((1, 6), -torch.inf).double()]), 1),
    "cross entropy": lambda x: F.cross_entropy(x, LABELS),
    "each cross entropy": lambda x: F.cross_entropy(x, LABELS, reduction="none"),
    "smoothed cross entropy": lambda x: F.cross_entropy(x, LABELS, label_smoothing=0.1),
    "nll": lambda x: F.nll_loss(x.sin(), LABELS, reduction="sum"),
    "curved softmax": lambda x: F.softmax(x * x, -1),
    "curved log softmax": lambda x: F.log_softmax(x * x, -1),
    "kept logsumexp": lambda x: (x * x).logsumexp(1, keepdim=True),
    "nll of pixels": lambda x: F.nll_loss(x.sin().view(1, 4, 2, 3), torch.tensor([[[0, 1, 2], [3, 1, 0]]])),
}


@pytest.mark.parametrize("name", CASES)
def test_operation(name):
    check_case(CASES[name])


def test_a_sum_of_exponentials_with_nothing():
    x, nothing = torch.tensor([0.5, -torch.inf]).double(), torch.full((2,), -torch.inf).double()
    value, slopes, _ = measure_second_order(lambda x: torch.logaddexp(x, nothing), [x], [torch.ones(1, 2).double()])
    torch.testing.assert_close(value, torch.logaddexp(x, nothing))
    assert slopes[0, 0] == 1


def test_the_logsumexp_of_a_number_is_another_number():
    def function(x):
        number = x.sum()
        other = number.logsumexp(0)
        other += 1
        return number

    _, slopes, _ = measure_second_order(function, [torch.ones(2).double()], [torch.eye(2).double()])
    assert function(torch.ones(2)) == measure_second_order(function, [torch.ones(2)], [torch.eye(2)])[0] == 2
    assert slopes.tolist() == [1, 1]


def test_a_logarithm_of_nothing_leaves_what_is_masked_without_derivatives():
    x = torch.tensor([1.0, 2.0]).double()

    def masked(x):
        nothing = torch.where(torch.tensor([True, False]), x, -torch.inf)
        return torch.logaddexp(nothing, nothing).exp().sum()

    found = measure_second_order(masked, [x], [torch.eye(2).double()])
    twice = 2 * x[0].exp()
    expected = twice, torch.stack([twice, 0 * twice]), torch.diag(torch.stack([twice, 0 * twice]))
    torch.testing.assert_close(found, expected)


def test_logsumexp_of_infinite_numbers():
    rows = torch.tensor([[-torch.inf, -torch.inf], [torch.inf, 0]]).double()
    value, _, _ = forward(lambda x: ((x + rows).logsumexp(1), ()), (torch.zeros(2, 2).double(),), (randn(K, 2, 2),))
    assert value.tolist() == [-torch.inf, torch.inf]


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e4])
@pytest.mark.parametrize("name", ["log_softmax", "softmax", "logsumexp", "cross entropy"])
def test_curvature_in_single_precision_does_not_cancel(name, offset):
    """Directions with a common offset: it changes nothing, so the numbers in double precision are the oracle's."""
    functions = {
        "log_softmax": lambda x: x.log_softmax(1).square().mean(),
        "softmax": lambda x: x.softmax(1).square().sum(),
        "logsumexp": lambda x: x.logsumexp(1).sum(),
        "cross entropy": lambda x: torch.nn.functional.cross_entropy(x, torch.tensor([0, 1, 2])),
    }
    x, V = randn(3, 5), randn(K, 3, 5).float() + offset
    without = V.double() - offset  # what float32 holds of the directions
    expected = measure_second_order(functions[name], (x,), (without,))[2]
    found = measure_second_order(functions[name], (x.float(),), (V,))[2]
    torch.testing.assert_close(found.double(), expected, rtol=1e-2, atol=1e-2)


def test_nothing_to_weigh_has_no_derivative():
    x = torch.tensor([[0.5, -1.0, 2.0], [-torch.inf] * 3, [-torch.inf, 1.0, -torch.inf]]).double()
    V = randn(K, 3, 3)
    value, slopes, curvature = measure_second_order(lambda x: x.logsumexp(1), (x,), (V,))
    assert torch.equal(value, x.logsumexp(1))
    p = x.softmax(1).nan_to_num()
    torch.testing.assert_close(slopes, torch.einsum("ri,kri->rk", p, V))
    means = torch.einsum("ri,kri->kr", p, V)
    torch.testing.assert_close(
        curvature, torch.einsum("ri,kri,lri->rkl", p, V, V) - torch.einsum("kr,lr->rkl", means, means)
    )
