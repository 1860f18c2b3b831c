"""The three choices of a forward gradient, and what a step learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from frog_cli.gradients.aggregation import Aggregation
from frog_cli.gradients.tangents import Sampler

SampleLoss = Callable[[Tensor, Tensor], Tensor]
"""Maps outputs `[B, ...]` and targets `[B, ...]` to one loss per sample, `[B]`."""


@dataclass(frozen=True, kw_only=True)
class ForwardGradient:
    """A forward gradient: which tangents, how their slopes are measured, and how they are combined.

    Attributes:
        k: number of tangents, at least 1.
        tangents: samples them.
        measure: `forward` by forward-mode differentiation, `simulated` from a true gradient. The numbers agree, except
            over activities of a model that couples samples, where only simulated ones estimate the gradient.
        aggregation: makes coefficients of the tangents from the slopes.
        chunk_size: tangents per vectorised pass, which bounds the memory; None for all at once.
    """

    k: int
    tangents: Sampler
    measure: Literal["forward", "simulated"]
    aggregation: Aggregation
    chunk_size: int | None = None

    def __post_init__(self) -> None:
        """Refuse what would only fail, or go unnoticed, much later."""
        if self.k < 1 or (self.chunk_size is not None and self.chunk_size < 1):
            raise ValueError(f"k={self.k} and chunk_size={self.chunk_size} must be at least 1")
        if self.measure not in ("forward", "simulated"):
            raise ValueError(f"measure={self.measure!r} must be 'forward' or 'simulated'")
        if not callable(self.tangents) or not callable(self.aggregation):
            raise TypeError("tangents and aggregation must be functions, such as those in TANGENTS and AGGREGATIONS")


class Estimate(NamedTuple):
    """What one step learns about a loss.

    Attributes:
        loss: its mean over the batch.
        gradients: what an optimiser multiplies by the learning rate and subtracts, one tensor per parameter.
        failed: whether a search found no step, which then is zero; None for methods that always find one.
    """

    loss: Tensor
    gradients: tuple[Tensor, ...]
    failed: Tensor | None = None


class PointEstimate(NamedTuple):
    """The same for a function at S points: values `[S]`, gradients `[S, n]` and failures `[S]`."""

    values: Tensor
    gradients: Tensor
    failed: Tensor | None = None


def without_autocast(device: torch.device) -> torch.autocast:
    """Return a context in which products of tangents, slopes and coefficients keep their precision."""
    return torch.autocast(device.type, enabled=False)
