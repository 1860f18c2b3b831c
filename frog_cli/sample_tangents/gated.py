"""Tangents that leave alone what is off: zero where a layer's ReLU is zero, for each sample."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Generator, Tensor
from torch.nn import AvgPool2d, Dropout, Flatten, Identity, MaxPool2d, Module, ReLU, Sequential

from frog_cli import ideas
from frog_cli.gradients.tangents import normal

_KEEP_ZEROS = AvgPool2d, Dropout, Flatten, Identity, MaxPool2d
"""Modules whose output has no derivative where all that goes into it comes from a ReLU that is off."""

_BLOCKS = "torchvision.models.resnet.BasicBlock", "torchvision.models.resnet.Bottleneck"
"""Modules that end with their attribute `relu`."""


@ideas.tangents(unbiased=True)
def gated(shape: tuple[int, ...], generator: Generator, dtype: torch.dtype) -> Tensor:
    """Normal, zero where a ReLU is off; over activities (Ren et al. 2023, Sec. 3.6).

    What is drawn here are normal tangents; where the ReLU that a layer ends with is off, for a sample, its entries are
    set to zero. The layer's weights have no influence there, so that their gradient is estimated as before, also
    without bias, but from slopes of less variance. Layers that end otherwise keep theirs.
    """
    return normal(shape, generator, dtype)


def ends_with_relu(layer: Module) -> bool:
    """Return whether a layer's output is zero exactly where its last ReLU, or all that are pooled there, are off.

    Of what is derived from these modules, or has hooks, it is not known: such a ReLU may let derivatives through zeros.
    """
    if not _is_as_torch_has_it(layer):
        return False
    if type(layer) is ReLU:
        return True
    if f"{type(layer).__module__}.{type(layer).__name__}" in _BLOCKS:
        return ends_with_relu(layer.get_submodule("relu"))
    if not isinstance(layer, Sequential) or type(layer).forward is not Sequential.forward:
        return False
    for module in reversed(layer):
        if not (type(module) in _KEEP_ZEROS and _is_as_torch_has_it(module)):
            return ends_with_relu(module)
    return False


def _is_as_torch_has_it(module: Module) -> bool:
    """Return whether a module does what its class says: it has no hooks and no forward of its own."""
    return not (module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))


def where_on(model: Iterable[Module], outputs: Sequence[Tensor]) -> Tensor:
    """Return for the outputs of a model's layers where tangents may point, `[B, n]`."""
    flat = [output.detach().flatten(1) for output in outputs]
    parts = [
        one != 0 if ends_with_relu(layer) else torch.ones_like(one, dtype=torch.bool)
        for layer, one in zip(model, flat, strict=True)
    ]
    return torch.cat(parts, dim=1)
