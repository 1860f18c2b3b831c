"""Data sets that torchvision knows: downloaded on request, or in an existing root."""

from __future__ import annotations

from inspect import signature
from typing import Any

from frog_cli.errors import RequestError
from frog_cli.torchvision_import import torchvision


def training_and_test(name: str, root: str, download: bool) -> list[Any]:
    """Return both splits of `torchvision.datasets.NAME`.

    Raises:
        RequestError: if the files cannot be downloaded or are damaged, or a package that reads them is missing.
    """
    data_set = getattr(torchvision().datasets, name)
    by_name = "split" in signature(data_set).parameters  # else by whether they are for training
    splits = [{"split": split} if by_name else {"train": split == "train"} for split in ("train", "test")]
    try:
        return [data_set(root, **split, download=download) for split in splits]
    except ImportError as error:
        what = f"needs {error.name}: pip install 'frog-cli[{name.lower()}]'"
        raise RequestError(f"data={name.lower()}", what) from None
    except (RuntimeError, OSError, AssertionError, ValueError) as error:
        raise RequestError(f"data.root={root}", f"{name} cannot be read: {error}") from error
