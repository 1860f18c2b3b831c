"""A module as a pure function of its trained parameters, its buffers and its inputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import Module
from torch.utils._pytree import tree_map

Buffers = dict[int, Tensor]
"""What stands for each buffer of a model, by the buffer's `id`, so that those that modules share are one."""


def trainable(model: Module) -> list[tuple[str, Tensor]]:
    """Return the parameters that are trained, with their names; tied ones once.

    Raises:
        ValueError: if there are none.
        TypeError: if they are not all real numbers of one type.
    """
    found: list[tuple[str, Tensor]] = [(name, one) for name, one in model.named_parameters() if one.requires_grad]
    if not found:
        raise ValueError(
            f"no parameter of this {type(model).__name__} requires a gradient, so there is nothing to train"
        )
    (first, one), *_ = found
    for name, other in found:
        if other.dtype != one.dtype or not other.is_floating_point():
            raise TypeError(
                f"all trained parameters must be real numbers of one type, not {_type(one)} ({first}) "
                f"and {_type(other)} ({name})"
            )
    return found


def _type(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def call_with(model: Module, values: Sequence[Tensor], buffers: Buffers, inputs: Any) -> Any:
    """Call a model with other values for its trained parameters, in the order of `trainable`, and other buffers.

    `buffers` then holds what the model has made of them.

    Every place that holds a parameter or a buffer is filled, also in modules that are used several times and for
    tensors that several modules share; torch's own tying of names damages the former.
    """
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    values_of = {id(parameter): value for parameter, value in zip(trained, values, strict=True)} | buffers
    places = {
        name: id(tensor)
        for prefix, module in model.named_modules()
        for of_one in (module.named_parameters, module.named_buffers)
        for name, tensor in of_one(prefix=prefix, recurse=False, remove_duplicate=False)
        if id(tensor) in values_of
    }
    given = {name: values_of[place] for name, place in places.items()}
    outputs = functional_call(model, given, (inputs,), tie_weights=False)
    for name, place in places.items():
        if place in buffers and given[name] is not values_of[place]:  # some models replace theirs
            if list(places.values()).count(place) > 1:
                raise NotImplementedError(f"buffer {name} is replaced by one of several modules that share it")
            buffers[place] = given[name]
    for module in model.modules():  # what it remembers is no function of this call's directions later on
        module.__dict__.update({n: v.detach() for n, v in vars(module).items() if isinstance(v, Tensor)})
    return outputs


def cloned_buffers(model: Module) -> Buffers:
    """Return a copy of each buffer; those that share memory share that of their copies."""
    memory: dict[int, torch.UntypedStorage] = {}
    copies: Buffers = {}
    buffers = list(model.buffers())
    places = Counter(buffer.untyped_storage().data_ptr() for buffer in buffers if buffer.layout == torch.strided)
    for buffer in buffers:
        if buffer.layout != torch.strided or places[buffer.untyped_storage().data_ptr()] == 1:
            copies[id(buffer)] = buffer.clone()
            continue
        storage = buffer.untyped_storage()
        copy = memory.setdefault(storage.data_ptr(), storage.clone())
        place = buffer.storage_offset(), buffer.shape, buffer.stride()
        copies[id(buffer)] = torch.empty(0, dtype=buffer.dtype, device=buffer.device).set_(copy, *place)
    return copies


def take_over(model: Module, buffers: Buffers) -> None:
    """Let a model's buffers have other values."""
    for buffer in model.buffers():
        buffer.copy_(buffers[id(buffer)])


def untouched(inputs: Any, model: Module) -> Any:
    """Return a batch, a tensor or several, or a copy of it if the model may write to what it is given."""
    return copied(inputs) if any(map(_may_write, model.modules())) else inputs


def copied(batch: Any) -> Any:
    """Return a copy of a batch: of a tensor, of containers of tensors, or of an object of another class."""
    return tree_map(lambda one: one.clone() if isinstance(one, Tensor) else deepcopy(one), batch)


def _may_write(module: Module) -> bool:
    """Return whether a module may write to its inputs: torch's own ones do so only where they are told to."""
    foreign = not type(module).__module__.startswith("torch.nn.") or "forward" in vars(module)
    return foreign or getattr(module, "inplace", False) or bool(module._forward_hooks or module._forward_pre_hooks)
