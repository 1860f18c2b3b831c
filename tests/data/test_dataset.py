from __future__ import annotations

import numpy as np
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


FORMS = {
    "float64": "x.double()",
    "float32": "x.float()",
    "float16": "x.half()",
    "small beside an offset": "x.double() / 100 + 1e6",
    "a large offset": "x.double() + 1e9",
    "an offset in single precision": "(x + 1e6).float()",
    "very small": "x.double() * 1e-200",
    "very large": "x.double() * 1e200",
    "grey levels": "(30 * x + 128).clamp(0, 255).to(torch.uint8)",
    "black and white": "(x > 0).to(torch.uint8)",
    "blank": "torch.full_like(x, 0.1)",
    "features": "x.double()[:, :, 0, 0]",
    "a view": "x.double().permute(0, 2, 3, 1)",
    "needing gradients": "x.double().requires_grad_()",
}


def own_data(tmp_path, form: str, splits: str, *overrides: str):
    """Read a data set from outside, and return it as it is beside it as frog has it."""
    text = f"""
import torch
from frog_cli import ideas

def images(seed, count):
    x = torch.randn(count, 2, 3, 3, generator=torch.Generator().manual_seed(seed))
    return {form}, torch.arange(count) % 3

training, validation, test = images(0, 40), images(1, 10), images(2, 20)

@ideas.data
def own():
    return {splits}, 3
"""
    path = tmp_path / "my_data.py"
    path.write_text(text)
    namespace: dict[str, tuple] = {}
    exec(text, namespace)
    return namespace, data(f"ideas=[{path}]", "data=own", *overrides)


@pytest.mark.parametrize("form", FORMS)
def test_images_of_any_numbers_are_normalised(form, tmp_path):
    raw, found = own_data(tmp_path, FORMS[form], "training, validation, test")
    training = raw["training"][0].detach().numpy().astype(np.longdouble)
    axes = (0, *range(2, training.ndim))
    mean = training.mean(axes, keepdims=True)
    deviation = np.sqrt(((training - mean) ** 2).mean(axes, keepdims=True))
    for name in ("training", "validation", "test"):
        images, labels = (one.detach().numpy() for one in raw[name])
        expected = (images.astype(np.longdouble) - mean) / np.where(deviation < 1e-300, 1, deviation)
        order = torch.randperm(40, generator=torch.Generator().manual_seed(0)) if name == "training" else slice(None)
        split = getattr(found, name)
        np.testing.assert_allclose(split.images, expected[order].astype(float), rtol=1e-6, atol=1e-6)
        assert (split.labels.numpy() == labels[order]).all()


@pytest.mark.parametrize("splits", ["training, test, test", "training, training", "training, training, training"])
def test_splits_may_share_their_images_which_stay_as_they_are(splits, tmp_path):
    _, found = own_data(tmp_path, "x + 5", splits, "data.limit=null")
    _, copied = own_data(tmp_path, "x + 5", ", ".join(f"({one}[0].clone(), {one}[1])" for one in splits.split(", ")))
    for one, other in zip(found[:3], copied[:3], strict=True):
        assert torch.equal(one.images, other.images)
    assert torch.equal(own_data(tmp_path, "x + 5", splits)[1].test.images, found.test.images)  # read once more


def test_grey_levels_beside_real_numbers_are_refused(tmp_path):
    grey = "x if seed else (30 * x + 128).clamp(0, 255).to(torch.uint8)"
    with pytest.raises(RequestError, match=r"data=own: expected uint8 in all splits or in none, saw torch.float32 in"):
        own_data(tmp_path, grey, "training, test")


def test_an_exception_while_data_are_read_is_told_in_one_line(tmp_path):
    with pytest.raises(RequestError, match=r"my_data.py, line 13: own cannot be read: NameError: name 'nothing' is"):
        own_data(tmp_path, "x", "nothing")


@pytest.mark.parametrize(
    ("splits", "validation", "sizes"),
    [
        ("training, test", "null", (36, 4, 20)),
        ("training, test", "7", (33, 7, 20)),
        ("training, test", "0.5", (20, 20, 20)),
        ("training, test", "test", (40, 20, 20)),
        ("training, validation, test", "null", (40, 10, 20)),
        ("training, validation, test", "test", (40, 20, 20)),
        ("training, validation, test", "7", None),
        ("training, validation, test", "0.5", None),
    ],
)
def test_what_is_validated_on(splits, validation, sizes, tmp_path):
    words = ("x", splits, f"data.validation={validation}")
    if sizes is None:
        with pytest.raises(RequestError, match=r"must be null or test, because own sets validation images apart"):
            own_data(tmp_path, *words)
        return
    found = own_data(tmp_path, *words)[1]
    assert tuple(len(split.labels) for split in found[:3]) == sizes
    limited = own_data(tmp_path, *words, "data.limit=1000")[1]
    assert tuple(len(split.labels) for split in limited[:3]) == sizes
