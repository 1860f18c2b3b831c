"""What objects keep in their attributes from one call to the next: whether it has changed, and how it is taken back."""

from __future__ import annotations

import random
from array import array
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from types import BuiltinFunctionType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import Module, Parameter

OF_RECURRENT = frozenset({"_flat_weights", "_flat_weight_refs"})
"""Attributes that recurrent modules of torch make anew of their weights whenever these are others."""

OF_TORCH = frozenset(vars(Module())) - {"training"} | OF_RECURRENT
"""Attributes that torch gives modules: weights, buffers, hooks and submodules."""

_OF_CODE = type, ModuleType, FunctionType, BuiltinFunctionType
_CONSTANT = *_OF_CODE, int, float, complex, str, bytes, type(None), np.generic, torch.device, random.SystemRandom
_COMPARABLE = int, float, complex, str, bytes, np.generic, torch.device, slice, range, MethodType, bytearray, array
_OF_MEMBERS = tuple, frozenset, MethodType, partial


class Kept(NamedTuple):
    """What one object kept when it was looked at.

    Attributes:
        changed: returns whether it keeps something else now.
        restore: gives it back what it kept.
    """

    changed: Callable[[], bool]
    restore: Callable[[], None]


def kept_by(holders: Iterable[Any]) -> list[Kept]:
    """Return what objects, and all that they hold, keep now.

    Attributes count, however deep: containers, tensors, arrays, sources of random numbers and other objects. Of modules
    parameters, buffers, submodules and hooks do not. What cannot be looked into, such as an iterator, is left out.
    """
    found: list[Kept] = []
    waiting, seen = deque(holders), set[int]()
    while waiting:
        one = waiting.popleft()
        if id(one) in seen or isinstance(one, _CONSTANT):
            continue
        seen.add(id(one))
        kept = _kept_by_one(one)
        if kept is not None:
            found.append(kept)
        waiting.extend(_members(one))
    return found


def random_numbers_kept() -> list[Kept]:
    """Return the states that the sources of random numbers of Python and numpy have now."""
    return [
        _with_state(random.getstate, random.setstate),
        _with_state(np.random.get_state, np.random.set_state),
    ]


def _members(value: Any) -> Iterable[Any]:
    """Return what an object holds."""
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, list | tuple | deque | set | frozenset):
        return value
    if isinstance(value, MethodType):
        return (value.__self__,)
    if isinstance(value, partial):
        return value.func, *value.args, *value.keywords.values()
    return _attributes(value).values()


def _attributes(value: Any) -> dict[str, Any]:
    """Return the attributes of an object, those in slots as well, without those that torch gives modules."""
    own = getattr(value, "__dict__", None)
    found = own.copy() if isinstance(own, dict) else {}
    if isinstance(value, Module):
        found = {name: found[name] for name in found.keys() - OF_TORCH}
    if hasattr(value, "__slots__"):
        found |= {name: getattr(value, name) for name in _slots(type(value)) if hasattr(value, name)}
    return found


def _slots(of: type) -> list[str]:
    """Return the names of the attributes for which a class has slots instead of a dictionary."""
    declaring = [vars(one) for one in of.__mro__ if "__slots__" in vars(one)]
    return [name for one in declaring for name, slot in one.items() if isinstance(slot, MemberDescriptorType)]


def _set_attributes(value: Any, attributes: dict[str, Any]) -> None:
    """Give an object the attributes that it had; properties of the same names do not hear of it.

    What a module has registered meanwhile, as a layer made in its first call, stays registered.
    """
    now = _attributes(value)
    slots = _slots(type(value))
    if isinstance(value, Module):
        registered = value._modules.keys() | value._parameters.keys() | value._buffers.keys()
        attributes = {name: one for name, one in attributes.items() if name not in registered}
    for name in now.keys() - attributes.keys():
        object.__delattr__(value, name) if name in slots else vars(value).pop(name)
    for name, one in attributes.items():
        if name not in now or now[name] is not one:
            object.__setattr__(value, name, one) if name in slots else vars(value).update({name: one})


def _kept_by_one(value: Any) -> Kept | None:
    """Return what an object keeps, without what its members keep; None if that cannot change or be looked at."""
    if isinstance(value, _OF_MEMBERS):
        return None
    if isinstance(value, Module):
        return _with_state(partial(_attributes, value), partial(_set_attributes, value))
    if isinstance(value, Tensor):
        return None if isinstance(value, Parameter) else _kept_by_tensor(value)
    if isinstance(value, np.ndarray):
        return _with_state(value.copy, partial(value.__setitem__, ...)) if value.flags.writeable else None
    if isinstance(value, torch.Generator):
        return _with_state(lambda: value.get_state().numpy(), lambda state: value.set_state(torch.from_numpy(state)))
    if isinstance(value, random.Random):
        return _with_state(value.getstate, value.setstate)
    if isinstance(value, np.random.RandomState):
        return _with_state(value.get_state, value.set_state)
    if isinstance(value, np.random.Generator):
        source = value.bit_generator
        return _with_state(lambda: source.state, partial(setattr, source, "state"))
    if isinstance(value, list | bytearray | array):
        return _with_state(lambda: value[:], partial(value.__setitem__, slice(None)))
    if isinstance(value, dict | set | deque):

        def refill(content: Any) -> None:
            value.clear()
            value.extend(content) if isinstance(value, deque) else value.update(content)

        return _with_state(partial(_content, value), refill)
    return _with_state(partial(_attributes, value), partial(_set_attributes, value))


def _content(container: Any) -> Any:
    """Return the members of a container that may be of a class of its own."""
    return (dict if isinstance(container, dict) else set if isinstance(container, set) else list)(container)


def _with_state(get: Callable[[], Any], put: Callable[[Any], Any]) -> Kept:
    """Return what is kept by an object whose content can be had and put back."""
    before = get()
    return Kept(lambda: not _same(before, get()), lambda: put(before))


def _kept_by_tensor(tensor: Tensor) -> Kept | None:
    if tensor.layout != torch.strided or tensor.is_inference():
        return None
    changed, memory, before = written_to(tensor), tensor.detach(), tensor.detach().clone()

    def restore() -> None:
        nonlocal changed
        if changed():
            tensor.data = memory
            with torch.no_grad():
                tensor.copy_(before)
            changed = written_to(tensor)

    return Kept(lambda: changed(), restore)


def written_to(tensor: Tensor) -> Callable[[], bool]:
    """Return a function that tells whether a tensor was written to since, or was given other memory."""
    if tensor.layout != torch.strided or tensor.is_inference():
        return lambda: False  # which cannot be told
    version, memory = tensor._version, tensor.detach()
    return lambda: tensor._version != version or not tensor.is_set_to(memory)


def _same(one: Any, other: Any) -> bool:
    """Return whether two objects are one, or values or containers of values that are equal."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, _COMPARABLE):
        return bool(one == other)
    if isinstance(one, Tensor):
        return one.layout == other.layout == torch.strided and one.is_set_to(other)
    if isinstance(one, np.ndarray):
        return (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes())
    if isinstance(one, set | frozenset):
        return one == other
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[name], other[name]) for name in one)
    return isinstance(one, list | tuple | deque) and len(one) == len(other) and all(map(_same, one, other))
