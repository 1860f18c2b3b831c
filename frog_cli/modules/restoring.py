"""What a model keeps from one call to the next, taken back: attributes, buffers, and sources of random numbers.

A step calls a model several times, once for each chunk of tangents: all calls must see the same, and in the end the
model must be as after one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.parameter import is_lazy

from frog_cli.modules.attributes import kept_by, random_numbers_kept
from frog_cli.modules.calls import copied
from frog_cli.modules.random_numbers import random_state, set_random_state
from frog_cli.modules.state import changes


def attributes_restored(model: Module | None, loss: Any = None) -> Callable[[], None]:
    """Return a function that gives a model and a loss the attributes that they have now.

    Parameters, buffers, submodules and hooks of the model do not count; buffers of the loss do. So do, however deep,
    containers, arrays and other objects, and the sources of random numbers of Python and numpy.
    """
    of_loss = [*loss.modules(), *loss.buffers()] if isinstance(loss, Module) else [loss]
    of_model = [] if model is None else model.modules()
    kept = random_numbers_kept() + kept_by([*of_model, *of_loss])

    def restore() -> None:
        for one in kept:
            one.restore()

    return restore


def buffers_restored(model: Module) -> Callable[[], None]:
    """Return a function that gives modules the buffers that they have now, which some layers replace by others.

    What is written to a buffer stays.
    """
    held = [(module, dict(module._buffers.items())) for module in model.modules()]

    def restore() -> None:
        for module, own in held:
            for name, buffer in own.items():
                if (
                    name not in module._buffers or module._buffers[name] is not buffer
                ):  # nothing can be set in a module of torch.jit
                    module._buffers[name] = buffer

    return restore


def changes_in_a_call(model: Module, inputs: Any, device: torch.device) -> bool:
    """Return whether a call of a model in its present mode changes what it keeps, or draws random numbers.

    The model stays as it is.
    """
    with kept_as_it_is(model, device), torch.enable_grad():
        changed, before = changes(model), random_state(device)
        model(copied(inputs))
        return changed() or not all(map(torch.equal, before, random_state(device)))


def _is_expanded(tensor: Tensor) -> bool:
    """Return whether a tensor shows an entry several times, so that nobody can write to it."""
    return any(size > 1 and step == 0 for size, step in zip(tensor.shape, tensor.stride(), strict=True))


@contextmanager
def kept_as_it_is(model: Module, device: torch.device) -> Iterator[None]:
    """Give a model, at the end, the modes, buffers, frozen parameters and attributes that it had, and random numbers.

    Buffers that a lazy module has not made yet stay as its first call makes them.
    """
    random_numbers, modes = random_state(device), [(module, module.training) for module in model.modules()]
    restore = attributes_restored(model)
    restore_buffers = buffers_restored(model)
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    values = [(one, one.clone()) for one in (*model.buffers(), *frozen) if not is_lazy(one) and not _is_expanded(one)]
    try:
        yield
    finally:
        restore()
        restore_buffers()
        with torch.no_grad():
            for buffer, value in values:
                buffer.copy_(value)
        for module, training in modes:
            module.training = training
        set_random_state(device, random_numbers)
