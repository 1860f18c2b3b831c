"""Models: each a `Sequential` of layers, whose outputs are the activities that can be perturbed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.nn import Sequential

from frog_cli.models.cnn import cnn
from frog_cli.models.logistic_regression import logistic_regression
from frog_cli.models.mlp import mlp
from frog_cli.models.resnet18 import resnet18
from frog_cli.models.vit import vit

MODELS: dict[str, Callable[[Any, tuple[int, ...], int], Sequential]] = {
    "mlp": mlp,
    "cnn": cnn,
    "logistic_regression": logistic_regression,
    "resnet18": resnet18,
    "vit": vit,
}
"""Each makes a model from its options, the shape `(C, H, W)` of an image, and the number of classes."""
