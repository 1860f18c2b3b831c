"""A step as a direction times a length, against line searches, double backward, and where there is no length."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from frog_cli.gradients import AGGREGATIONS, TANGENTS, ForwardGradient, backprop
from frog_cli.gradients.second_order import SecondOrder, curved_weights, estimate_second_order
from frog_cli.gradients.step_length import (
    FIRST,
    Means,
    bounded,
    has_risen,
    longest_first_step,
    step_length,
    with_measurement,
)
from frog_cli.gradients.step_rules import line_step
from frog_cli.gradients.weights import estimate_from_weights, flat
from frog_cli.models.cnn import cnn
from frog_cli.models.resnet18 import resnet18
from frog_cli.models.vit import vit
from tests.cases import case, relative_error, sample_loss

SINGLE_TANGENT = ForwardGradient(
    k=1, tangents=TANGENTS["normal"], measure="forward", aggregation=AGGREGATIONS["mean"], chunk_size=None
)
DIRECTIONS = {
    "sampled": partial(estimate_from_weights, SINGLE_TANGENT),
    "gradient": backprop,
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def nothing(*shape: int) -> Means:
    return Means(*torch.zeros(3, *shape).double())


def step(parameters, gradients):
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= gradient


@pytest.mark.parametrize("kind", DIRECTIONS)
def test_line_searches_of_the_second_paper_are_directions_with_a_length(kind):
    """FoMoH and FoMoH-BP over fifty steps: the slope times a tangent, or the gradient, as the direction."""
    (ours, images, labels), (theirs, *_) = case("mlp"), case("mlp")
    method = SecondOrder(directions=kind, k=1, tangents=TANGENTS["normal"], rule=partial(line_step, damping=0.0))
    for seed in range(50):
        expected = estimate_second_order(method, theirs, sample_loss, images, labels, generator(seed))
        direction = DIRECTIONS[kind](ours, sample_loss, images, labels, generator(seed)).gradients
        measured = curved_weights(ours, sample_loss).measure(images, labels, flat(direction).unsqueeze(0))
        means = with_measurement(nothing(), measured.slopes[0], measured.curvature[0, 0], smoothing=0.0)
        length = step_length(means, factor=1.0)
        assert relative_error(length * flat(direction), flat(expected.gradients)) < 1e-12
        step(theirs.parameters(), [0.01 * one for one in expected.gradients])
        step(ours.parameters(), [0.01 * one for one in expected.gradients])


def small(name: str):
    torch.manual_seed(0)
    return {
        "logistic_regression": lambda: case("logistic_regression")[:2],
        "mlp": lambda: case("mlp")[:2],
        "cnn": lambda: (cnn((1, 16, 16), 3), torch.randn(5, 1, 16, 16)),
        "resnet18": lambda: (resnet18((3, 32, 32), 3, width=8), torch.randn(5, 3, 32, 32)),
        "vit": lambda: (vit((3, 8, 8), 3, depth=2, heads=2, hidden=8, mlp=16), torch.randn(5, 3, 8, 8)),
        "not shipped": lambda: (
            nn.Sequential(nn.Conv2d(2, 4, 3), nn.Tanh(), nn.Flatten(), nn.LayerNorm(16), nn.SiLU(), nn.Linear(16, 3)),
            torch.randn(5, 2, 4, 4),
        ),
    }[name]()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", ["logistic_regression", "mlp", "cnn", "resnet18", "vit", "not shipped"])
def test_curvature_along_a_direction_is_that_of_double_backward(name, training):
    model, images = small(name)
    model, images, labels = model.double().train(training), images.double(), torch.arange(len(images)) % 3
    parameters = list(model.parameters())
    with sdpa_kernel(SDPBackend.MATH):  # the only attention of torch with second derivatives
        value = sample_loss(model(images), labels).mean()
    gradients = torch.autograd.grad(value, parameters, create_graph=True)
    s = [gradient.detach() + 0.1 * torch.randn_like(gradient) for gradient in gradients]
    slope = sum((one * other).sum() for one, other in zip(gradients, s, strict=True))
    products = torch.autograd.grad(slope, parameters)
    curvature = sum((one * other).sum() for one, other in zip(products, s, strict=True))
    measured = curved_weights(model, sample_loss).measure(images, labels, flat(s).unsqueeze(0))
    torch.testing.assert_close(measured.slopes[0], slope.detach(), rtol=1e-8, atol=0)
    torch.testing.assert_close(measured.curvature[0, 0], curvature, rtol=1e-8, atol=1e-10)


def test_the_lowest_point_of_a_quadratic_is_reached_in_one_step():
    H, s, x = torch.diag(torch.tensor([1.0, 3.0, 9.0])).double(), torch.tensor([1.0, 2.0, 1.0]).double(), torch.ones(3)
    p, h = (H @ x.double()) @ s, s @ H @ s
    t = step_length(with_measurement(nothing(), p, h, 0.0), factor=1.0)
    assert abs((H @ (x.double() - t * s)) @ s) < 1e-12  # no slope is left along s


def test_means_weigh_measurements_alike_for_slope_and_curvature():
    """Against sums written out: the quotient of two averages with weights 0.9^i."""
    slopes, curvatures = torch.rand(7, 4).double(), torch.randn(7, 4).double()
    means = nothing(4)
    for slope, curvature in zip(slopes, curvatures, strict=True):
        means = with_measurement(means, slope, curvature, smoothing=0.9)
    weights = 0.9 ** torch.arange(6, -1, -1.0).double().unsqueeze(1)
    expected = 0.5 * (weights * slopes).sum(0) / (weights * curvatures.abs()).sum(0)
    torch.testing.assert_close(step_length(means, factor=0.5), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_measurements_that_are_not_finite_leave_the_means_as_they_are(bad):
    before = Means(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]), torch.tensor([-3.0, -4.0]))
    for slope, curvature in ((bad, 1.0), (1.0, bad)):
        after = with_measurement(before, torch.tensor([slope, 1.0]), torch.tensor([curvature, 1.0]), smoothing=0.5)
        assert [mean[0].item() for mean in after] == [1.0, 3.0, -3.0]
        assert [mean[1].item() for mean in after] == [1.5, 2.5, -1.5]


@pytest.mark.parametrize(("slope", "curvature"), [(0.0, 1.0), (-1.0, 1.0), (1.0, 0.0), (0.0, 0.0)])
def test_there_is_no_length_uphill_or_without_curvature(slope, curvature):
    slope, curvature = torch.tensor(slope), torch.tensor(curvature)
    assert step_length(Means(slope, curvature, curvature), factor=1.0).isnan()


def test_first_lengths_are_bounded_and_grow_slowly():
    def length(before, *, norm=10.0, size=2.0, smoothing=0.9, wanted=1e6, curvature=1.0, loss=1.0):
        wanted, before, norm, curvature = (torch.tensor(one).double() for one in (wanted, before, norm, curvature))
        means = Means(curvature, curvature.abs(), curvature)
        risen = has_risen(torch.tensor(loss), torch.tensor(1.0))
        return bounded(wanted, means, before, longest_first_step(norm, 16) / size, smoothing, risen).item()

    assert length(0.0) == pytest.approx(FIRST * 10 / 2)
    assert length(0.0, norm=0.0) == pytest.approx(FIRST * 4 / 2)  # from the origin, of 16 variables
    assert length(0.3) == pytest.approx(0.3 / 0.9)
    assert length(0.3, curvature=-1.0) == pytest.approx(0.3)  # not at all where the function is concave
    assert length(0.0, curvature=-1.0) == pytest.approx(FIRST * 10 / 2)
    assert length(0.3, smoothing=0.0, curvature=-1.0) == length(0.3, smoothing=0.0) == 1e6
    assert length(0.3, loss=1.2) == pytest.approx(0.3)  # nor while the loss has risen
    assert length(0.3, loss=1.2, wanted=0.1) == pytest.approx(0.1)
    assert length(0.3, loss=1.05) == length(0.3, loss=float("nan")) == pytest.approx(0.3 / 0.9)
    assert length(0.3, wanted=0.1) == pytest.approx(0.1)
    assert length(0.3, wanted=float("nan")) != length(0.3, wanted=float("nan"))
