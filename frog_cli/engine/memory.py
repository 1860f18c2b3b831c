"""How this process keeps its memory, and how much of it a function needs."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Let the C library reuse what large tensors leave behind, instead of returning it to the system at once.

    A step frees and takes the same hundreds of megabytes again and again; fetching them anew each time, page by page,
    took a third of a FoMoH-3D step. The peak stays; what is held between two steps grows up to it. Does nothing where
    the C library is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, -1)


def peak_memory(function: Callable[[], object], device: torch.device) -> int:
    """Return the largest number of bytes that tensors made by a function occupy at once on the CPU or a CUDA device."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    from frog_cli.engine.cuda_graphs import one_by_one

    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or it writes two lines about each call

    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        with one_by_one():  # the memory of a graph is taken when it is captured
            function()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        function()
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak
