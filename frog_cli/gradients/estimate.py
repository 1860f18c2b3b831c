"""A forward gradient: tangents V of a sampler, slopes d = V g along them, coefficients c of V and d, the step V^T c."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral
from typing import Literal

from torch import Generator, Tensor

from frog_cli.gradients.aggregation import Aggregation
from frog_cli.gradients.space import Estimate, Space, without_autocast
from frog_cli.gradients.tangents import Sampler


@dataclass(frozen=True, kw_only=True)
class ForwardGradient:
    """A forward gradient: which tangents, how their slopes are measured, and how they are combined.

    Attributes:
        k: number of tangents, at least 1.
        tangents: samples them.
        measure: `forward` by forward-mode differentiation, `simulated` from a true gradient. The numbers agree, except
            over activities of a model that couples samples, where only simulated ones estimate the gradient.
            `difference` by central differences, but for an error of the order of ε² the same; not over activities.
        aggregation: makes coefficients of the tangents from the slopes.
        chunk_size: tangents per vectorised pass, which bounds the memory; None for all at once.
        epsilon: ε of the differences, above 0.
    """

    k: int
    tangents: Sampler
    measure: Literal["forward", "simulated", "difference"]
    aggregation: Aggregation
    chunk_size: int | None = None
    epsilon: float | None = None

    def __post_init__(self) -> None:
        counts = self.k, 1 if self.chunk_size is None else self.chunk_size
        if not all(isinstance(one, Integral) and one >= 1 for one in counts):
            raise ValueError(f"k={self.k!r} and chunk_size={self.chunk_size!r} must be whole numbers, at least 1")
        if self.measure not in ("forward", "simulated", "difference"):
            raise ValueError(f"measure={self.measure!r} must be 'forward', 'simulated' or 'difference'")
        if self.measure == "difference" and not 0 < (self.epsilon or 0) < math.inf:
            raise ValueError(f"measure='difference' needs an epsilon above 0, not {self.epsilon}")
        if not callable(self.tangents) or not callable(self.aggregation):
            raise TypeError("tangents and aggregation must be functions, such as those in TANGENTS and AGGREGATIONS")


def estimate(method: ForwardGradient, space: Space, inputs: Tensor, targets: Tensor, generator: Generator) -> Estimate:
    """Estimate the gradient of the mean loss over a batch from tangents of a generator.

    Raises:
        ValueError: if they have another shape than they were asked for.
    """
    shape = method.k, space.dimension(inputs)
    V = method.tangents(shape, generator, space.dtype)
    saw = list(V.shape) if isinstance(V, Tensor) else f"a {type(V).__name__}"
    if saw != list(shape):
        raise ValueError(f"tangents must be sampled as {list(shape)}, k rows of n numbers, not {saw}")
    return estimate_along(V, method.aggregation, space, inputs, targets)


def estimate_along(V: Tensor, aggregation: Aggregation, space: Space, *where: Tensor) -> Estimate:
    """Estimate the gradient from given tangents V `[..., k, n]`, for a batch `(inputs, targets)` or at `(points,)`."""
    measured = space.measure(*where, V)
    with without_autocast(V.device):
        coefficients = aggregation(V, measured.slopes.to(V.dtype))
    return Estimate(measured.loss, space.step(V, coefficients, measured))
