"""What rules are compared with, in float64: reverse over reverse, and central differences."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from frog_cli.gradients.measurement import forward
from frog_cli.jets.jet import measure_second_order

K = 3


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def weigh(result: Tensor) -> Tensor:
    """Make a scalar that depends on every entry in its own, curved way."""
    return (result.tanh() * randn(*result.shape, seed=9)).sum()


def by_reverse_mode(function, primals, tangents):
    """Return value, slopes and curvature by reverse over reverse."""
    points = [primal.clone().requires_grad_() for primal in primals]
    with sdpa_kernel(SDPBackend.MATH):
        value = function(*points)
        gradients = torch.autograd.grad(value, points, create_graph=True, materialize_grads=True)
        slopes = torch.stack([_dot(gradients, [t[i] for t in tangents]) for i in range(len(tangents[0]))])
        rows = [torch.autograd.grad(s, points, retain_graph=True, materialize_grads=True) for s in slopes]
    curvature = torch.stack(
        [torch.stack([_dot(row, [t[j] for t in tangents]) for j in range(len(slopes))]) for row in rows]
    )
    return value.detach(), slopes.detach(), curvature.detach()


def by_differences(function, primals, tangents, step=1e-4):
    """Return the curvature by central differences of the value along sums and differences of directions."""

    def value(shift: list[Tensor]) -> float:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            return function(*(p + step * s for p, s in zip(primals, shift, strict=True))).item()

    count = len(tangents[0])
    curvature = torch.empty(count, count, dtype=torch.float64)
    for i in range(count):
        for j in range(count):
            corners = [value([a * t[i] + b * t[j] for t in tangents]) * a * b for a in (1, -1) for b in (1, -1)]
            curvature[i, j] = sum(corners) / (4 * step**2)
    return curvature


def _dot(a, b):
    return sum((x * y).sum() for x, y in zip(a, b, strict=True))


def check(function, *primals: Tensor, tolerance: float = 1e-8) -> None:
    tangents = [randn(K, *primal.shape, seed=index + 1) for index, primal in enumerate(primals)]
    found = measure_second_order(function, primals, tangents)
    for ours, expected in zip(found, by_reverse_mode(function, primals, tangents), strict=True):
        scale = expected.norm().clamp(min=1e-12)
        assert ((ours - expected).norm() / scale) < tolerance, (ours, expected)
    _, slopes, _ = forward(lambda *x: (function(*x), ()), primals, tangents)  # by jets of first order
    assert (slopes - found[1]).norm() <= tolerance * found[1].norm()
    differences = by_differences(function, primals, tangents)
    assert (found[2] - differences).norm() <= 1e-4 * (1 + differences.norm())


X = randn(4, 6)
LABELS = torch.tensor([0, 5, 2, 2])


def check_case(case) -> None:
    """Check a row of a table of cases: a function of X, or a function with the shapes of its arguments."""
    function, points = function_and_points(case)
    check(lambda *x: weigh(function(*x)), *points)


def function_and_points(case) -> tuple:
    """Return the function of a row of a table of cases, and where it is differentiated."""
    if not isinstance(case, tuple):
        return case, [X]
    function, *shapes = case
    return function, [randn(*shape, seed=20 + index) for index, shape in enumerate(shapes)]
