from __future__ import annotations

from functools import partial

import pytest
import torch

from frog_cli.engine import point_gradients
from frog_cli.engine.batch_gradients import fast_second_order
from frog_cli.engine.faster_rules import faster_jets
from frog_cli.gradients import TANGENTS
from frog_cli.gradients.second_order import SecondOrder, estimate_second_order
from frog_cli.gradients.step_rules import hyperplane_step, line_step
from tests.cases import FUNCTIONS, case, relative_error, sample_loss, weight_gradient

SIGNED = partial(hyperplane_step, absolute=False)
LINE = partial(line_step, damping=0.0)


def method(directions, rule, k=1):
    return SecondOrder(directions=directions, k=k, tangents=TANGENTS["normal"], rule=rule)


def generator():
    return torch.Generator().manual_seed(0)


def points(n, count=3):
    return torch.randn(count, n, generator=generator(), dtype=torch.float64)


def newton_step(function, point):
    return torch.linalg.solve(torch.func.hessian(function)(point), torch.func.grad(function)(point))


@pytest.mark.parametrize("directions", ["sampled", "basis"])
@pytest.mark.parametrize("n", [2, 10])
def test_as_many_directions_as_dimensions_are_newton(n, directions):
    function, x = FUNCTIONS["rosenbrock"].function, points(n)
    newton = point_gradients.second_order(method(directions, SIGNED, k=n), function, x, [0, 1, 2])
    values, (steps,), failed, _ = newton(x)
    assert torch.equal(values, function(x))
    assert not failed.any()
    for point, step in zip(x, steps, strict=True):
        assert relative_error(step, newton_step(function, point)) < 1e-6


def test_a_quadratic_is_solved_in_one_step():
    A = torch.randn(6, 6, generator=generator(), dtype=torch.float64)
    H, b = A @ A.mT + torch.eye(6).double(), torch.arange(6.0).double()

    def quadratic(x):
        return 0.5 * ((x @ H) * x).sum(-1) - (x * b).sum(-1)

    x = points(6)
    steps = point_gradients.second_order(method("sampled", SIGNED, k=6), quadratic, x, [0, 1, 2])(x).gradients[0]
    torch.testing.assert_close(x - steps, torch.linalg.solve(H, b).expand(3, 6), rtol=1e-7, atol=1e-7)


def test_line_step_in_one_dimension_with_positive_curvature_is_newton():
    function, x = FUNCTIONS["styblinski-tang"].function, torch.tensor([[2.5], [-3.0]]).double()
    steps = point_gradients.second_order(method("sampled", LINE), function, x, [0, 1])(x).gradients[0]
    for point, step in zip(x, steps, strict=True):
        assert relative_error(step, newton_step(function, point)) < 1e-10


def test_line_step_is_the_formula_along_a_tangent_and_along_the_gradient():
    function, x = FUNCTIONS["rosenbrock"].function, points(5)
    H = torch.stack([torch.func.hessian(function)(point) for point in x])
    g = torch.stack([torch.func.grad(function)(point) for point in x])
    along_gradient = point_gradients.second_order(method("gradient", LINE), function, x, [0, 1, 2])(x).gradients[0]
    expected = g * (g * g).sum(-1, keepdim=True) / torch.einsum("si,sij,sj->s", g, H, g).abs().unsqueeze(1)
    torch.testing.assert_close(along_gradient, expected)
    steps = point_gradients.second_order(method("sampled", LINE), function, x, [0, 1, 2])(x).gradients[0]
    v = torch.stack([torch.nn.functional.normalize(step, dim=0) for step in steps])
    expected = v * ((v * g).sum(-1) / torch.einsum("si,sij,sj->s", v, H, v).abs()).unsqueeze(1)
    torch.testing.assert_close(steps, expected)


@pytest.mark.parametrize("directions", ["sampled", "gradient", "basis"])
def test_a_point_does_not_depend_on_the_others(directions):
    function, x = FUNCTIONS["rosenbrock"].function, points(5, 4)
    chosen_method = method(directions, SIGNED, k=3)
    together = point_gradients.second_order(chosen_method, function, x, [0, 1, 2, 3])(x).gradients[0]
    for chosen in ([2], [3, 0]):
        alone = point_gradients.second_order(chosen_method, function, x[chosen], chosen)(x[chosen]).gradients[0]
        assert torch.equal(together[chosen], alone)


def test_a_step_without_solution_is_reported_and_zero():
    def linear(x):
        return x.sum(-1) + 0 * x.square().sum(-1)

    x = points(4)
    _, (steps,), failed, _ = point_gradients.second_order(method("sampled", SIGNED, k=2), linear, x, [0, 1, 2])(x)
    assert failed.all()
    assert (steps == 0).all()


@pytest.mark.parametrize("name", ["logistic_regression", "mlp"])
def test_steps_in_weights(name):
    model, images, labels = case(name)
    gradient = weight_gradient(model, images, labels)
    estimate = estimate_second_order(method("sampled", SIGNED, k=3), model, sample_loss, images, labels, generator())
    V = TANGENTS["normal"]((3, len(gradient)), generator(), torch.float64)
    products = torch.stack([_hessian_product(model, images, labels, v) for v in V])
    expected = torch.linalg.solve(products @ V.mT, V @ gradient) @ V
    assert relative_error(torch.cat([g.flatten() for g in estimate.gradients]), expected) < 1e-8
    assert not estimate.failed
    along = estimate_second_order(method("gradient", LINE), model, sample_loss, images, labels, generator())
    bend = gradient @ _hessian_product(model, images, labels, gradient)
    expected = gradient * gradient.square().sum() / bend.abs()
    assert relative_error(torch.cat([g.flatten() for g in along.gradients]), expected) < 1e-8


def _hessian_product(model, images, labels, v):
    parameters = list(model.parameters())
    loss = torch.nn.functional.cross_entropy(model(images), labels)
    gradients = torch.autograd.grad(loss, parameters, create_graph=True)
    slope = torch.cat([g.flatten() for g in gradients]) @ v
    return torch.cat([h.flatten() for h in torch.autograd.grad(slope, parameters)])


@pytest.mark.parametrize("directions", ["sampled", "gradient"])
def test_batch_normalisation_updates_its_statistics_once(directions):
    model, images, labels = case("mlp")
    measured, plain = (torch.nn.BatchNorm1d(7).double() for _ in range(2))
    model.insert(1, measured)
    estimate_second_order(method(directions, SIGNED, k=2), model, sample_loss, images, labels, generator())
    model[1] = plain
    model(images)
    for name, buffer in plain.named_buffers():
        assert torch.equal(buffer, getattr(measured, name)), name


@pytest.mark.parametrize("directions", ["sampled", "gradient"])
@pytest.mark.parametrize("name", ["logistic_regression", "mlp"])
def test_a_recorded_measurement_follows_the_weights_as_they_change(name, directions):
    model, images, labels = case(name)
    chosen = method(directions, SIGNED if directions == "sampled" else LINE, k=3 if directions == "sampled" else 1)
    recorded = fast_second_order(chosen, model, sample_loss)
    one, other = generator(), generator()
    for size in (6, 4, 6):
        batch = images[:size], labels[:size]
        with faster_jets():
            expected = estimate_second_order(chosen, model, sample_loss, *batch, one)
        found = recorded(*batch, other)
        assert torch.equal(found.loss, expected.loss)
        for ours, theirs in zip(found.gradients, expected.gradients, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
        with torch.no_grad():
            for parameter, step in zip(model.parameters(), expected.gradients, strict=True):
                parameter -= 0.1 * step
