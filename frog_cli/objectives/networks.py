"""A run's network, as its settings name it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from frog_cli.errors import RequestError
from frog_cli.ideas import sources
from frog_cli.modules.restoring import kept_as_it_is
from frog_cli.settings.schema import Model


def network(settings: Model, image: Sequence[int], classes: int, device: torch.device) -> Any:
    """Return a new network; one from outside is refused unless it is a module that scores each class of each image.

    Raises:
        RequestError: naming the file, the line and what was seen.
    """
    build = sources.imported(settings)
    if not settings.from_outside:
        return build(tuple(image), classes).to(device)
    source = sources.source_of(settings)
    with sources.refusing(source, f"model {settings.name} raises"):
        model = build(tuple(image), classes)
        if not isinstance(model, Module):
            raise RequestError(
                f"ideas={source.name}",
                f"model {settings.name} must return a torch.nn.Module, not a {type(model).__name__}",
            )
        images = torch.zeros(2, *image, device=device)
        with kept_as_it_is(model.to(device), device), torch.no_grad():
            seen = model.eval()(images)
    if not isinstance(seen, Tensor) or seen.shape != (2, classes):
        told = f"{list(seen.shape)}" if isinstance(seen, Tensor) else f"a {type(seen).__name__}"
        raise RequestError(
            f"ideas={source.name}",
            f"model {settings.name} must return scores [2, {classes}] for images {list(images.shape)}, not {told}",
        )
    return model
