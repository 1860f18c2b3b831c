"""Weights of a network in a file that is whole at any time and executes nothing when it is read (safetensors)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from frog_cli.errors import RequestError
from frog_cli.files.atomic import write_atomically

if TYPE_CHECKING:
    from torch import Tensor


_ABOUT = "frog"


def write(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
    """Write tensors, and texts that say what they are."""
    from safetensors.torch import save

    # tied weights and views have memory in common, which the format does not know
    own = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    # as one text: the format does not keep the order of several
    write_atomically(path, save(own, {_ABOUT: json.dumps(dict(about), sort_keys=True)}))


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a file, on the CPU, and what it says of them.

    Raises:
        RequestError: if it is not there, cut off, or no such file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return tensors, json.loads((file.metadata() or {}).get(_ABOUT, "{}"))
    except FileNotFoundError:
        raise RequestError(str(path), "is not there; runs keep their weights with keep_weights=true") from None
    except (SafetensorError, OSError, ValueError) as error:
        raise RequestError(str(path), f"is no whole file of weights: {' '.join(str(error).split())}") from None
