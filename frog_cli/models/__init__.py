"""Models: each a `Sequential` of layers, whose outputs are the activities that can be perturbed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.nn import Sequential

from frog_cli.models.cnn import cnn
from frog_cli.models.logistic_regression import logistic_regression
from frog_cli.models.mlp import mlp

MODELS: dict[str, Callable[[Any, tuple[int, ...], int], Sequential]] = {
    "mlp": mlp,
    "cnn": cnn,
    "logistic_regression": logistic_regression,
}
"""Each makes a model from its options, the shape `(C, H, W)` of an image, and the number of classes."""
