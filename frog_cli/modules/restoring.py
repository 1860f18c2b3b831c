"""What a model keeps from one call to the next, taken back: attributes, buffers, and sources of random numbers.

A step calls a model several times, once for each chunk of tangents: all calls must see the same, and in the end the
model must be as after one.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module, Parameter

OF_RECURRENT = frozenset({"_flat_weights", "_flat_weight_refs"})
"""Attributes that recurrent modules of torch make anew of their weights whenever these are others."""

OF_TORCH = frozenset(vars(Module())) - {"training"} | OF_RECURRENT
"""Attributes that torch gives modules: weights, buffers, hooks and submodules."""


def random_state(device: torch.device) -> Tensor:
    """Return the state of a device's default generator, which dropout draws from."""
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.mps.get_rng_state() if device.type == "mps" else torch.get_rng_state()


def set_random_state(device: torch.device, state: Tensor) -> None:
    """Set the state of a device's default generator."""
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        (torch.mps if device.type == "mps" else torch).set_rng_state(state)


def attributes_restored(model: Module, loss: Any = None) -> Callable[[], None]:
    """Return a function that gives a model and a loss the attributes that they have now.

    Parameters, buffers, submodules and hooks of the model do not count; buffers of the loss do. Containers, arrays,
    sources of random numbers and other objects among the attributes get the content that they have now, however deep
    they are; what cannot be taken back, such as an iterator, stays as it is. Python's and numpy's own sources of random
    numbers are taken back as well.
    """
    seen: set[int] = set()
    restores = [random_numbers_restored()]
    holders = [*model.modules(), *(loss.modules() if isinstance(loss, Module) else [loss])]
    holders += loss.buffers() if isinstance(loss, Module) else []
    restores += [restore for holder in holders if (restore := _content_restored(holder, seen))]

    def restore_all() -> None:
        for restore in restores:
            restore()

    return restore_all


def random_numbers_restored() -> Callable[[], None]:
    """Return a function that gives the sources of random numbers of Python and numpy the states that they have now."""
    python, legacy = random.getstate(), np.random.get_state()

    def restore() -> None:
        random.setstate(python)
        np.random.set_state(legacy)

    return restore


def _content_restored(value: Any, seen: set[int]) -> Callable[[], None] | None:
    """Return a function that gives an object the content that it has now, None if it has none that changes."""
    if id(value) in seen or isinstance(value, CONSTANT):
        return None
    seen.add(id(value))
    if isinstance(value, Tensor):
        return _tensor_restored(value)
    if isinstance(value, np.ndarray):
        kept = value.copy()
        return lambda: value.__setitem__(..., kept)
    if isinstance(value, torch.Generator):
        state = value.get_state()
        return lambda: cast(None, value.set_state(state))
    if isinstance(value, random.Random):
        of_python = value.getstate()
        return lambda: value.setstate(of_python)
    if isinstance(value, np.random.Generator):
        of_numpy = value.bit_generator.state
        return lambda: setattr(value.bit_generator, "state", of_numpy)
    if isinstance(value, list | deque | dict | set):
        members = list(value.values() if isinstance(value, dict) else value)
        content = value.copy()

        def refill() -> None:
            value.clear()
            value.extend(content) if isinstance(value, list | deque) else value.update(content)

        return _together(refill, members, seen)
    if isinstance(value, tuple):
        return _together(None, value, seen)
    if isinstance(value, MethodType):
        return _together(None, [value.__self__], seen)
    if isinstance(value, partial):
        return _together(None, [value.func, *value.args, *value.keywords.values()], seen)
    own = getattr(value, "__dict__", None)
    if not isinstance(own, dict) or isinstance(value, type):
        return None
    hidden = OF_TORCH if isinstance(value, Module) else frozenset[str]()
    attributes = {name: one for name, one in own.items() if name not in hidden}

    def reset() -> None:
        for name in [name for name in own if name not in hidden and name not in attributes]:
            del own[name]
        own.update(attributes)

    return _together(reset, attributes.values(), seen)


CONSTANT = int, float, complex, str, bytes, bool, type(None), Parameter, ModuleType, FunctionType, BuiltinFunctionType


def _together(first: Callable[[], None] | None, members: Iterable[Any], seen: set[int]) -> Callable[[], None] | None:
    """Return a function that restores a container and all of its members."""
    restores = [first] if first else []
    restores += [
        one for member in members if not isinstance(member, Module) and (one := _content_restored(member, seen))
    ]

    def restore() -> None:
        for one in restores:
            one()

    return restore if restores else None


def _tensor_restored(tensor: Tensor) -> Callable[[], None] | None:
    if tensor.layout != torch.strided or tensor.is_inference():
        return None
    version = tensor._version
    try:
        before = torch._lazy_clone(tensor.detach())  # copied when it is written to
    except RuntimeError:  # memory of others, such as numpy's
        before = tensor.detach().clone()

    def restore() -> None:
        nonlocal version
        if tensor._version != version:
            with torch.no_grad():
                tensor.copy_(before)
            version = tensor._version

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


@contextmanager
def kept_as_it_is(model: Module, device: torch.device) -> Iterator[None]:
    """Give a model, at the end, the modes, buffers and attributes that it had, and dropout the same random numbers."""
    random_numbers, modes = random_state(device), [(module, module.training) for module in model.modules()]
    restore = attributes_restored(model)
    restore_buffers = buffers_restored(model)
    values = [(buffer, buffer.clone()) for buffer in model.buffers()]
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
