"""Normalisation layers, variances and norms."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch.func import jvp

from frog_cli.gradients.measurement import forward
from frog_cli.jets.jet import measure_second_order
from tests.jets.oracles import K, X, by_reverse_mode, check, check_case, randn, weigh

CASES = {
    "variance": lambda x: x.var(0),
    "variance of all": lambda x: x.var([0, 1]),
    "deviation": lambda x: x.std(1),
    "norm": lambda x: x.norm(),
    "layer norm": lambda x: F.layer_norm(x, (6,)),
    "batch norm": lambda x: F.batch_norm(x, None, None, training=True),
    "layer norm with weights": (lambda x, w, b: F.layer_norm(x, (6,), w, b), (2, 4, 6), (6,), (6,)),
    "group norm": (lambda x, w, b: F.group_norm(x, 3, w, b), (2, 6, 4, 4), (6,), (6,)),
    "instance norm": (lambda x: F.instance_norm(x), (2, 3, 4, 4)),
    # MORE
}


@pytest.mark.parametrize("name", CASES)
def test_operation(name):
    check_case(CASES[name])


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_with_statistics(training):
    def normalised(x, weight, bias):
        mean, variance = torch.zeros(3).double(), torch.ones(3).double() * 2
        return weigh(F.batch_norm(x, mean, variance, weight, bias, training=training))

    check(normalised, randn(4, 3, 5, 5), randn(3), randn(3))


@pytest.mark.parametrize("kind", ["layer norm", "batch norm"])
def test_would_notice_the_wrong_formulas_of_nested_jvp(kind):
    """torch 2.13 is silently wrong there (pytorch issues 196700 and 196699); if this fails, it has been repaired."""

    def function(x):
        return weigh(CASES[kind](x))

    tangents = [randn(K, 4, 6, seed=1)]
    _, _, right = by_reverse_mode(function, [X], tangents)
    _, _, ours = measure_second_order(function, [X], tangents)
    v = tangents[0][0]
    _, nested = jvp(lambda x: jvp(function, (x,), (v,))[1], (X,), (v,))
    assert abs(ours[0, 0] - right[0, 0]) < 1e-10 * abs(right[0, 0])
    assert abs(nested - right[0, 0]) > 1e-2 * abs(right[0, 0])


@pytest.mark.parametrize("root", [lambda x: (0 * x).norm(), lambda x: x.std(0)])
def test_a_root_has_no_slope_at_its_kink(root):
    x = torch.ones(3, 2, dtype=torch.float64)
    _, slopes, _ = forward(lambda x: (root(x).sum(), ()), (x,), (randn(K, 3, 2),))
    assert slopes.tolist() == [0] * K


def test_a_variance_over_no_named_dimension_is_over_all():
    value, slopes, _ = forward(lambda x: (x.var(dim=[]), ()), (X,), (randn(K, 4, 6, seed=1),))
    torch.testing.assert_close((value, slopes), by_reverse_mode(torch.var, [X], [randn(K, 4, 6, seed=1)])[:2])
