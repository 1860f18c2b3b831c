"""How this process keeps its memory."""

from __future__ import annotations

import ctypes

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
