"""Second-order forward mode: the FoMoH family and Newton's method (arXiv 2408.10419).

Value, slopes and curvature along all directions come from one forward pass with jets; a rule makes a step of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor
from torch.nn import Module

from frog_cli.gradients.space import Estimate, Measured, SampleLoss, Space, without_autocast
from frog_cli.gradients.step_rules import StepRule
from frog_cli.gradients.tangents import Sampler
from frog_cli.gradients.weights import backprop, flat, shaped, weight_space
from frog_cli.ideas.registry import Curvature
from frog_cli.jets.jet import measure_first_order, measure_second_order
from frog_cli.modules.calls import call_with, parameters_of, untouched
from frog_cli.modules.requirements import check_batch, check_reached_through_modules, warn_of_backward_hooks
from frog_cli.modules.restoring import kept_as_it_is


@dataclass(frozen=True, kw_only=True)
class SecondOrder:
    """A second-order method: along which directions it measures, and how it steps in the plane that they span.

    Attributes:
        directions: `sampled` tangents, the `gradient` itself by one reverse pass, or the whole `basis`.
        k: number of sampled tangents, at least 1.
        tangents: samples them.
        rule: makes coefficients of slopes and curvature.
        curvature: of the loss itself, or of the Gauss-Newton matrix.
    """

    directions: Literal["sampled", "gradient", "basis"]
    k: int
    tangents: Sampler
    rule: StepRule
    curvature: Curvature = "hessian"

    def __post_init__(self) -> None:
        if self.directions not in ("sampled", "gradient", "basis"):
            raise ValueError(f"directions={self.directions!r} must be 'sampled', 'gradient' or 'basis'")
        if self.curvature not in ("hessian", "gauss_newton"):
            raise ValueError(f"curvature={self.curvature!r} must be 'hessian' or 'gauss_newton'")
        if self.directions == "sampled" and self.k < 1:
            raise ValueError(f"k={self.k} must be at least 1")
        if not callable(self.tangents) or not callable(self.rule):
            raise TypeError("tangents and rule must be functions, such as those in TANGENTS and hyperplane_step")


def estimate_second_order(
    method: SecondOrder, model: Module, loss: SampleLoss, inputs: Tensor, targets: Tensor, generator: Generator
) -> Estimate:
    """Find a step in the space of all trained parameters, by the mean loss over the batch.

    Buffers such as the running statistics of batch normalisation change once, as in a plain forward pass.
    """
    V = directions(method, model, loss, inputs, targets, generator)
    return step_along(V, method.rule, curved_weights(model, loss, method.curvature), inputs, targets)


def directions(
    method: SecondOrder, model: Module, loss: SampleLoss, inputs: Tensor, targets: Tensor, generator: Generator
) -> Tensor:
    """Return the directions V `[K, n]` of a step; the model stays as it is."""
    check_batch(inputs)
    parameters = parameters_of(model)
    n, dtype, device = sum(map(torch.numel, parameters)), parameters[0].dtype, parameters[0].device
    if method.directions == "sampled":
        return method.tangents((method.k, n), generator, dtype)
    if method.directions == "basis":
        return torch.eye(n, dtype=dtype, device=device)
    with kept_as_it_is(model, device):  # the measurement along the gradient sees what this pass sees
        return flat(backprop(model, loss, inputs, targets).gradients).unsqueeze(0)


def step_along(V: Tensor, rule: StepRule, space: Space, *where: Tensor) -> Estimate:
    """Find a step in the span of V `[..., K, n]`, for a batch `(inputs, targets)` or at `(points,)`; else 0."""
    measured = space.measure(*where, V)
    assert measured.curvature is not None
    with without_autocast(V.device):
        coefficients = rule(measured.slopes, measured.curvature).to(V.dtype)
        failed = ~coefficients.isfinite().all(-1)
        coefficients = torch.where(failed.unsqueeze(-1), 0, coefficients)
    return Estimate(measured.loss, space.step(V, coefficients.unsqueeze(-1), measured), failed)


def curved_weights(model: Module, loss: SampleLoss, curvature: Curvature = "hessian") -> Space:
    """Return the space of a model's weights, with slopes `[K]` and curvature `[K, K]` of the mean loss measured.

    The curvature of the Gauss-Newton matrix is that of the loss as a function of the outputs, along the derivatives of
    the outputs: one pass of first order through the model finds it. If the loss is convex in the outputs, as the
    cross-entropy is, it is nowhere negative.
    """
    warn_of_backward_hooks(model)

    def hessian(inputs: Tensor, targets: Tensor, V: Tensor) -> Measured:
        parameters = parameters_of(model)

        def mean_loss(*values: Tensor) -> Tensor:
            losses = loss(call_with(model, values, {}, untouched(inputs, model)), targets)
            return check_reached_through_modules(losses, parameters).mean()

        return Measured(*measure_second_order(mean_loss, parameters, shaped(V, parameters)))

    def gauss_newton(inputs: Tensor, targets: Tensor, V: Tensor) -> Measured:
        parameters = parameters_of(model)

        def outputs(*values: Tensor) -> tuple[Tensor, tuple[()]]:
            found = call_with(model, values, {}, untouched(inputs, model))
            if not isinstance(found, Tensor):
                raise TypeError(f"Gauss-Newton needs a model that returns a tensor, not {type(found).__name__}")
            return check_reached_through_modules(found, parameters), ()

        def mean_loss(outputs: Tensor) -> Tensor:
            return check_reached_through_modules(loss(outputs, targets), parameters).mean()

        found, derivatives, _ = measure_first_order(outputs, parameters, shaped(V, parameters))
        return Measured(*measure_second_order(mean_loss, (found,), (derivatives,)))

    return weight_space(model, {"hessian": hessian, "gauss_newton": gauss_newton}[curvature])
