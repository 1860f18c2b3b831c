"""Steps without a learning rate: directions of any method, and lengths from the curvature along them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from frog_cli.gradients.space import Estimate, Measured
from frog_cli.gradients.step_length import (
    Means,
    bounded,
    has_risen,
    longest_first_step,
    step_length,
    with_measurement,
)
from frog_cli.settings.schema import StepLength


class StepLengths:
    """The step lengths of one point or of several, `[...]` each: their running means, and the last ones."""

    def __init__(self, settings: StepLength, norm: Tensor, n: int):
        """Begin without a measurement.

        Args:
            settings: the options of the lengths.
            norm: the norm of the point at which steps begin, `[...]`.
            n: number of variables.
        """
        self._settings, self._longest = settings, longest_first_step(norm, n)
        self._means = Means(*torch.zeros(3, *norm.shape, dtype=norm.dtype, device=norm.device))
        self._last = torch.zeros_like(norm)
        self._first_loss = self._loss = torch.full_like(norm, torch.nan)  # its running mean
        self._steps = 0

    @property
    def measures(self) -> bool:
        """Whether the next step measures the curvature, or takes what is known of it."""
        return self._steps % self._settings.every == 0

    def lengthen(self, direction: Estimate, size: Tensor, measured: Measured | None) -> Estimate:
        """Return a step along a direction with its length, both 0 where there is none, which counts as failed.

        Args:
            direction: the estimated gradients.
            size: the norm of the direction, `[...]`.
            measured: slope `[..., 1]` and curvature `[..., 1, 1]` along the direction; None if this step takes what is
                known.
        """
        smoothing, loss = self._settings.smoothing, direction.loss.to(self._loss.dtype)
        self._first_loss = torch.where(self._first_loss.isnan(), loss, self._first_loss)
        self._loss = torch.where(self._loss.isnan(), loss, smoothing * self._loss + (1 - smoothing) * loss)
        unknown = torch.zeros_like(self._means.slope, dtype=torch.bool)
        if measured is not None:
            assert measured.curvature is not None
            slope, curvature = measured.slopes.squeeze(-1), measured.curvature.squeeze(-1).squeeze(-1)
            self._means = with_measurement(self._means, slope, curvature, smoothing)
            unknown = ~(slope.isfinite() & curvature.isfinite())
        self._steps += 1
        length = step_length(self._means, self._settings.factor)
        risen = has_risen(self._loss, self._first_loss)
        length = bounded(length, self._means, self._last, self._longest / size, smoothing, risen)
        failed = unknown | ~length.isfinite() | ~size.isfinite()
        self._last, length = torch.where(failed, self._last, length), torch.where(failed, 0, length)

        def lengthened(gradient: Tensor) -> Tensor:
            shape = (*length.shape, *[1] * (gradient.ndim - length.ndim))
            return torch.where(failed.view(shape), 0, length.view(shape) * gradient)

        return Estimate(direction.loss, tuple(map(lengthened, direction.gradients)), failed, length)

    def state(self, index: int | None = None) -> dict[str, Any]:
        """Return all that further lengths depend on; of several points those of one."""
        numbers = [*self._means, self._last, self._first_loss, self._loss]
        own = numbers if index is None else [one[index] for one in numbers]
        return {"numbers": [one.clone() for one in own], "steps": self._steps}

    def restore(self, states: Sequence[dict[str, Any]]) -> None:
        """Go on from the state of the point, or those of all points."""
        together = zip(*(state["numbers"] for state in states), strict=True)
        stacked = (torch.stack(one).view_as(self._last).to(self._last.device) for one in together)
        *means, self._last, self._first_loss, self._loss = stacked
        self._means = Means(*means)
        self._steps = states[0]["steps"]


def quartiles(lengths: Tensor) -> dict[str, float | None]:
    """Return the quartiles of the lengths of some steps, as columns of metrics; None if there were none."""
    shares = {"lower_quartile": 0.25, "median": 0.5, "upper_quartile": 0.75}
    return {
        f"step_length_{name}": lengths.double().quantile(share).item() if len(lengths) else None
        for name, share in shares.items()
    }
