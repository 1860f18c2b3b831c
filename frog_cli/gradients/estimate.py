"""The three choices of a forward gradient, and what a step learns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import Tensor
from torch.func import functional_call
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


@contextmanager
def buffers_kept(model: Module) -> Iterator[None]:
    """Restore the buffers of a model at the end."""
    before = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.copy_(value)


def untouched(inputs: Tensor, module: Module) -> Tensor:
    """Return inputs of a module, or a copy of them if it may write to its inputs."""
    writes = any(getattr(part, "inplace", False) for part in module.modules())
    return inputs.clone() if writes else inputs


def call_with(model: Module, values: Sequence[Tensor], buffers: dict[str, Tensor], inputs: Tensor) -> Tensor:
    """Call a model with other values for its trained parameters, in the order of `trainable`, and other buffers.

    The dictionary of buffers then holds what the model has made of them.

    Every place that holds a parameter is filled once, also in modules that are used several times and for parameters
    that are shared by several modules; torch's own tying of names damages the former.
    """
    values_of = {id(parameter): value for (_, parameter), value in zip(trainable(model), values, strict=True)}
    filled = {
        name: values_of[id(parameter)]
        for prefix, module in model.named_modules()
        for name, parameter in module.named_parameters(prefix=prefix, recurse=False, remove_duplicate=False)
        if id(parameter) in values_of
    }
    given = {**filled, **buffers}
    outputs: Tensor = functional_call(model, given, (inputs,), tie_weights=False)
    buffers.update({name: given[name] for name in buffers})  # some models replace theirs
    return outputs


def trainable(model: Module) -> list[tuple[str, Tensor]]:
    """Return the parameters that are trained, with their names; tied ones once."""
    return [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
