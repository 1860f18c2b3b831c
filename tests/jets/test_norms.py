"""Normalisation layers, variances and norms."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor
from torch.func import jvp

from frog_cli.gradients.measurement import forward
from frog_cli.jets.jet import evaluate, laid_over, measure_second_order
from frog_cli.jets.norms import batch_norm
from tests.jets.oracles import K, X, by_reverse_mode, check, check_case, randn, weigh, whole

aten = torch.ops.aten


def statistics() -> tuple[Tensor, Tensor]:
    return torch.zeros(3).double(), torch.full((3,), 2.0).double()


def whole_distances(x, y, order):
    """Take distances as torch does where it differentiates them once, or in words that it differentiates twice."""
    if x.requires_grad:
        return (x.unsqueeze(-2) - y.unsqueeze(-3)).norm(order, -1)
    return torch.cdist(x, y, order)


CASES = {
    "variance": lambda x: x.var(0),
    "variance of all": lambda x: x.var([0, 1]),
    "deviation": lambda x: x.std(1),
    "norm": lambda x: x.norm(),
    "distances": lambda x: F.pairwise_distance(x.sin(), x * x),
    "layer norm": lambda x: F.layer_norm(x, (6,)),
    "batch norm": lambda x: F.batch_norm(x, None, None, training=True),
    "layer norm with weights": (lambda x, w, b: F.layer_norm(x, (6,), w, b), (2, 4, 6), (6,), (6,)),
    "group norm": (lambda x, w, b: F.group_norm(x, 3, w, b), (2, 6, 4, 4), (6,), (6,)),
    "instance norm": (lambda x: F.instance_norm(x), (2, 3, 4, 4)),
    "kept variance without correction": lambda x: x.sin().var(1, correction=0, keepdim=True),
    "deviation of all": lambda x: x.sin().std(),
    "norm of order 3": lambda x: x.norm(3),
    "norms of order 1": lambda x: x.sin().norm(1, dim=1),
    "norms of order 1/2": lambda x: x.sin().norm(0.5, dim=0, keepdim=True),
    "largest size": lambda x: x.sin().norm(torch.inf, dim=1),
    "smallest size": lambda x: torch.linalg.vector_norm(x.sin(), -torch.inf, dim=1),
    "how many are not zero": lambda x: torch.linalg.vector_norm(x.relu(), 0, dim=1) * x[:, 0],
    "variance and mean": lambda x: sum(torch.var_mean(x.sin(), 1)),
    "deviation and mean": lambda x: sum(torch.std_mean(x.sin(), [0, 1], correction=0, keepdim=True)),
    "distances of rows": (lambda x, y: whole_distances(x.sin(), y, 2.0), (4, 6), (3, 6)),
    "distances of many rows": (lambda x, y: whole_distances(x.sin(), y, 2.0).square(), (27, 2), (3, 2)),
    "distances of order 1": (lambda x, y: whole_distances(x.sin(), y, 1.0), (2, 4, 6), (2, 3, 6)),
    "statistics of group norm": (
        lambda x: sum(one.sum() for one in torch.native_group_norm(x.sin(), None, None, 2, 6, 16, 3, 1e-5)),
        (2, 6, 4, 4),
    ),
    "norms": lambda x: x.sin().norm(dim=1, keepdim=True),
    "layer norm over two dimensions": lambda x: F.layer_norm(x.sin().view(2, 2, 6), (2, 6)),
    "layer norm with given weights": lambda x: F.layer_norm(x.sin(), (6,), randn(6), randn(6, seed=1)),
    "batch norm with given weights": (
        lambda x: F.batch_norm(x, None, None, randn(3), randn(3, seed=1), training=True),
        (4, 3, 5, 5),
    ),
    "batch norm by torch's new operation": (
        lambda x, w, b: aten._native_batch_norm_legit(x, w, b, *statistics(), True, 0.1, 1e-5)[0],
        (4, 3, 5, 5),
        (3,),
        (3,),
    ),
    "batch norm of an evaluation": (lambda x, w, b: F.batch_norm(x, *statistics(), w, b), (4, 3, 5, 5), (3,), (3,)),
    "root mean square norm in one operation": (
        lambda x, w: whole(lambda x, w: aten._fused_rms_norm(x.sin(), [6], w, 1e-5)[0], x, w),
        (4, 6),
        (6,),
    ),
    "group norm without weights": (lambda x: F.group_norm(x, 3), (2, 6, 4, 4)),
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


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("order", [1, 2])
def test_batch_norm_of_cudnn_is_called_as_torch_calls_it(training, order):
    """Its kernel, which this machine may not have, returns what it reserves for its reverse mode as well."""

    def kernel(*arguments):
        return *aten.native_batch_norm.default(*arguments), torch.zeros(0, dtype=torch.uint8)

    def normalised(batch_norm, x):
        mean, variance = statistics()
        return weigh(batch_norm(x, torch.ones(3).double(), randn(3), mean, variance, training, 0.1, 1e-5))

    x, tangents = randn(4, 3, 5, 5), randn(K, 4, 3, 5, 5, seed=1)
    with laid_over({aten.cudnn_batch_norm.default: batch_norm(kernel)}):
        found = evaluate(lambda x: normalised(lambda *a: torch.cudnn_batch_norm(*a)[0], x), [x], [tangents], order)
    with laid_over({aten.native_batch_norm.default: batch_norm(aten.native_batch_norm.default)}):
        expected = evaluate(lambda x: normalised(lambda *a: torch.native_batch_norm(*a)[0], x), [x], [tangents], order)
    torch.testing.assert_close((found.value, found.terms), (expected.value, expected.terms))


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


@pytest.mark.parametrize("order", [1.5, 2, 3])
def test_at_zero_a_norm_has_the_slopes_of_reverse_mode(order):
    x, unit = torch.zeros(2).double(), [torch.eye(2).double()]
    _, slopes, _ = measure_second_order(lambda x: torch.linalg.vector_norm(x, order), [x], unit)
    torch.testing.assert_close(slopes, by_reverse_mode(lambda x: torch.linalg.vector_norm(x, order), [x], unit)[1])


def test_a_norm_in_another_type():
    x, unit = torch.tensor([3e4, 4e4]).half(), [torch.eye(2).half()]
    value, slopes, _ = measure_second_order(lambda x: torch.linalg.vector_norm(x, 2, dtype=torch.float32), [x], unit)
    torch.testing.assert_close((value, slopes), (torch.tensor(5e4), torch.tensor([0.6, 0.8])), rtol=1e-3, atol=0)


def test_statistics_that_vary_are_refused():
    with pytest.raises(NotImplementedError, match="no forward-mode rule for running statistics that have derivatives"):
        measure_second_order(lambda x: F.batch_norm(x, x.mean(0), x.var(0)).sum(), [X], [randn(K, 4, 6)])
