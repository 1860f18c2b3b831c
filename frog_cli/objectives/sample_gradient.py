"""Gradients from tangents of each sample's own in a run: the heads beside the layers, if any, learn along."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import Sequential

from frog_cli.engine.sample_tangents import fast_sample_tangents
from frog_cli.errors import RequestError
from frog_cli.gradients.space import Estimate, SampleLoss
from frog_cli.ideas import sources
from frog_cli.modules.calls import parameters_of
from frog_cli.modules.requirements import as_layers
from frog_cli.objectives.estimators import sampler
from frog_cli.ranks.ranks import ALONE, Ranks
from frog_cli.ranks.sharing import mean_over_samples
from frog_cli.sample_tangents.estimate import SampleTangents
from frog_cli.sample_tangents.heads import Heads
from frog_cli.settings.schema import Forward, RunTangents, are_gated, are_layerwise, are_local


class SampleGradient:
    """Estimates the gradient of one model from tangents of each sample's own; heads take a step each time."""

    def __init__(
        self,
        gradient: Forward,
        tangents: RunTangents,
        model: Sequential,
        loss: SampleLoss,
        inputs: Tensor,
        sharing_samples: Ranks = ALONE,
    ):
        """Make the heads, if the tangents come from any, for batches like `inputs`.

        Raises:
            RequestError: if the model is no sequence of layers.
        """
        options = tangents.options
        assert gradient.measure != "difference"  # which weights alone know
        learn = are_local(tangents) or gradient.measure == "greedy"  # heads, beside the layers
        method = SampleTangents(
            depth=options["depth"] if are_local(tangents) else 0,
            random=options["random"] if are_local(tangents) else gradient.k,
            per=tangents.per,
            gated=are_gated(tangents),
            layerwise=are_layerwise(tangents),
            tangents=sampler(tangents),
            measure=gradient.measure,
            aggregation=sources.imported(gradient),
        )
        try:
            self._heads = Heads(model, inputs) if learn else None
            layers = as_layers(model)
        except TypeError as error:
            raise RequestError(f"tangents={tangents.called}", str(error)) from None
        self._parameters = len(parameters_of(model))
        self._rate = options["rate"] if learn else 0
        estimate = fast_sample_tangents(method, layers, self._heads, loss)

        def with_heads(inputs: Tensor, targets: Tensor, generator: Generator) -> Estimate:  # behind those of the model
            found = estimate(inputs, targets, generator)
            return Estimate(found.loss, (*found.gradients, *found.of_heads))

        self._all = mean_over_samples(with_heads, sharing_samples)

    def estimate(self, inputs: Tensor, targets: Tensor, generator: Generator) -> Estimate:
        """Return the estimate; the heads stay as they are."""
        loss, gradients, *_ = self._all(inputs, targets, generator)
        return Estimate(loss, gradients[: self._parameters])

    def __call__(self, inputs: Tensor, targets: Tensor, generator: Generator) -> Estimate:
        """Return the estimate, and let the heads learn from the batch."""
        loss, gradients, *_ = self._all(inputs, targets, generator)
        if self._heads is not None:
            with torch.no_grad():
                for parameter, gradient in zip(self._heads.parameters(), gradients[self._parameters :], strict=True):
                    parameter.sub_(gradient, alpha=self._rate)
        return Estimate(loss, gradients[: self._parameters])

    def state(self) -> dict[str, Any]:
        """Return what further estimates depend on, beside the model."""
        return {} if self._heads is None else self._heads.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state."""
        if self._heads is not None:
            self._heads.load_state_dict(state)
