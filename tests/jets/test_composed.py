"""Operations that are formulas of others."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from frog_cli.jets.jet import measure_second_order
from tests.jets.oracles import X, by_reverse_mode, check, check_case, randn, weigh, whole

CASES = {
    "length of two": lambda x: torch.hypot(x, x.mT.reshape(4, 6) + 0.3),
    "angle": lambda x: torch.atan2(x, x.flip(0).sin() + 0.1),
    "angle to given numbers": lambda x: torch.atan2(randn(6, seed=4), x),
    "x log y": lambda x: torch.xlogy(x.sin(), x * x + 0.1),
    "x log of given numbers": lambda x: torch.xlogy(x.sin(), X * X),
    "given numbers log y": lambda x: torch.xlogy(X, x * x + 0.1),
    "entropy": lambda x: torch.special.entr(x.sigmoid()),
    "log of the odds": lambda x: x.sigmoid().square().logit(),
    "log of the odds, cut off": lambda x: x.sigmoid().logit(0.2),
    "remainders": lambda x: torch.remainder(x * x, x.sin() + 2),
    "remainders towards zero": lambda x: torch.fmod(x * 3, x.sin() + 2),
    "product of nothing": lambda x: x[:, :0].prod(1) * x[:, 0] + x[:, :0].prod(),
    "product of a number": lambda x: x.sum().prod(0).cumprod(0) * x,
    "product of all": lambda x: (x.sin() + 1.5).prod(),
    "products": lambda x: (x.sin() + 0.2).prod(1),
    "kept products": lambda x: x.prod(0, keepdim=True) * x,
    "products with zeros": lambda x: (x * (X > -0.5)).prod(1),
    "cumulated products": lambda x: (x.sin() + 0.2).cumprod(1),
    "cumulated products with zeros": lambda x: (x * (X > -0.5)).cumprod(0),
    "at most entries": lambda x: torch.clamp_max(x.sin(), (x * x).cos()),
    "added matrix by vector": lambda x: torch.addmv(x[0, :4], x, x[1] * x[2], beta=2, alpha=0.5),
    "added outer product": lambda x: torch.addr(x, x[:, 0], x[0], beta=2, alpha=0.5),
    "cross product": lambda x: torch.linalg.cross(x[:, :3].sin(), x[:, 3:]),
    "cross product down the rows": lambda x: torch.linalg.cross(x[:3].sin(), x[1:] * x[1:], dim=0),
    "cross-entropy of probabilities": lambda x: F.binary_cross_entropy(
        x.sigmoid(), (X * X).cos().abs(), reduction="none"
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_operation(name):
    check_case(CASES[name])


@pytest.mark.parametrize("size", [1e20, 1e-25])
def test_lengths_of_large_and_small_numbers_in_single_precision(size):
    x, y = torch.tensor([3.0, 0.0]), torch.tensor([4.0, 1.0])
    found = measure_second_order(lambda x: torch.hypot(x, y * size), [x * size], [torch.eye(2)])
    torch.testing.assert_close(found[1], torch.tensor([[0.6, 0.0], [0.0, 0.0]]))


def test_angles_on_the_axes():
    def angles(x, y):
        return weigh(torch.atan2(y, x))

    check(angles, torch.tensor([0.0, 0.0, 2.0, -1.0]).double(), torch.tensor([1.0, -2.0, 0.0, 1e-3]).double())


def test_nothing_times_a_logarithm_is_nothing():
    x, y = torch.tensor([0.0, 0.0, 2.0]).double(), torch.tensor([0.0, 3.0, 1.0]).double()
    tangents = [torch.eye(3).double(), torch.zeros(3, 3).double()]
    value, slopes, _ = measure_second_order(lambda x, y: torch.xlogy(x, y), [x, y], tangents)
    torch.testing.assert_close(value, torch.xlogy(x, y))
    torch.testing.assert_close(slopes.diagonal(), torch.tensor([0.0, 3.0, 1.0]).double().log().clamp(min=0))


@pytest.mark.parametrize("p", [0.0, 1e-30, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_probabilities_of_zero_and_one_have_derivatives(p, dtype):
    """A sigmoid that has reached its end does not vary, and then nor does its loss."""
    x, target = torch.tensor([p], dtype=dtype), torch.tensor([0.25], dtype=dtype)
    still = [torch.zeros(1, 1, dtype=dtype)]
    found = measure_second_order(lambda x: F.binary_cross_entropy(x, target), [x], still)
    torch.testing.assert_close(found[0], F.binary_cross_entropy(x, target))
    assert found[1] == found[2] == 0


def test_a_cutoff_probability_follows_torch():
    x = torch.tensor([0.1, 0.5, 0.95]).double()
    tangents = [torch.eye(3).double()]
    found = measure_second_order(lambda x: weigh(whole(torch.logit, x, 0.2)), [x], tangents)
    torch.testing.assert_close(found, by_reverse_mode(lambda x: weigh(torch.logit(x, 0.2)), [x], tangents))
