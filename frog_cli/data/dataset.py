"""Data sets as tensors that stay on the device: read once, validation images held out, channels normalised."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from frog_cli.errors import RequestError
from frog_cli.ideas import sources
from frog_cli.settings.schema import Data

NAMES = {2: ("training", "test"), 3: ("training", "validation", "test")}
"""What the splits of a data set are called, by how many there are."""

HELD_OUT = 0.1
"""Share of the training images that is held out for validation where neither settings nor data say what is."""

_SPLIT_SEED = 0  # the held-out images are the same for every seed of a run


class Split(NamedTuple):
    """Images `[N, C, ..]` and their labels `[N]`."""

    images: Tensor
    labels: Tensor


class Normalisation(NamedTuple):
    """What each channel is shifted and scaled by: its mean and standard deviation `[C]` over training images."""

    mean: Tensor
    deviation: Tensor


class ImageData(NamedTuple):
    """The three splits of a data set, whose images are normalised, and the number of its classes."""

    training: Split
    validation: Split
    test: Split
    classes: int
    normalisation: Normalisation


def load(data: Data, device: torch.device, normalisation: Normalisation | None = None) -> ImageData:
    """Read a data set, hold out its validation images and normalise all by the training images.

    Each channel is shifted and scaled to mean 0 and standard deviation 1 over the training split.

    Args:
        data: the settings.
        device: where the images are to be.
        normalisation: by which images are normalised instead, as those that a network was trained on.

    Raises:
        RequestError: if the data set is not of the form that all have, or the validation split would leave nothing to
            train on, or a given normalisation is of other channels.
    """
    function = sources.imported(data)
    with sources.refusing(sources.source_of(data), f"{data.name} cannot be read"):
        read = function()
    try:
        splits, classes = splits_and_classes(read)
        _check(splits, classes)
    except (TypeError, ValueError) as error:
        raise RequestError(f"data={data.name}", str(error)) from None
    images, labels = splits["training"]
    held_out_count = _held_out_count(data, len(images), "validation" in splits)
    order = _random_order(len(images))
    held_out, kept = order[:held_out_count][: data.limit], order[held_out_count:][: data.limit]
    if normalisation is None:
        statistics = _grey_statistics if images.dtype == torch.uint8 else _real_statistics
        normalisation = Normalisation(*statistics(images[kept]))

    if len(normalisation.mean) != images.shape[1]:
        raise RequestError(f"data={data.name}", f"has {images.shape[1]} channels, not {len(normalisation.mean)}")

    def of_split(split: Split) -> Split:
        return Split(normalised(split.images, normalisation).to(device), split.labels.to(device))

    test = of_split(_limited(splits["test"], data.limit))
    if data.validation == "test":
        validation = test
    elif "validation" in splits:
        validation = of_split(_limited(splits["validation"], data.limit))
    else:
        validation = of_split(Split(images[held_out], labels[held_out]))
    return ImageData(of_split(Split(images[kept], labels[kept])), validation, test, classes, normalisation)


def splits_and_classes(result: Any) -> tuple[dict[str, Split], int]:
    """Return what a data set returned by the names of its splits, and the number of classes.

    Raises:
        TypeError: if it has another form than training, validation and test splits, or training and test, each a pair
            of tensors, and after them the number of classes.
    """
    if not isinstance(result, tuple | list) or len(result) - 1 not in NAMES:
        saw = f"{len(result)} values" if isinstance(result, tuple | list) else f"a {type(result).__name__}"
        raise TypeError(
            "expected training, validation and test splits, or training and test, each of images and labels, and how "
            f"many classes, saw {saw}"
        )
    *splits, classes = result
    if isinstance(classes, bool) or not isinstance(classes, int):
        raise TypeError(f"expected the number of classes as the last value, saw a {type(classes).__name__}")
    names = NAMES[len(splits)]
    for name, split in zip(names, splits, strict=True):
        if not isinstance(split, tuple | list) or len(split) != 2 or not all(isinstance(one, Tensor) for one in split):
            raise TypeError(f"expected images and labels as two tensors in the {name} split, saw others")
    return {name: Split(*(one.detach() for one in split)) for name, split in zip(names, splits, strict=True)}, classes


def _check(splits: Mapping[str, Split], classes: int) -> None:
    """Refuse splits that no network could be trained on.

    Raises:
        ValueError: if shapes do not belong together, or a label is no class.
    """
    image, grey = splits["training"].images.shape[1:], splits["training"].images.dtype == torch.uint8
    for name, (images, labels) in splits.items():
        if images.ndim < 2 or images.shape[1:] != image or images.shape[:1] != labels.shape or not len(images):
            shapes = f"{list(images.shape)} and {list(labels.shape)}"
            raise ValueError(
                f"expected images [N, C, ..] of one shape with labels [N], saw {shapes} in the {name} split"
            )
        if labels.dtype != torch.int64 or not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(f"expected labels of type int64 in [0, {classes}), saw others in the {name} split")
        if images.dtype != torch.uint8 and not (images.is_floating_point() and images.isfinite().all()):
            raise ValueError(f"expected uint8 or finite real numbers, saw others in the {name} split")
        if (images.dtype == torch.uint8) != grey:
            raise ValueError(f"expected uint8 in all splits or in none, saw {images.dtype} in the {name} split")


def _held_out_count(data: Data, images: int, has_validation: bool) -> int:
    """Return how many training images are held out for validation."""
    if has_validation:
        if data.validation not in (None, "test"):
            raise RequestError(
                f"data.validation={data.validation}",
                f"must be null or test, because {data.name} sets validation images apart itself",
            )
        return 0
    if data.validation == "test":
        return 0
    wanted = HELD_OUT if data.validation is None else data.validation
    count = max(1, round(wanted * images)) if isinstance(wanted, float) else int(wanted)
    if count >= images:
        raise RequestError(f"data.validation={data.validation}", f"must be below the {images} training images")
    return count


def _limited(split: Split, limit: int | None) -> Split:
    """Return so many images of a split, any of them: they may lie in the order of their classes."""
    if limit is None:
        return split
    some = _random_order(len(split.images))[:limit]
    return Split(split.images[some], split.labels[some])


def _random_order(count: int) -> Tensor:
    """Return the indices of so many images in an order that is the same for every run."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(_SPLIT_SEED))


def normalised(images: Tensor, normalisation: Normalisation) -> Tensor:
    """Return images in single precision, shifted and scaled; those given stay as they are."""
    mean, deviation = (one.to(images.device) for one in normalisation)
    if images.dtype == torch.uint8:
        shape = (-1, *[1] * (images.ndim - 2))
        return images.to(torch.float32).sub_(mean.float().reshape(shape)).div_(deviation.float().reshape(shape))
    scaled = torch.empty(images.shape, device=images.device)
    for channel in range(images.shape[1]):  # in double precision, lest a large mean takes the digits
        scaled[:, channel] = (images[:, channel].to(torch.float64) - mean[channel]) / deviation[channel]
    return scaled


def _grey_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation `[C]` of uint8 images, exactly: from counts of the 256 grey levels."""
    grey = torch.arange(256, dtype=torch.float64)
    counts = torch.stack([images[:, channel].flatten().bincount(minlength=256) for channel in range(images.shape[1])])
    counts = counts.to(torch.float64)
    shares = counts / counts.sum(1, keepdim=True)
    mean = shares @ grey
    deviation = (shares * (grey - mean.unsqueeze(1)).square()).sum(1).sqrt()
    return mean, torch.where(deviation == 0, 1.0, deviation)  # a blank channel stays blank


def _real_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation `[C]` of images of real numbers, beside whatever offset and of any size."""
    mean, deviation = torch.ones(2, images.shape[1], dtype=torch.float64)
    for channel in range(images.shape[1]):
        values = images[:, channel].flatten().to(torch.float64)
        offsets = values - values[0]
        largest = offsets.abs().max()
        mean[channel] = values[0] + offsets.mean()
        found = largest * (offsets / largest).var(correction=0).sqrt()
        if found > torch.finfo(images.dtype).eps * mean[channel].abs():  # else all one number but for rounding
            deviation[channel] = found
    return mean, deviation
