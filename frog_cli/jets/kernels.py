"""Contexts in which torch takes kernels that forward mode can differentiate, for attention and LSTMs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch._VF
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def differentiable_kernels() -> Iterator[None]:
    """Let attention and LSTMs use the kernels that forward mode can differentiate; the fused ones have no such rule."""
    with _kernels([SDPBackend.MATH]):
        yield


@contextmanager
def kernels_with_rules() -> Iterator[None]:
    """Let attention use the kernel that jets have a rule for, and else, as LSTMs, several operations that they know."""
    with _kernels([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
        yield


@contextmanager
def _kernels(backends: Sequence[SDPBackend]) -> Iterator[None]:
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(list(backends)), _lstm_step_by_step():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)


@contextmanager
def _lstm_step_by_step() -> Iterator[None]:
    """Keep LSTMs from oneDNN's kernel for whole sequences, which has no forward-mode rule."""

    def step_by_step(*arguments: Any) -> Any:
        fused = torch._C._get_mkldnn_enabled()
        torch._C._set_mkldnn_enabled(False)
        try:
            return torch.lstm(*arguments)
        finally:
            torch._C._set_mkldnn_enabled(fused)

    functions: Any = torch._VF  # where torch.nn.LSTM looks
    before = vars(functions).get("lstm")
    functions.lstm = step_by_step
    try:
        yield
    finally:
        if before is None:
            del functions.lstm
        else:
            functions.lstm = before
