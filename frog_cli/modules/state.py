"""What a model keeps from call to call: its tensors, to be saved, and all else that its operations depend on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, RNNBase

from frog_cli.modules.attributes import OF_RECURRENT, OF_TORCH, kept_by, random_numbers_kept, written_to

_CONTAINERS = list, dict, set, deque


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

    Of modules that are not torch's own it counts where tensors among the attributes are, how often they were written
    to, and which members containers have; what lies deeper, and variables of functions, it does not see. Fast enough
    for each step. It tells models apart as long as what they had before is held, as `held` does.
    """
    found: list[int] = []
    _add_identity(model, found)
    return tuple(found)


def _add_identity(module: Module, found: list[int]) -> None:
    own = vars(module)
    if isinstance(module, RNNBase):
        found.extend(id(one) for name, one in own.items() if name not in OF_RECURRENT)
    else:
        found.extend(map(id, own.values()))
    for name in own.keys() - OF_TORCH if not type(module).__module__.startswith("torch.nn.") else ():
        one = own[name]
        if isinstance(one, Tensor):
            found.append(0 if one.is_inference() else one._version)
            found.append(one.data_ptr() if one.layout == torch.strided else 0)
        elif isinstance(one, _CONTAINERS):
            found.extend(map(id, one.values() if isinstance(one, dict) else one))
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
    found: list[Any] = []
    for module in model.modules():
        found += [module, *vars(module).values(), *module._parameters.values(), *module._buffers.values()]
        for one in vars(module).values():
            if isinstance(one, _CONTAINERS):
                found += one.values() if isinstance(one, dict) else one
    return found


def changes(model: Module) -> Callable[[], bool]:
    """Return a function that tells whether a model keeps anything else than now, or random numbers were drawn.

    Attributes count, however deep, buffers and frozen parameters; other parameters, which only optimisers change, do
    not. Nor does the random state of torch, from which a recording draws as the model does.
    """
    modules = list(model.modules())
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    written = [written_to(one) for one in (*model.buffers(), *frozen)]
    held = [(module, module._buffers.copy()) for module in modules]
    kept = random_numbers_kept() + kept_by(modules)

    def changed() -> bool:
        replaced = any(module._buffers.get(name) is not one for module, own in held for name, one in own.items())
        return replaced or any(one() for one in written) or any(one.changed() for one in kept)

    return changed
