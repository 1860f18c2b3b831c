"""Data sets that torchvision knows: downloaded on request, or in an existing root."""

from __future__ import annotations

from typing import Any

from frog_cli.errors import RequestError
from frog_cli.torchvision_import import torchvision


def training_and_test(name: str, root: str, download: bool) -> list[Any]:
    """Return both splits of `torchvision.datasets.NAME`.

    Raises:
        RequestError: if the files cannot be downloaded or are damaged.
    """
    try:
        data_set = getattr(torchvision().datasets, name)
        return [data_set(root, train=train, download=download) for train in (True, False)]
    except (RuntimeError, OSError, AssertionError, ValueError) as error:
        raise RequestError(f"data.root={root}", f"{name} cannot be read: {error}") from error
