"""Fashion-MNIST in torchvision's layout, written here."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch

from frog_cli.data.locations import check
from frog_cli.errors import RequestError
from frog_cli.ideas import sources
from frog_cli.settings.requests import train_request

IMAGES = {"train": 7, "t10k": 3}


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for split, count in IMAGES.items():
        pixels, labels = random.integers(0, 256, (count, 28, 28), np.uint8), np.arange(count, dtype=np.uint8)
        images = struct.pack(">IIII", 2051, count, 28, 28) + pixels.tobytes()
        (folder / f"{split}-images-idx3-ubyte").write_bytes(images)
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 2049, count) + labels.tobytes())
    return tmp_path


def settings(root):
    words = ["data=fashion_mnist", f"data.root={root}", "data.validation=2", "learning_rate=1"]
    return train_request(words).runs[0].data


def test_pixels_and_labels(root):
    check(settings(root))
    (images, labels), (test_images, test_labels), classes = sources.imported(settings(root))()
    assert classes == 10
    assert images.shape == (7, 1, 28, 28)
    assert labels.tolist() == list(range(7))
    assert test_labels.tolist() == list(range(3))
    raw = (root / "FashionMNIST/raw/t10k-images-idx3-ubyte").read_bytes()[16:]
    assert torch.equal(test_images.flatten(), torch.frombuffer(bytearray(raw), dtype=torch.uint8))


def test_damaged_and_missing_files_are_refused(root):
    file = root / "FashionMNIST/raw/train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(RequestError, match="FashionMNIST cannot be read"):
        sources.imported(settings(root))()
    file.unlink()
    with pytest.raises(RequestError, match="no FashionMNIST/raw/train-images-idx3-ubyte in it"):
        check(settings(root))
