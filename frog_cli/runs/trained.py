"""Networks that runs have trained, as their folders keep them."""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import Literal, NamedTuple

import torch
import yaml
from pydantic import ValidationError
from torch import Tensor
from torch.nn import Module

from frog_cli.data.dataset import Normalisation, normalised
from frog_cli.errors import RequestError
from frog_cli.ideas import sources
from frog_cli.modules.state import set_tensors
from frog_cli.runs import weights
from frog_cli.runs.folder import WEIGHTS
from frog_cli.settings.schema import ClassificationRun

Which = Literal["best", "last"]


class Trained(NamedTuple):
    """A network that a run has trained.

    Attributes:
        network: with the weights of the run, in evaluation mode, on the CPU.
        settings: of the run.
        normalisation: what images were shifted and scaled by, channel by channel.
        classes: how many there are.
        image: the shape of an image.
        epoch: after which the network had these weights.
        class_names: of the folder of images that it was trained on, in the order of its outputs; None of other data.
    """

    network: Module
    settings: ClassificationRun
    normalisation: Normalisation
    classes: int
    image: tuple[int, ...]
    epoch: int
    class_names: list[str] | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """Return the logits `[B, classes]` of images `[B, *image]` as they are in the data set, not normalised yet.

        Raises:
            ValueError: if the images have another shape.
        """
        if tuple(images.shape[1:]) != self.image:
            needed = ", ".join(map(str, ("B", *self.image)))
            raise ValueError(f"needs images [{needed}], not {list(images.shape)}")
        with torch.no_grad():
            outputs: Tensor = self.network(normalised(images, self.normalisation))
        return outputs


def load(folder: str | PathLike[str], which: Which = "best") -> Trained:
    """Return the network of a finished run.

    Args:
        folder: of the run.
        which: `best`, with the weights of the lowest validation loss, or `last`.

    Raises:
        RequestError: if the folder is no run of a network that is done, its weights are not there or damaged, or the
            file of an idea from outside has changed.
    """
    folder = Path(folder)
    if which not in WEIGHTS:
        raise RequestError(f"which={which}", f"must be {' or '.join(WEIGHTS)}")
    try:
        settings = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        run = ClassificationRun.model_validate(settings)
    except FileNotFoundError:
        raise RequestError(str(folder), "is no folder of a run: it has no config.yaml") from None
    except (ValidationError, yaml.YAMLError, UnicodeDecodeError):
        raise RequestError(str(folder), "is no run of a network that this version of frog knows") from None
    sources.read_again(run.model)
    tensors, about = weights.read(folder / WEIGHTS[which])
    try:
        image, classes = tuple(json.loads(about["image"])), int(about["classes"])
        mean, deviation = (torch.tensor(json.loads(about[name]), dtype=torch.float64) for name in Normalisation._fields)
        network = sources.imported(run.model)(image, classes)
        set_tensors(network, tensors)
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        why = " ".join(str(error).split())
        raise RequestError(str(folder / WEIGHTS[which]), f"does not fit the run's network: {why}") from None
    names = json.loads(about.get("class_names", "null"))  # not in earlier versions
    return Trained(network.eval(), run, Normalisation(mean, deviation), classes, image, int(about["epoch"]), names)
