"""CIFAR10 in torchvision's layout, written here: the check of its integrity is torchvision's own."""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest
import torch

from frog_cli.data.locations import check
from frog_cli.errors import RequestError
from frog_cli.ideas import sources
from frog_cli.settings.requests import train_request
from frog_cli.torchvision_import import torchvision

TRAINING = [f"data_batch_{number}" for number in range(1, 6)]


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Write a small data set and let torchvision take its sums for the right ones."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    random = np.random.default_rng(0)
    sums = {}
    for name in [*TRAINING, "test_batch", "batches.meta"]:
        content = {"data": random.integers(0, 256, (4, 3072), dtype=np.uint8), "labels": [0, 1, 2, 9]}
        written = pickle.dumps({"label_names": list("abcdefghij")} if name == "batches.meta" else content)
        (folder / name).write_bytes(written)
        sums[name] = hashlib.md5(written).hexdigest()
    data_set = torchvision().datasets.CIFAR10
    monkeypatch.setattr(data_set, "train_list", [[name, sums[name]] for name in TRAINING])
    monkeypatch.setattr(data_set, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(data_set, "meta", {**data_set.meta, "md5": sums["batches.meta"]})
    return tmp_path


def settings(root):
    return train_request(["data=cifar10", f"data.root={root}", "data.validation=4"]).runs[0].data


def test_pixels_and_labels(root):
    check(settings(root))
    (images, labels), (test_images, test_labels), classes = sources.imported(settings(root))()
    assert classes == 10
    assert images.shape == (20, 3, 32, 32)
    assert labels.tolist() == [0, 1, 2, 9] * 5
    assert test_labels.tolist() == [0, 1, 2, 9]
    raw = pickle.loads((root / "cifar-10-batches-py" / "test_batch").read_bytes())["data"]
    assert torch.equal(test_images.flatten(1), torch.from_numpy(raw))


def test_damaged_files_are_refused(root):
    with (root / "cifar-10-batches-py" / "data_batch_3").open("ab") as file:
        file.write(b"x")
    with pytest.raises(RequestError, match="CIFAR10 cannot be read"):
        sources.imported(settings(root))()


def test_missing_files_are_named_before_anything_is_loaded(root):
    (root / "cifar-10-batches-py" / "data_batch_2").unlink()
    with pytest.raises(RequestError, match=r"no cifar-10-batches-py/data_batch_2 in it; set data.root or FROG_DATA"):
        check(settings(root))
