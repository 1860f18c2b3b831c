from __future__ import annotations

import math

import pytest
import torch

from frog_cli.objectives.functions import rosenbrock, sphere, styblinski_tang
from tests.cases import FUNCTIONS

x = torch.tensor([1.5, -2.0, 0.5], dtype=torch.float64)


def test_values_by_hand():
    assert sphere(x).item() == 1.5**2 + 4 + 0.25
    # 100 (-2 - 2.25)^2 + (1 - 1.5)^2 + 100 (0.5 - 4)^2 + (1 + 2)^2
    assert rosenbrock(x).item() == 100 * 4.25**2 + 0.25 + 100 * 3.5**2 + 9
    expected = 0.5 * sum(v**4 - 16 * v**2 + 5 * v for v in (1.5, -2.0, 0.5))
    assert styblinski_tang(x).item() == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize("n", [1, 2, 10, 64])
def test_minima(n):
    assert sphere(torch.zeros(n)) == 0
    assert rosenbrock(torch.ones(n)) == 0
    lowest = torch.full((n,), -2.903534027771177, dtype=torch.float64, requires_grad=True)
    value = styblinski_tang(lowest)
    assert value.item() / n == pytest.approx(-39.16616570377142)
    assert torch.autograd.grad(value, lowest)[0].abs().max() < 1e-12


def test_rosenbrock_of_one_variable_is_an_empty_sum():
    assert rosenbrock(torch.tensor([3.0])) == 0


def test_published_starts():
    values = {name: closed.function(closed.start(4)).item() for name, closed in FUNCTIONS.items()}
    # rosenbrock at (-1, 0, 0, 0): 100 + 4 for the first pair, 1 for each of the others
    assert values == {"sphere": 4.0, "rosenbrock": 106.0, "styblinski-tang": 0.0}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_points_at_once(name):
    points = torch.randn(5, 2, 7, dtype=torch.float64)
    together = FUNCTIONS[name].function(points)
    for index in range(5):
        torch.testing.assert_close(together[index], FUNCTIONS[name].function(points[index]), rtol=1e-14, atol=0)
    assert together.shape == (5, 2)
    assert not math.isnan(together.sum())
