"""A space that tangents live in, what is measured along them there, and the step that combinations of them are.

Notation: n dimensions, k tangents, V `[k, n]` with the tangents as rows, B samples in a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

Tensors = tuple[Tensor, ...]

SampleLoss = Callable[[Tensor, Tensor], Tensor]
"""Maps outputs `[B, ...]` and targets `[B, ...]` to one loss per sample, `[B]`."""


class Measured(NamedTuple):
    """What is measured along k tangents; leading indices, of functions at several points, are independent.

    Attributes:
        loss: the value, of a batch the mean, `[...]`.
        slopes: directional derivatives: `[..., k, m]`, of m functions at a time; beside a curvature `[..., k]`.
        curvature: V H V^T with Hessian H, `[..., k, k]`; None if only slopes are measured.
        outputs: in the space of activities the output of each layer, with a graph that leads to its own weights.
    """

    loss: Tensor
    slopes: Tensor
    curvature: Tensor | None = None
    outputs: Iterable[Tensor] = ()


@dataclass(frozen=True)
class Space:
    """Where tangents live.

    Attributes:
        dimension: returns n for a batch's inputs.
        dtype: of the tangents.
        measure: measures along V: of a batch `(inputs, targets, V)`, of functions `(points, V)`.
        step: returns V^T c, one tensor per parameter, for V `[..., k, n]`, coefficients c `[..., k, m]`, and what was
            measured along V.
        of_samples: whether slopes are those of each sample's own loss.
        outputs: in the space of activities makes each layer's output of a batch's inputs, as `Measured` has them.
    """

    dimension: Callable[[Any], int]
    dtype: torch.dtype
    measure: Callable[..., Measured]
    step: Callable[[Tensor, Tensor, Measured], Tensors]
    of_samples: bool = False
    outputs: Callable[[Tensor], Iterable[Tensor]] = lambda inputs: ()


class Estimate(NamedTuple):
    """What one step learns about a loss.

    Attributes:
        loss: its value, of a batch the mean, `[]`; at S points `[S]`.
        gradients: what an optimiser multiplies by the learning rate and subtracts, one tensor per parameter.
        failed: whether a step rule found no step, which then is zero, `[]` or `[S]`; None for methods that always
            find one.
        length: of the step, where it is not the learning rate's alone, `[]` or `[S]`.
    """

    loss: Tensor
    gradients: Tensors
    failed: Tensor | None = None
    length: Tensor | None = None


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Return a context in which products of tangents, slopes and coefficients keep their precision."""
    return torch.autocast(device.type, enabled=False) if torch.is_autocast_enabled(device.type) else nullcontext()
