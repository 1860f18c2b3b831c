"""Which of several kernels torch takes for an operation."""

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
    with _attention_by([SDPBackend.MATH]):
        yield


@contextmanager
def attention_by_rule() -> Iterator[None]:
    """Let attention reach the rules of jets whole where they know its kernel, else in parts, as LSTMs always do."""
    with _attention_by([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
        yield


@contextmanager
def _attention_by(backends: Sequence[SDPBackend]) -> Iterator[None]:
    in_one_call = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(list(backends)), _lstm_step_by_step():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(in_one_call)


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
    functions.lstm = step_by_step
    try:
        yield
    finally:
        del functions.lstm
