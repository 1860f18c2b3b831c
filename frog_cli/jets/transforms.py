"""Forward mode of first order through torch's own rules, which are more than those of jets, and slower."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.func import jvp, vmap
from torch.overrides import TorchFunctionMode

from frog_cli.jets.kernels import differentiable_kernels
from frog_cli.jets.refusals import check_torch_knows, without_reverse_passes

Tensors = tuple[Tensor, ...]


def measure_by_transforms(
    function: Callable[..., tuple[Tensor, Any]], primals: Tensors, tangents: Tensors
) -> tuple[Tensor, Tensor, Any]:
    """Return a function's value `[...]`, its slopes `[k, ...]` along tangents, and its second result."""

    def along(*tangent: Tensor) -> tuple[Tensor, Tensor, Any]:
        value, slope, kept = jvp(function, primals, tangent, has_aux=True)  # type: ignore[misc]
        return value, slope, kept

    # randomness="same": one dropout mask for all tangents, or they would belong to different functions
    shared_primal = vmap(along, out_dims=(None, 0, None), randomness="same")  # type: ignore[arg-type]
    with torch.enable_grad(), differentiable_kernels(), without_reverse_passes(), _OnlyWhatTorchKnows():
        try:
            return shared_primal(*tangents)
        except (NotImplementedError, RuntimeError) as error:
            unknown = re.search(r"forward AD with (\w+)", str(error))
            own = "setup_context" in str(error) or "custom autograd.Function" in str(error)
            if unknown is None and not own:
                raise
            what = "a torch.autograd.Function without jvp and setup_context" if unknown is None else unknown[1]
            raise NotImplementedError(
                f"no forward-mode rule, of jets or torch, for {what}; slopes can be measured simulated or, of "
                "weights, by differences"
            ) from error


class _OnlyWhatTorchKnows(TorchFunctionMode):
    """Refuses what torch's own forward mode gets wrong, such as differentiating what is done under `torch.no_grad`."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function of torch."""
        if not torch.is_grad_enabled() and function is not torch._C._set_grad_enabled:
            raise NotImplementedError("torch.no_grad in a model, together with operations without a forward-mode rule")
        check_torch_knows(function, args, kwargs or {})
        return function(*args, **(kwargs or {}))
