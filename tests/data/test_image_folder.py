from __future__ import annotations

import hashlib
import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from frog_cli.data import image_folder
from frog_cli.data.dataset import load
from frog_cli.data.locations import check, digest
from frog_cli.errors import RequestError
from frog_cli.files.atomic import write_atomically
from frog_cli.ideas import sources
from frog_cli.runs.identity import identity
from frog_cli.settings.requests import train_request


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


def read(data):
    training, test, classes = sources.imported(data)()
    assert classes == 2
    return *training, *test


def test_pixels_and_labels(root):
    images, labels, test_images, test_labels = read(settings(root))
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


def test_other_pixels_of_an_image_that_is_not_compressed_are_another_run(root):
    for path in root.rglob("*.png"):
        Image.open(path).save(path.with_suffix(".bmp"))
        path.unlink()
    before = digest(str(root)), digest(str(root), times=True)
    (path,) = (root / "train" / "cat").glob("0.bmp")
    size = path.stat().st_size
    Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    assert path.stat().st_size == size
    assert digest(str(root)) != before[0]


def test_the_digest_is_that_of_names_and_sizes_of_all_images_below(root):
    (root / "train" / "cat" / "more").mkdir()
    for name in ("more/A.JPEG", "a.b.TIFF", ".jpg", "notes.txt", "png"):
        (root / "train" / "cat" / name).write_text(name)
    (root / "elsewhere").symlink_to(root / "train")  # is not gone into
    images = {".jpeg", ".png", ".tiff"}
    expected = sorted(
        (path.relative_to(root).as_posix(), path.stat().st_size, 0)
        + ((hashlib.sha256(path.read_bytes()).hexdigest(),) if path.suffix == ".TIFF" else ())  # is not compressed
        for part in ("train", "test")
        for path in (root / part).rglob("*")
        if path.suffix.lower() in images
    )
    assert [name for name, *_ in expected if "." in name[:-5]] == ["train/cat/a.b.TIFF"]
    assert digest(str(root)) == hashlib.sha256(repr(expected).encode()).hexdigest()


@pytest.mark.parametrize("linked", ["splits", "classes", "root"])
def test_links_to_folders_are_followed_where_images_are_read(root, tmp_path_factory, linked):
    place = tmp_path_factory.mktemp("links") / "root"
    if linked == "root":
        place.symlink_to(root)
    for split in ("train", "test") if linked != "root" else ():
        if linked == "splits":
            place.mkdir(exist_ok=True)
            (place / split).symlink_to(root / split)
        for name in ("cat", "dog") if linked == "classes" else ():
            (place / split).mkdir(parents=True, exist_ok=True)
            (place / split / name).symlink_to(root / split / name)
    assert digest(str(place)) == digest(str(root))
    read(settings(place))  # kept, and not to be taken for others
    for path in root.glob("*/*/*.png"):
        Image.new("RGB", (5, 6), "red").save(path)
    assert digest(str(place)) == digest(str(root))
    images, *_ = read(settings(place))
    assert (images[:, 0] == 255).all()
    assert not images[:, 1:].any()


def test_a_link_that_leads_back_ends(root):
    before = digest(str(root))
    (root / "train" / "cat" / "again").symlink_to(root / "train")
    assert digest(str(root)) == before


def test_images_of_more_bits_are_refused(root):
    for path in (root / "train" / "cat").glob("*.png"):
        Image.fromarray(np.full((6, 5), 10_000, dtype=np.uint16)).save(path)
    with pytest.raises(RequestError, match=r"cat/0.png cannot be decoded: has more than 8 bits a channel \(mode I"):
        read(settings(root))


def test_two_folders_do_not_share_the_users_cache(root, tmp_path_factory, monkeypatch):
    other = tmp_path_factory.mktemp("other") / "root"
    shutil.copytree(root, other)
    for path in other.glob("*/*/*.png"):
        stat = (root / path.relative_to(other)).stat()
        path.write_bytes(path.read_bytes()[: stat.st_size])
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert digest(str(root), times=True) == digest(str(other), times=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    used = []

    def refuse_the_root(path, content):
        if path.is_relative_to(root) or path.is_relative_to(other):
            raise PermissionError(path)
        used.append(path)
        write_atomically(path, content)

    monkeypatch.setattr(image_folder, "write_atomically", refuse_the_root)
    read(settings(root))
    read(settings(other))
    assert len(set(used)) == 2


def test_different_sizes_need_a_size(root):
    Image.new("RGB", (9, 9)).save(root / "train" / "cat" / "zz.png")
    with pytest.raises(RequestError, match=r"data.size=null: must be \[height,width\]"):
        read(settings(root))


def test_training_and_test_images_have_one_size(root):
    for path in (root / "test").glob("*/*.png"):
        Image.new("RGB", (9, 9)).save(path)
    with pytest.raises(RequestError, match="training and test images differ in size"):
        read(settings(root))


def test_damaged_image_is_named(root):
    (root / "train" / "cat" / "0.png").write_bytes(b"not an image")
    with pytest.raises(RequestError, match=r"cat/0.png cannot be decoded"):
        read(settings(root))


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


def caches(root):
    return list(root.glob("frog-*.npz"))


def test_decoded_images_are_kept(root, monkeypatch):
    first = read(settings(root))
    assert len(caches(root)) == 1
    monkeypatch.setattr(image_folder, "_decode", None)  # not needed any more
    for before, after in zip(first, read(settings(root)), strict=True):
        assert torch.equal(before, after)


def test_changed_images_and_other_sizes_are_decoded_anew(root):
    before = read(settings(root))[0]
    path = root / "train" / "cat" / "0.png"
    Image.fromarray(255 - np.array(Image.open(path))).save(path)
    assert not torch.equal(read(settings(root))[0], before)
    assert read(settings(root, "data.size=[3,4]"))[0].shape[-2:] == (3, 4)


@pytest.mark.parametrize("damage", [b"", b"PK", None])
def test_a_damaged_cache_is_replaced(root, damage):
    expected = read(settings(root))[0]
    (cache,) = caches(root)
    whole = cache.read_bytes()
    cache.write_bytes(whole[: len(whole) // 2] if damage is None else damage)
    assert torch.equal(read(settings(root))[0], expected)
    assert cache.read_bytes() == whole


def test_the_users_cache_serves_where_the_root_cannot_be_written(root, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def refuse(path, content):
        if path.parent == root:
            raise PermissionError
        write_atomically(path, content)

    monkeypatch.setattr(image_folder, "write_atomically", refuse)
    read(settings(root))
    assert not caches(root)
    assert len(caches(tmp_path / "cache" / "frog")) == 1


def test_learning_rates_are_those_of_the_data_set_it_stands_for(root):
    def run(*overrides):
        given = ["experiment=table1", "data=image_folder", f"data.root={root}", "gradient=mean", "gradient.k=4"]
        return train_request([*given, *overrides]).runs[0]

    found = run("data.stands_for=cifar10", "data.variant=cifar10_jpeg")
    assert (found.learning_rate, found.batch_size) == (0.0012916009413212, 128)
    given = run("learning_rate=0.0012916009413212", "batch_size=128", "data.variant=cifar10_jpeg")
    assert identity(found) == identity(given)
    with pytest.raises(RequestError, match="none is known"):
        run()
