"""The sources of random numbers that models draw from: torch's, that of a device, Python's and numpy's."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor


def seed_python_and_numpy(seed: int) -> None:
    """Seed the sources that `torch.manual_seed` does not."""
    random.seed(seed)
    np.random.seed(seed % 2**32)


def states(device: torch.device) -> list[Any]:
    """Return the states of torch's source, of a device's, of Python's and of numpy's, in plain types and tensors."""
    kind, keys, *rest = np.random.get_state()
    assert isinstance(keys, np.ndarray)
    return [torch.get_rng_state(), random_state(device), random.getstate(), (kind, keys.tolist(), *rest)]


def set_states(device: torch.device, found: Sequence[Any]) -> None:
    """Set the states that `states` has returned."""
    of_device = partial(set_random_state, device)
    put: list[Callable[[Any], None]] = [torch.set_rng_state, of_device, random.setstate, np.random.set_state]
    for put_one, state in zip(put, found, strict=False):  # earlier versions kept torch's alone
        put_one(state)


def random_state(device: torch.device) -> Tensor:
    """Return the state of a device's default generator, which dropout draws from."""
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.mps.get_rng_state() if device.type == "mps" else torch.get_rng_state()


def set_random_state(device: torch.device, state: Tensor) -> None:
    """Set the state of a device's default generator."""
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        (torch.mps if device.type == "mps" else torch).set_rng_state(state)
