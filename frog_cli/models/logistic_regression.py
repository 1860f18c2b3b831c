"""Logistic regression, as in arXiv 2408.10419, Section 6.2."""

from __future__ import annotations

import math

from torch.nn import Flatten, Linear, Sequential

from frog_cli import ideas


@ideas.model
def logistic_regression(image: tuple[int, ...], classes: int) -> Sequential:
    """One linear layer, for images of any shape."""
    return Sequential(Sequential(Flatten(), Linear(math.prod(image), classes)))
