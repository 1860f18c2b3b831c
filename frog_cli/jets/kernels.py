"""Contexts in which torch takes kernels that forward mode can differentiate, for attention and recurrent networks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch._VF
from torch.nn.attention import SDPBackend, sdpa_kernel

_OF_SEQUENCES = "lstm", "gru", "rnn_tanh", "rnn_relu"


@contextmanager
def differentiable_kernels() -> Iterator[None]:
    """Let attention and recurrence use kernels that forward mode can differentiate; fused ones have no such rule."""
    with _kernels([SDPBackend.MATH]):
        yield


@contextmanager
def kernels_with_rules(device: torch.device) -> Iterator[None]:
    """Let attention use the kernel that jets have a rule for, on the CPU, and else, as recurrence, known operations."""
    fused = [SDPBackend.FLASH_ATTENTION] if device.type == "cpu" else []
    with _kernels([*fused, SDPBackend.MATH]):
        yield


@contextmanager
def _kernels(backends: Sequence[SDPBackend]) -> Iterator[None]:
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(list(backends)), _recurrence_step_by_step():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)


@contextmanager
def _recurrence_step_by_step() -> Iterator[None]:
    """Keep recurrence from the kernels of oneDNN and cuDNN for whole sequences, which have no forward-mode rule."""
    functions: Any = torch._VF  # where torch.nn.RNN and its kin look
    before = {name: vars(functions).get(name) for name in _OF_SEQUENCES}
    for name in _OF_SEQUENCES:
        setattr(functions, name, _step_by_step(getattr(torch, name)))
    try:
        yield
    finally:
        for name, function in before.items():
            if function is None:
                delattr(functions, name)
            else:
                setattr(functions, name, function)


def _step_by_step(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of torch that takes no fused kernel."""

    def without_fused_kernels(*arguments: Any) -> Any:
        before = torch._C._get_mkldnn_enabled(), torch._C._get_cudnn_enabled()
        torch._C._set_mkldnn_enabled(False)
        torch._C._set_cudnn_enabled(False)
        try:
            return function(*arguments)
        finally:
            torch._C._set_mkldnn_enabled(before[0])
            torch._C._set_cudnn_enabled(before[1])

    return without_fused_kernels
