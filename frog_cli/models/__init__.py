"""Models: each a `Sequential` of layers, whose outputs are the activities that can be perturbed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.nn import Sequential

from frog_cli.ideas import sources
from frog_cli.models.cnn import cnn
from frog_cli.models.logistic_regression import logistic_regression
from frog_cli.models.mlp import mlp
from frog_cli.models.resnet18 import resnet18
from frog_cli.models.vit import vit
from frog_cli.settings.schema import OutsideModel

MODELS: dict[str, Callable[[Any, tuple[int, ...], int], Sequential]] = {
    "mlp": mlp,
    "cnn": cnn,
    "logistic_regression": logistic_regression,
    "resnet18": resnet18,
    "vit": vit,
}
"""Each makes a model from its options, the shape `(C, H, W)` of an image, and the number of classes."""


def make_model(options: Any, image: tuple[int, ...], classes: int) -> Sequential:
    """Return the model that settings name."""
    if isinstance(options, OutsideModel):
        return sources.imported("model", options)(image, classes)
    return MODELS[options.name](options, image, classes)
