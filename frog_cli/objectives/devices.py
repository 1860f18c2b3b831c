"""The device that a run computes on."""

from __future__ import annotations

import torch

from frog_cli.errors import RequestError


def chosen(name: str, local_rank: int | None = None, own: bool = False) -> torch.device:
    """Return the device as `device` does, and compute on it from now on.

    Args:
        name: what the option `device` says.
        local_rank: which process of this host this one is.
        own: whether no other process may have the same NVIDIA card.

    Raises:
        RequestError: if there is none, or none of its own.
    """
    found = device(name, local_rank)
    if found.type == "cuda":
        if own and (local_rank or 0) >= torch.cuda.device_count():
            raise RequestError(
                f"device={name}", f"has {torch.cuda.device_count()} cards here, and each rank needs one of its own"
            )
        torch.cuda.set_device(found.index or 0)
        torch.backends.cudnn.deterministic = True  # or ranks drift apart, and runs that go on are other runs
    return found


def set_precision(tf32: bool) -> None:
    """Let products in single precision on NVIDIA cards be of TF32, with 10 bits behind the point, or not."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32


def finish(device: torch.device) -> None:
    """Wait for what a device has been told to do, so that the time that it takes is seen where it is taken."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


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
