"""The three choices of a forward gradient, and the contract between a method and whoever steps with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from torch import Generator, Tensor
from torch.nn import Module

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
        measure: `forward` by forward-mode differentiation, `simulated` from a true gradient; the numbers agree.
        aggregation: makes coefficients of the tangents from the slopes.
        chunk_size: tangents per vectorised pass, which bounds the memory; None for all at once.
    """

    k: int
    tangents: Sampler
    measure: Literal["forward", "simulated"]
    aggregation: Aggregation
    chunk_size: int | None = None


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


class Gradient(Protocol):
    """A method that estimates the gradient of a module's mean loss over a batch."""

    def __call__(
        self, model: Module, loss: SampleLoss, inputs: Tensor, targets: Tensor, generator: Generator
    ) -> Estimate:
        """Return one gradient for each of `trainable(model)`, in their order; nothing carries a graph."""


def trainable(model: Module) -> list[tuple[str, Tensor]]:
    """Return the parameters that are trained, with their names; tied ones once."""
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
