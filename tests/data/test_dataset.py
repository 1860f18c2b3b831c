from __future__ import annotations

import pytest
import torch

from frog_cli.data.dataset import load
from frog_cli.errors import RequestError
from frog_cli.settings.requests import train_request

CPU = torch.device("cpu")


def data(*overrides: str):
    return load(train_request(overrides).runs[0].data, CPU)


def test_digits():
    digits = data()
    assert [tuple(split.images.shape) for split in digits[:3]] == [(1200, 1, 8, 8), (297, 1, 8, 8), (300, 1, 8, 8)]
    assert digits.classes == 10
    for split in digits[:3]:
        assert split.labels.bincount().min() > 15


def test_training_split_is_normalised():
    images = data().training.images.double()
    assert abs(images.mean()) < 1e-6
    assert images.std(unbiased=False).item() == pytest.approx(1, abs=1e-6)


def test_splits_are_fixed_and_disjoint():
    first, again = data("seed=0"), data("seed=1")
    assert all(torch.equal(a.images, b.images) for a, b in zip(first[:3], again[:3], strict=True))
    whole = {image.numpy().tobytes() for split in first[:3] for image in split.images}
    assert len(whole) > 1797 - 10  # a few digits occur twice in the file itself


def test_limit_shortens_every_split():
    limited = data("data.limit=100")
    assert [len(split.labels) for split in limited[:3]] == [100, 100, 100]
    assert torch.equal(limited.validation.labels, data().validation.labels[:100])
    assert len(set(limited.test.labels.tolist())) == 10  # drawn, not the first ones


def test_validating_on_the_test_images_holds_out_none():
    digits = data("data.validation=test")
    assert len(digits.training.labels) == 1497
    assert torch.equal(digits.validation.images, digits.test.images)


def test_validation_must_leave_something():
    with pytest.raises(RequestError, match=r"data.validation=1497: must be below the 1497 training images"):
        data("data.validation=1497")


def test_mnist(mnist_root):
    mnist = data("data=mnist", f"data.root={mnist_root}", "learning_rate=1")
    assert [len(split.labels) for split in mnist[:3]] == [50_000, 10_000, 10_000]
    assert mnist.training.images.shape[1:] == (1, 28, 28)
    # the counts of the ten digits in MNIST's test set
    assert mnist.test.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
