"""Measurement: how the slopes, the directional derivatives along k tangents, are obtained."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.func import jvp, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

Tensors = tuple[Tensor, ...]


def forward(
    function: Callable[..., tuple[Tensor, Any]],
    primals: Tensors,
    tangents: Tensors,
    chunk_size: int | None = None,
) -> tuple[Tensor, Tensor, Any]:
    """Measure slopes by forward-mode automatic differentiation: no backward pass, no stored graph.

    The value is computed once for all tangents of a pass and shared by them, which costs about 1 + k evaluations.

    Args:
        function: of `len(primals)` tensors, returning a value `[...]` and anything else worth keeping.
        primals: where to differentiate.
        tangents: the directions, for each primal a tensor `[k, *primal.shape]`.
        chunk_size: tangents per pass; bounds the memory to that many sets of activations; None for all at once.

    Returns:
        The value `[...]`, the slopes `[k, ...]`, and the function's second result.
    """

    def along(*tangent: Tensor) -> tuple[Tensor, Tensor, Any]:
        value, slope, kept = jvp(function, primals, tangent, has_aux=True)  # type: ignore[misc]
        return value, slope, kept

    # randomness="same": one dropout mask for all tangents, or they would belong to different functions
    shared_primal = vmap(along, out_dims=(None, 0, None), randomness="same")  # type: ignore[arg-type]
    size = chunk_size or tangents[0].shape[0]
    passes = []
    random_state = torch.get_rng_state()
    with torch.no_grad(), differentiable_kernels():
        for chunk in zip(*(tangent.split(size) for tangent in tangents), strict=True):
            torch.set_rng_state(random_state)  # the same dropout mask for all chunks, too
            passes.append(shared_primal(*chunk))
    value, _, kept = passes[0]
    return value, torch.cat([slopes for _, slopes, _ in passes]), kept


@contextmanager
def differentiable_kernels() -> Iterator[None]:
    """Let attention use the kernel that forward mode can differentiate; the fused ones have no such rule."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def simulated(gradient: Tensor, tangents: Tensor) -> Tensor:
    """Compute the slopes `[..., k, m]` along tangents `[..., k, n]` from true gradients `[..., n, m]`.

    The same numbers as `forward`, cheaper beyond two tangents; needs the gradient that frog does without.
    """
    return tangents @ gradient
