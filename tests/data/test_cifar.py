"""CIFAR10 and CIFAR100 in torchvision's layout, written here: the check of its integrity is torchvision's own."""

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

LABELS = [0, 1, 2, 9]


def written_to(folder, files, key):
    """Write a data set of so many files with some labels, and return the MD5 sum of each file and of the names."""
    folder.mkdir()
    random = np.random.default_rng(0)
    sums = {}
    for name, labels in files.items():
        pixels = random.integers(0, 256, (len(labels), 3072), dtype=np.uint8)
        content = {"data": pixels, key: labels} if labels else {"label_names": ["a"], "fine_label_names": ["a"]}
        written = pickle.dumps(content)
        (folder / name).write_bytes(written)
        sums[name] = hashlib.md5(written).hexdigest()
    return sums


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Write small data sets and let torchvision take their sums for the right ones."""
    data_sets = torchvision().datasets
    training = [f"data_batch_{number}" for number in range(1, 6)]
    ten = dict.fromkeys([*training, "test_batch"], LABELS) | {"batches.meta": []}
    sums = written_to(tmp_path / "cifar-10-batches-py", ten, "labels")
    monkeypatch.setattr(data_sets.CIFAR10, "train_list", [[name, sums[name]] for name in training])
    monkeypatch.setattr(data_sets.CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(data_sets.CIFAR10, "meta", {**data_sets.CIFAR10.meta, "md5": sums["batches.meta"]})
    hundred = {"train": [99, 0, 7, 50, 50], "test": [98, 3], "meta": []}
    sums = written_to(tmp_path / "cifar-100-python", hundred, "fine_labels")
    for split in ("train", "test"):
        monkeypatch.setattr(data_sets.CIFAR100, f"{split}_list", [[split, sums[split]]])
    monkeypatch.setattr(data_sets.CIFAR100, "meta", {**data_sets.CIFAR100.meta, "md5": sums["meta"]})
    return tmp_path


def settings(root, name="cifar10", validation=4):
    words = [f"data={name}", f"data.root={root}", f"data.validation={validation}", "learning_rate=1"]
    return train_request(words).runs[0].data


@pytest.mark.parametrize(
    ("name", "test_file", "training", "test", "classes"),
    [
        ("cifar10", "cifar-10-batches-py/test_batch", LABELS * 5, LABELS, 10),
        ("cifar100", "cifar-100-python/test", [99, 0, 7, 50, 50], [98, 3], 100),
    ],
)
def test_pixels_and_labels(root, name, test_file, training, test, classes):
    check(settings(root, name))
    (images, labels), (test_images, test_labels), number = sources.imported(settings(root, name))()
    assert number == classes
    assert images.shape == (len(training), 3, 32, 32)
    assert labels.tolist() == training
    assert test_labels.tolist() == test
    raw = pickle.loads((root / test_file).read_bytes())["data"]
    assert torch.equal(test_images.flatten(1), torch.from_numpy(raw))


@pytest.mark.parametrize(
    ("name", "file"), [("cifar10", "cifar-10-batches-py/data_batch_3"), ("cifar100", "cifar-100-python/train")]
)
def test_damaged_files_are_refused(root, name, file):
    with (root / file).open("ab") as opened:
        opened.write(b"x")
    with pytest.raises(RequestError, match=f"{name.upper()} cannot be read"):
        sources.imported(settings(root, name))()


@pytest.mark.parametrize(
    ("name", "file"), [("cifar10", "cifar-10-batches-py/data_batch_2"), ("cifar100", "cifar-100-python/meta")]
)
def test_missing_files_are_named_before_anything_is_loaded(root, name, file):
    (root / file).unlink()
    with pytest.raises(RequestError, match=f"no {file} in it; set data.root or FROG_DATA"):
        check(settings(root, name))
