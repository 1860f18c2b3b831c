"""The judge of data sets: shapes and types, labels, whether the splits are disjoint and the same each time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from frog_cli.data.dataset import Split, splits_and_classes
from frog_cli.errors import RequestError
from frog_cli.judging.findings import (
    Check,
    Finding,
    Seen,
    judged,
    same,
    seed_all_sources,
    sizes,
    states_of_sources,
)

Splits = Mapping[str, Split]


def judge_data(read: Callable[[], Any]) -> list[Finding]:
    """Judge a data set whose options are bound.

    Args:
        read: returns training, validation and test splits, or training and test, each a pair of images `[N, C, ..]`
            and labels `[N]`, and after them the number of classes.
    """
    form = ("form",)
    first = cache(lambda: splits_and_classes(read()))

    def splits() -> Splits:
        return first()[0]

    return judged(
        [
            Check("form", lambda: _form(splits)),
            Check("images", lambda: _images(splits()), form),
            Check("as many labels as images", lambda: _numbers(splits()), form),
            Check("labels", lambda: _labels(*first()), form),
            Check("classes in training", lambda: _classes(*first()), (*form, "labels")),
            Check("splits are disjoint", lambda: _disjoint(splits()), form),
            Check("same images each time", lambda: _again(read, splits()), form),
            Check("global random numbers", lambda: _sources(read), form),
        ]
    )


def _form(splits: Callable[[], Splits]) -> Seen:
    try:
        return _form_of(splits())
    except RequestError as error:
        return None, f"cannot be told: {error}"


def _form_of(splits: Splits) -> Seen:
    expected = next(iter(splits.values()))[0].shape[1:]
    for name, (images, labels) in splits.items():
        if images.ndim < 2 or labels.ndim != 1:
            saw = f"{sizes(images.shape)} and {sizes(labels.shape)}"
            return False, f"expected images [N, C, ..] and labels [N], saw {saw} in the {name} split"
        if images.shape[1:] != expected:
            saw = f"{sizes(images.shape[1:])} in the {name} split"
            return False, f"expected images of one shape, {sizes(expected)}, saw {saw}"
        if not len(images):
            return False, f"expected images in each split, saw none in the {name} split"
    return True, ", ".join(f"{len(images)} {name} images" for name, (images, _) in splits.items()) + (
        f" of shape {sizes(expected)}"
    )


def _images(splits: Splits) -> Seen:
    types = {images.dtype for images, _ in splits.values()}
    for name, (images, _) in splits.items():
        if images.dtype != torch.uint8 and not images.is_floating_point():
            return False, f"expected uint8 or real numbers, saw {images.dtype} in the {name} split"
        wrong = int((~images.isfinite()).sum())
        if wrong:
            return False, f"expected finite numbers, saw {wrong} that are not in the {name} split"
    if len(types) > 1:
        return False, f"expected one type in all splits, saw {' and '.join(sorted(map(str, types)))}"
    return True, f"{types.pop()}, all finite"


def _numbers(splits: Splits) -> Seen:
    for name, (images, labels) in splits.items():
        if len(images) != len(labels):
            return False, f"expected a label for each image, saw {len(labels)} for {len(images)} in the {name} split"
    return True, "in each split"


def _labels(splits: Splits, classes: int) -> Seen:
    for name, (_, labels) in splits.items():
        if labels.dtype != torch.int64:
            return False, f"expected labels of type int64, saw {labels.dtype} in the {name} split"
        outside = labels[(labels < 0) | (labels >= classes)]
        if len(outside):
            saw = f"{outside[0].item()} in the {name} split, one of {len(outside)} outside"
            return False, f"expected labels in [0, {classes}), saw {saw}"
    return True, f"in [0, {classes})"


def _classes(splits: Splits, classes: int) -> Seen:
    present = splits["training"][1].unique().tolist()
    missing = sorted(set(range(classes)) - set(present))
    if missing:
        return False, f"expected all {classes} classes, saw no image of {', '.join(map(str, missing))}"
    return True, f"all {classes}"


def _disjoint(splits: Splits) -> Seen:
    contents = {name: _rows(images) for name, (images, _) in splits.items()}
    for one, other in combinations(contents, 2):
        known = set(contents[one])
        shared = sum(row in known for row in contents[other])
        if shared:
            return False, f"expected no image in two splits, saw {shared} of the {other} split in the {one} split"
    return True, "no image is in two of them"


def _rows(images: Tensor) -> list[bytes]:
    """Return the bytes of each image."""
    rows = images.detach().cpu().reshape(len(images), -1).contiguous().view(torch.uint8).numpy()
    return [row.tobytes() for row in rows]


def _again(read: Callable[[], Any], splits: Splits) -> Seen:
    seed_all_sources(1)  # images that follow the global random numbers would be others in each run
    again, _ = splits_and_classes(read())
    for name, pair in splits.items():
        for kind, one, other in zip(("images", "labels"), pair, again[name], strict=True):
            if not same(one, other):
                return False, f"expected the same {kind} on a second call, saw others in the {name} split"
    return True, "also where the global random numbers are others"


def _sources(read: Callable[[], Any]) -> Seen:
    seed_all_sources(12345)  # unlike the seed that data may set
    before = states_of_sources()
    read()
    after = states_of_sources()
    moved = [name for name in before if before[name] != after[name]]
    if moved:
        return None, f"moves those of {' and '.join(moved)}, so that what is drawn after it depends on it"
    return True, "stay where they are"
