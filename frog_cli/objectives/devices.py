"""The device that a run computes on."""

from __future__ import annotations

import torch

from frog_cli.errors import RequestError


def device(name: str, local_rank: int | None = None) -> torch.device:
    """Return the device; auto means CUDA, then MPS, then CPU, whichever is there first.

    Processes on one host, numbered by `local_rank`, take the CUDA devices in turn.

    Raises:
        RequestError: if this machine does not have it.
    """
    count = torch.cuda.device_count()
    present = ["cpu", *(["mps"] if torch.backends.mps.is_available() else []), *(["cuda"] if count else [])]
    chosen = torch.device(present[-1] if name == "auto" else name)
    if chosen.type not in present or (chosen.index or 0) >= max(count, 1):
        indices = [f"cuda:{index}" for index in range(count)]
        raise RequestError(f"device={name}", f"is not on this machine, which has {', '.join(present + indices)}")
    if local_rank is not None and chosen == torch.device("cuda"):
        return torch.device("cuda", local_rank % count)
    return chosen
