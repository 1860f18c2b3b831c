"""A module as a pure function of its parameters, its inputs, and whatever else it keeps from one call to the next.

Besides parameters a module keeps buffers, such as running statistics, and attributes of its own, such as a count of
its calls. A step calls it several times, once for each chunk of tangents: all calls must see the same, and in the end
it must be as after one.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import Module, Parameter
from torch.utils._pytree import tree_map

Buffers = dict[int, Tensor]
"""What stands for each buffer of a model, by the buffer's `id`, so that those that modules share are one."""

_OF_EVERY_MODULE = frozenset(vars(Module())) - {"training"}


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
    if id(value) in seen or isinstance(value, _CONSTANT):
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
    own = getattr(value, "__dict__", None)
    if not isinstance(own, dict) or isinstance(value, type):
        return None
    hidden = _OF_EVERY_MODULE if isinstance(value, Module) else frozenset[str]()
    attributes = {name: one for name, one in own.items() if name not in hidden}

    def reset() -> None:
        for name in [name for name in own if name not in hidden and name not in attributes]:
            del own[name]
        own.update(attributes)

    return _together(reset, attributes.values(), seen)


_CONSTANT = int, float, complex, str, bytes, bool, type(None), Parameter, ModuleType, FunctionType, BuiltinFunctionType


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


@contextmanager
def kept_as_it_is(model: Module) -> Iterator[None]:
    """Give a model, at the end, the buffers and attributes that it had."""
    restore = attributes_restored(model)
    buffers = [(module, module._buffers.copy()) for module in model.modules()]
    values = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        restore()
        for module, own in buffers:
            module._buffers.update(own)
        with torch.no_grad():
            for buffer, value in values:
                buffer.copy_(value)


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
