"""What a model, its layers, a batch and a loss must be for a forward gradient; all else is refused or warned of."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.nn import Module, Sequential
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_leaves

_HOOKS = "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"


def as_layers(model: Module) -> Sequential:
    """Return a model as the sequence of layers that it is.

    Raises:
        TypeError: if running its children one after the other would not be what it does.
    """
    if not isinstance(model, Sequential):
        raise TypeError(f"activity perturbation needs a torch.nn.Sequential of layers, not a {type(model).__name__}")
    if type(model).forward is not Sequential.forward or "forward" in vars(model):
        raise TypeError(
            f"activity perturbation needs a plain Sequential of layers: {type(model).__name__} has a forward of its own"
        )
    if any(getattr(model, name) for name in _HOOKS):
        raise TypeError("activity perturbation runs the layers alone; put the hooks of the Sequential on one of them")
    for name, _ in [*model.named_parameters(recurse=False), *model.named_buffers(recurse=False)]:
        raise TypeError(f"activity perturbation needs layers, and {name} belongs to the Sequential itself and to none")
    return model


def check_batch(inputs: Any) -> None:
    """Refuse a batch without samples.

    Args:
        inputs: a tensor `[B, ..]`, or several in a tuple, list or dictionary.

    Raises:
        ValueError: if there are none.
    """
    if any(isinstance(one, Tensor) and one.ndim and not len(one) for one in tree_leaves(inputs)):
        raise ValueError("the batch is empty")


def check_one_tensor(inputs: Any) -> None:
    """Refuse inputs that are several tensors, which layers of a sequence do not take.

    Raises:
        TypeError: if they are.
    """
    if not isinstance(inputs, Tensor):
        raise TypeError(f"activity perturbation needs one tensor of inputs, not a {type(inputs).__name__}")


def only_tensor(output: Any, index: int, layer: Module) -> Tensor:
    """Return what a layer returns.

    Raises:
        TypeError: if it is not one tensor.
    """
    if not isinstance(output, Tensor):
        raise TypeError(
            f"activity perturbation needs layers that return one tensor, and layer {index}, a {type(layer).__name__}, "
            f"returns a {type(output).__name__}"
        )
    return output


def each_loss(loss: Callable[[Tensor, Tensor], Tensor], outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the losses of a batch, `[B]`.

    Raises:
        ValueError: if the loss is not one number per sample.
    """
    losses = loss(outputs, targets)
    if losses.shape != outputs.shape[:1]:
        raise ValueError(
            f"activity perturbation needs one loss per sample, of shape {list(outputs.shape[:1])}, not "
            f"{list(losses.shape)}; losses of torch give it with reduction='none'"
        )
    return losses


def check_reached_through_modules(losses: Tensor, trained: Sequence[Tensor]) -> Tensor:
    """Return losses that do not depend on the trained parameters themselves, of which other values were measured.

    Raises:
        NotImplementedError: if a parameter was reached otherwise than as an attribute of its module, such as in a list,
            or in the loss.
    """
    for parameter in reaches(losses, trained):
        raise NotImplementedError(
            f"a trained parameter of shape {list(parameter.shape)} is reached otherwise than through its "
            "module, in a list or in the loss, where its derivative would be missed"
        )
    return losses


def reaches(value: Tensor, leaves: Sequence[Tensor]) -> list[Tensor]:
    """Return those of some leaves that a reverse pass from a value would reach."""
    waiting, seen = [value.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            waiting += [function for function, _ in node.next_functions]
    variables = {id(node.variable) for node in seen if hasattr(node, "variable")}
    return [leaf for leaf in leaves if id(leaf) in variables]


class CoupledSamplesWarning(UserWarning):
    """Forward slopes of activities do not estimate the gradient, because the model couples the samples of a batch."""


def warn_of_coupling(model: Module) -> None:
    """Warn of batch normalisation by the statistics of the batch, which couples its samples."""
    coupling = coupling_modules(model)
    if coupling:
        more = f" and {len(coupling) - 1} more" if len(coupling) > 1 else ""
        warnings.warn(
            f"batch normalisation (module {coupling[0]}{more}) couples the samples of a batch, so that slopes of "
            "activities measured forward do not estimate the gradient: measure them simulated, perturb the weights, or "
            "take group normalisation (model.norm=group for resnet18, else torch.nn.GroupNorm)",
            CoupledSamplesWarning,
            stacklevel=3,
        )


def coupling_modules(model: Module) -> list[str]:
    """Return the names of the modules that, in their present mode, normalise by the statistics of the batch."""
    return [
        name
        for name, module in model.named_modules()
        if isinstance(module, _BatchNorm) and (module.training or module.running_mean is None)
    ]


def warn_of_backward_hooks(model: Module) -> None:
    """Warn of hooks that change or watch a gradient on its way back, where nothing goes back."""
    hooked = [name or type(model).__name__ for name, one in model.named_modules() if _has_backward_hooks(one)]
    hooked += [name for name, weight in model.named_parameters() if weight._backward_hooks]
    if hooked:
        warnings.warn(
            f"a backward hook ({hooked[0]}) does nothing where derivatives are measured without a backward pass",
            stacklevel=3,
        )


def _has_backward_hooks(module: Module) -> bool:
    return bool(module._backward_hooks or module._backward_pre_hooks)
