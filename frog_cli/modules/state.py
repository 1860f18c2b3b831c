"""What a model keeps from call to call: its tensors, to be saved, and all else that its operations depend on."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from types import MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module, Parameter, RNNBase

from frog_cli.modules.restoring import CONSTANT, OF_RECURRENT, OF_TORCH


def tensors_of(model: Module) -> dict[str, Tensor]:
    """Return all parameters and buffers by their names, also the buffers that `state_dict` leaves out.

    Raises:
        TypeError: if a module has a state of its own (`get_extra_state`) that is no tensor.
    """
    found = model.state_dict()
    odd = [name for name, one in found.items() if not isinstance(one, Tensor)]
    if odd:
        raise TypeError(f"keeps a state that is no tensor ({odd[0]}, of get_extra_state), which frog does not save")
    return found | {name: buffer for name, buffer in model.named_buffers() if name not in found}


def set_tensors(model: Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a model's parameters and buffers the values that `tensors_of` has returned."""
    persistent = model.state_dict().keys()
    others = {name: buffer for name, buffer in model.named_buffers() if name not in persistent}
    model.load_state_dict({name: one for name, one in tensors.items() if name not in others})
    with torch.no_grad():
        for name, buffer in others.items():
            if name in tensors:  # which earlier versions did not save
                buffer.copy_(tensors[name])


def identity(model: Module) -> tuple[int, ...]:
    """Return which attributes, modes, weights, buffers, hooks and submodules a model has, by where they are.

    Fast enough for each step. It tells them apart as long as those of before are held, as `held` does.
    """
    found: list[int] = []
    _add_identity(model, found)
    return tuple(found)


def _add_identity(module: Module, found: list[int]) -> None:
    if isinstance(module, RNNBase):
        found.extend(id(one) for name, one in vars(module).items() if name not in OF_RECURRENT)
    else:
        found.extend(map(id, vars(module).values()))
    for weight in module._parameters.values():
        if weight is not None:
            found += (weight.data_ptr(), weight.requires_grad)
    found.extend(buffer.data_ptr() for buffer in module._buffers.values() if buffer is not None)
    found += (*module._forward_hooks, *module._forward_pre_hooks)
    for child in module._modules.values():
        if child is not None:
            found.append(id(child))
            _add_identity(child, found)


def held(model: Module) -> list[Any]:
    """Return all that `identity` looks at."""
    return [
        held
        for module in model.modules()
        for held in (module, *vars(module).values(), *module._parameters.values(), *module._buffers.values())
    ]


def content(model: Module) -> Callable[[], Hashable]:
    """Return a function that tells what a model keeps from call to call, and all that it draws random numbers from.

    Attributes count, however deep, and buffers; parameters, which only optimisers change, do not. Nor does the random
    state of torch, from which a recording draws as the model does.
    """

    def of_now() -> Hashable:
        seen: dict[int, tuple[int, Any]] = {}
        of_modules = tuple(
            (_content({name: one for name, one in vars(module).items() if name not in OF_TORCH}, seen),
             tuple(_of_tensor(buffer) for buffer in module._buffers.values() if buffer is not None))
            for module in model.modules()
        )  # fmt: skip
        return of_modules, random.getstate(), _of_numpy(np.random.get_state(legacy=False))

    return of_now


def _content(value: Any, seen: dict[int, tuple[int, Any]]) -> Hashable:
    """Return what tells the content of an object; where it comes again, only which one it was."""
    if isinstance(value, Parameter):
        return id(value)
    if isinstance(value, CONSTANT):
        return value
    if id(value) in seen:
        return seen[id(value)][0]
    seen[id(value)] = len(seen), value  # held, so that no other object is at its place
    if isinstance(value, Tensor):
        return _of_tensor(value)
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if isinstance(value, torch.Generator):
        return value.get_state().numpy().tobytes()
    if isinstance(value, random.Random):
        return value.getstate()
    if isinstance(value, np.random.Generator):
        return _of_numpy(value.bit_generator.state)
    if isinstance(value, dict):
        return tuple((_content(name, seen), _content(one, seen)) for name, one in value.items())
    if isinstance(value, list | deque | tuple | set | frozenset):
        return type(value).__name__, *(_content(one, seen) for one in value)
    if isinstance(value, MethodType):
        return _content(value.__self__, seen)
    if isinstance(value, partial):
        return _content((value.func, value.args, value.keywords), seen)
    own = getattr(value, "__dict__", None)
    if not isinstance(own, dict) or isinstance(value, type):
        return id(value)
    return _content({name: one for name, one in own.items() if name not in OF_TORCH}, seen)


def _of_tensor(tensor: Tensor) -> tuple[int, ...]:
    """Return where a tensor is and how often it was written to, as far as that can be told."""
    if tensor.layout != torch.strided or tensor.is_inference():
        return (id(tensor),)
    return tensor.data_ptr(), tensor._version


def _of_numpy(state: Any) -> str:
    """Return the state of a source of random numbers of numpy."""
    inner = {name: one.tobytes() if isinstance(one, np.ndarray) else one for name, one in state["state"].items()}
    return str({**state, "state": inner})
