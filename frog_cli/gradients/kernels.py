"""Which of several kernels torch takes for an operation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def differentiable_kernels() -> Iterator[None]:
    """Let attention use the kernel that forward mode can differentiate; the fused ones have no such rule."""
    with _attention_by([SDPBackend.MATH]):
        yield


@contextmanager
def attention_by_rule() -> Iterator[None]:
    """Let attention reach the rules of jets whole where they know its kernel, else in parts."""
    with _attention_by([SDPBackend.FLASH_ATTENTION, SDPBackend.MATH]):
        yield


@contextmanager
def _attention_by(backends: Sequence[SDPBackend]) -> Iterator[None]:
    in_one_call = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(list(backends)):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(in_one_call)
