"""SVHN in torchvision's layout, written here: the check of its integrity is torchvision's own."""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest
import torch
from scipy.io import savemat

from frog_cli.data.locations import check
from frog_cli.errors import RequestError
from frog_cli.ideas import sources
from frog_cli.settings.requests import train_request
from frog_cli.torchvision_import import torchvision

LABELS = {"train": [1, 10, 3, 10, 9], "test": [2, 10]}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Write a small data set and let torchvision take its sums for the right ones."""
    random = np.random.default_rng(0)
    files = {}
    for split, labels in LABELS.items():
        path = tmp_path / f"{split}_32x32.mat"
        pixels = random.integers(0, 256, (32, 32, 3, len(labels)), np.uint8)  # rows, columns, colours, images
        savemat(path, {"X": pixels, "y": np.array(labels, np.uint8)[:, None]})
        files[split] = ["", path.name, hashlib.md5(path.read_bytes()).hexdigest()]
    monkeypatch.setattr(torchvision().datasets.SVHN, "split_list", files)
    return tmp_path


def settings(root):
    words = ["data=svhn", f"data.root={root}", "data.validation=2", "learning_rate=1"]
    return train_request(words).runs[0].data


def test_pixels_and_labels(root):
    """The file calls a zero ten."""
    check(settings(root))
    (images, labels), (test_images, test_labels), classes = sources.imported(settings(root))()
    assert classes == 10
    assert images.shape == (5, 3, 32, 32)
    assert images.is_contiguous()
    assert labels.tolist() == [1, 0, 3, 0, 9]
    assert test_labels.tolist() == [2, 0]
    random = np.random.default_rng(0)
    of_training, of_test = (random.integers(0, 256, (32, 32, 3, count), np.uint8) for count in (5, 2))
    assert images[4, 1, 20, 7] == of_training[20, 7, 1, 4]
    assert test_images[1, 2, 0, 31] == of_test[0, 31, 2, 1]
    assert images.dtype == torch.uint8


def test_damaged_and_missing_files_are_refused(root):
    with (root / "train_32x32.mat").open("ab") as file:
        file.write(b"x")
    with pytest.raises(RequestError, match="SVHN cannot be read"):
        sources.imported(settings(root))()
    (root / "test_32x32.mat").unlink()
    with pytest.raises(RequestError, match=r"no test_32x32.mat in it"):
        check(settings(root))


def test_without_scipy_it_is_told_how_to_get_it(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(RequestError, match=r"data=svhn: needs scipy.*: pip install 'frog-cli\[svhn\]'"):
        sources.imported(settings(root))()
