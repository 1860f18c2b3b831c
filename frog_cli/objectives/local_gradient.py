"""Gradients from tangents of local losses in a run: the heads beside the layers learn along."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import Sequential

from frog_cli.engine.faster_rules import faster_jets
from frog_cli.errors import RequestError
from frog_cli.gradients.local_tangents import Heads, LocalTangents, estimate_from_local_tangents
from frog_cli.gradients.space import Estimate, SampleLoss
from frog_cli.ideas import sources
from frog_cli.objectives.estimators import sampler
from frog_cli.settings.schema import Forward, Tangents


class LocalGradient:
    """Estimates the gradient of one model from tangents of its layers' own losses; the heads take a step each time."""

    def __init__(self, gradient: Forward, tangents: Tangents, model: Sequential, loss: SampleLoss, inputs: Tensor):
        """Make the heads, for batches like `inputs`.

        Raises:
            RequestError: if the model is no sequence of layers.
        """
        options = tangents.options
        self._model, self._loss, self._rate = model, loss, options["rate"]
        self._method = LocalTangents(
            depth=options["depth"],
            random=options["random"],
            tangents=sampler(tangents),
            measure=gradient.measure,
            aggregation=sources.imported(gradient),
        )
        try:
            self._heads = Heads(model, inputs)
        except TypeError as error:
            raise RequestError("tangents=local", str(error)) from None

    def __call__(self, inputs: Tensor, targets: Tensor, generator: Generator) -> Estimate:
        """Return the estimate, and let the heads learn from the batch."""
        with faster_jets():
            found = estimate_from_local_tangents(
                self._method, self._model, self._heads, self._loss, inputs, targets, generator
            )
        with torch.no_grad():
            for parameter, gradient in zip(self._heads.parameters(), found.of_heads, strict=True):
                parameter.sub_(self._rate * gradient)
        return Estimate(found.loss, found.gradients)

    def state(self) -> dict[str, Any]:
        """Return what further estimates depend on, beside the model."""
        return self._heads.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        self._heads.load_state_dict(state)
