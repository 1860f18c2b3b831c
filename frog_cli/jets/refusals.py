"""What torch's own forward mode would get silently wrong, measured with torch 2.13: it is refused by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch._ops import OpOverload, OpOverloadPacket

LIBRARIES = "aten", "prims", "prim", "frog", "mkldnn"
"""Libraries whose operations have a forward-mode rule or say that they have none; those of others may have neither."""

WRONG = "logcumsumexp", "cholesky_inverse", "triangular_solve"
"""Operations whose forward-mode rule in torch is wrong for some inputs."""


def check_torch_knows(function: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Refuse an operation that torch's forward mode gets wrong without saying so.

    Raises:
        NotImplementedError: if it does.
    """
    if isinstance(function, OpOverload | OpOverloadPacket):
        library, name = str(function).split(".")[:2]
    else:
        library, name = "aten", getattr(function, "__name__", "")
    name = name.removesuffix("_")
    if library not in LIBRARIES:
        raise NotImplementedError(f"{library}::{name} has a derivative of its own, which forward mode does not know")
    if name in WRONG or (name == "scatter_reduce" and "prod" in [*args, *kwargs.values()]):
        raise NotImplementedError(f"torch's forward-mode rule for {name} is wrong, and frog has none of its own")


@contextmanager
def without_reverse_passes() -> Iterator[None]:
    """Refuse `torch.autograd.grad` and `backward` inside a model: what they return would count as constant."""
    autograd: Any = torch.autograd
    run = autograd._engine_run_backward

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            "torch.autograd.grad in a model has no forward-mode rule, nor has torch.func.grad; torch.func.jvp has one"
        )

    autograd._engine_run_backward = refuse
    try:
        yield
    finally:
        autograd._engine_run_backward = run
