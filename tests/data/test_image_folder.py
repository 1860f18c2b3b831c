from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from frog_cli.config import train_request
from frog_cli.data.dataset import load
from frog_cli.data.image_folder import read_image_folder
from frog_cli.data.locations import check
from frog_cli.errors import RequestError
from frog_cli.runs import identity


@pytest.fixture
def root(tmp_path):
    """Make images of two classes: dark cats and bright dogs."""
    random = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 4)):
        for low, name in ((0, "cat"), (128, "dog")):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                pixels = random.integers(low, low + 128, (6, 5, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    return tmp_path


def settings(root, *overrides):
    defaults = {"data.validation": "4", **dict(override.split("=", 1) for override in overrides)}
    given = [f"{name}={value}" for name, value in defaults.items()]
    return train_request(["data=image_folder", f"data.root={root}", *given]).runs[0].data


def test_pixels_and_labels(root):
    images, labels, test_images, test_labels = read_image_folder(settings(root))
    assert images.shape == (24, 3, 6, 5)
    assert images.dtype == torch.uint8
    assert labels.tolist() == [0] * 12 + [1] * 12
    assert test_labels.tolist() == [0] * 4 + [1] * 4
    expected = np.array(Image.open(root / "test" / "dog" / "0.png"))
    assert np.array_equal(test_images[4].permute(1, 2, 0).numpy(), expected)


def test_splits_and_scaling(root):
    data = load(settings(root, "data.size=[3,4]"), torch.device("cpu"))
    assert [tuple(split.images.shape) for split in data[:3]] == [(20, 3, 3, 4), (4, 3, 3, 4), (8, 3, 3, 4)]
    assert data.classes == 2


def test_a_share_may_be_held_out(root):
    data = load(settings(root, "data.validation=0.25"), torch.device("cpu"))
    assert [len(split.labels) for split in data[:3]] == [18, 6, 8]


def test_other_images_are_another_run(root):
    def name() -> str:
        return identity(train_request(["data=image_folder", f"data.root={root}"]).runs[0])

    before = name()
    assert before == name()
    assert before.startswith("mlp256-image_folder-")
    (root / "train" / "cat" / "0.png").rename(root / "train" / "cat" / "x.png")
    assert name() != before


def test_different_sizes_need_a_size(root):
    Image.new("RGB", (9, 9)).save(root / "train" / "cat" / "zz.png")
    with pytest.raises(RequestError, match=r"data.size=null: must be \[height,width\]"):
        read_image_folder(settings(root))


def test_training_and_test_images_have_one_size(root):
    for path in (root / "test").glob("*/*.png"):
        Image.new("RGB", (9, 9)).save(path)
    with pytest.raises(RequestError, match="training and test images differ in size"):
        read_image_folder(settings(root))


def test_damaged_image_is_named(root):
    (root / "train" / "cat" / "0.png").write_bytes(b"not an image")
    with pytest.raises(RequestError, match=r"cat/0.png cannot be decoded"):
        read_image_folder(settings(root))


def test_check_accepts_what_is_there(root):
    check(settings(root))


def test_check_refuses_a_folder_without_images(root):
    for path in (root / "test" / "dog").iterdir():
        path.unlink()
    with pytest.raises(RequestError, match=r"no images in .*test/dog"):
        check(settings(root))


def test_check_refuses_other_classes_in_test(root):
    (root / "test" / "dog").rename(root / "test" / "wolf")
    with pytest.raises(RequestError, match="train and test need the same classes, dog is in one only"):
        check(settings(root))


def test_check_refuses_an_empty_root(tmp_path):
    with pytest.raises(RequestError, match=r"no folder .*train/CLASS with images"):
        check(settings(tmp_path))
