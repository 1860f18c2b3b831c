"""The space of a function's own variables, at S points at once: tangents V `[S, k, n]`, slopes `[S, k, 1]`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.func import grad_and_value

from frog_cli.gradients.measurement import measurement, simulated
from frog_cli.gradients.space import Measured, Space, Tensors
from frog_cli.jets.jet import measure_second_order

Function = Callable[[Tensor], Tensor]
"""Maps points `[..., n]` to values `[...]`."""


def points(
    function: Function,
    how: Literal["forward", "simulated", "difference", "second order"] = "forward",
    chunk_size: int | None = None,
    dtype: torch.dtype = torch.float32,
    epsilon: float | None = None,
) -> Space:
    """Return the space of a function's variables, with what is measured at points `[S, n]`.

    Args:
        function: what is differentiated.
        how: slopes alone, forward, from a true gradient or by differences, or slopes `[S, K]` and curvature
            `[S, K, K]`.
        chunk_size: tangents per pass of the forward measurement; None for all at once.
        dtype: of the points and tangents.
        epsilon: of the differences.
    """
    slopes_along = measurement(how, chunk_size, epsilon)

    def measured(points: Tensor, V: Tensor) -> Measured:
        values, slopes, _ = slopes_along(lambda x: (function(x), ()), (points,), (V.transpose(0, 1),))
        return Measured(values, slopes.transpose(0, 1).unsqueeze(-1).contiguous())

    def measured_simulated(points: Tensor, V: Tensor) -> Measured:
        gradients, values = gradient_and_value(function, points)
        return Measured(values, simulated(gradients.unsqueeze(-1), V))

    def measured_second_order(points: Tensor, V: Tensor) -> Measured:
        return Measured(*measure_second_order(function, (points,), (V.transpose(0, 1),)))

    others = {"simulated": measured_simulated, "second order": measured_second_order}
    return Space(lambda points: points.shape[-1], dtype, others.get(how, measured), combined)


def combined(V: Tensor, coefficients: Tensor, measured: Measured) -> Tensors:
    """Return V^T c at each point, `[S, n]`, for coefficients `[S, k, 1]`."""
    del measured
    return ((coefficients * V).sum(-2),)


def gradient_and_value(function: Function, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients `[S, n]` and the values `[S]` of a function at each point, by reverse mode."""

    def total(points: Tensor) -> tuple[Tensor, Tensor]:
        values = function(points)
        return values.sum(), values

    gradients, (_, values) = grad_and_value(total, has_aux=True)(points)
    return gradients, values
