"""The sources of random numbers that models draw from: torch's, that of a device, Python's and numpy's."""

from __future__ import annotations

import hashlib
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
    own = random_state(device)
    return [own[0], own[-1], random.getstate(), (kind, keys.tolist(), *rest)]


def set_states(device: torch.device, found: Sequence[Any]) -> None:
    """Set the states that `states` has returned; that of another kind of device seeds this one."""
    of_device = partial(_set_or_seed_device, device)
    put: list[Callable[[Any], None]] = [torch.set_rng_state, of_device, random.setstate, np.random.set_state]
    for put_one, state in zip(put, found, strict=False):  # earlier versions kept torch's alone
        put_one(state)


def random_state(device: torch.device) -> tuple[Tensor, ...]:
    """Return the states of torch's default generators that models on a device draw from: the CPU's and the device's."""
    if device.type == "cuda":
        return torch.get_rng_state(), torch.cuda.get_rng_state(device)
    return (torch.get_rng_state(), torch.mps.get_rng_state()) if device.type == "mps" else (torch.get_rng_state(),)


def set_random_state(device: torch.device, found: Sequence[Tensor]) -> None:
    """Set the states that `random_state` has returned."""
    own, *of_device = found
    torch.set_rng_state(own)
    for state in of_device:
        _set_state_of_device(device, state)


def set_or_seed(generator: torch.Generator, state: Tensor) -> None:
    """Set the state of a generator; that of another kind of device seeds it, so that a run that moves goes on."""
    if len(state) == len(generator.get_state()):
        generator.set_state(state)
    else:
        generator.manual_seed(_seed_of(state))


def _set_or_seed_device(device: torch.device, state: Tensor) -> None:
    if len(state) == len(random_state(device)[-1]):
        _set_state_of_device(device, state)
    elif device.type == "cuda":
        torch.cuda.manual_seed(_seed_of(state))
    elif device.type == "mps":
        torch.mps.manual_seed(_seed_of(state))  # the CPU's is there as well


def _seed_of(state: Tensor) -> int:
    """Return a seed that follows from a state."""
    return int.from_bytes(hashlib.blake2b(state.numpy().tobytes(), digest_size=6).digest())


def _set_state_of_device(device: torch.device, state: Tensor) -> None:
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    else:
        (torch.mps if device.type == "mps" else torch).set_rng_state(state)
