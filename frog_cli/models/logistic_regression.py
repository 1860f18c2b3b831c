"""Logistic regression, as in arXiv 2408.10419, Section 6.2."""

from __future__ import annotations

import math

from torch.nn import Flatten, Linear, Sequential

from frog_cli.settings.schema import LogisticRegression


def logistic_regression(options: LogisticRegression, image: tuple[int, ...], classes: int) -> Sequential:
    """Return one linear layer for images `(C, H, W)`."""
    del options
    return Sequential(Sequential(Flatten(), Linear(math.prod(image), classes)))
