from __future__ import annotations

from functools import partial

import pytest
import torch

from frog_cli.engine import point_gradients, recording
from frog_cli.engine.batch_gradients import fast_curved_weights, fast_second_order
from frog_cli.engine.faster_rules import faster_jets
from frog_cli.gradients import TANGENTS
from frog_cli.gradients.second_order import SecondOrder, curved_weights, estimate_second_order
from frog_cli.gradients.step_rules import hyperplane_step, line_step
from frog_cli.variants.regularised_step_rules import gauss_newton
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


class Gated(torch.nn.Module):
    """A network that frog does not ship: convolution, a gate, a mean over pixels, and a shared weight."""

    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv2d(1, 4, 3)
        self.norm = torch.nn.LayerNorm(2)
        self.linear = torch.nn.Linear(2, 3)

    def forward(self, images):
        one, gate = self.convolution(images).chunk(2, dim=1)
        features = self.norm((one.tanh() * gate.sigmoid()).mean((2, 3)))
        return self.linear(features) + 0.3 * self.linear(features.square())


def squared_error(outputs, targets):
    return (outputs - torch.eye(outputs.shape[1]).double()[targets]).square().sum(1)


def gauss_newton_matrix(model, inputs, hessian_of_loss):
    """Return G = mean over samples of J^T H J by reverse mode, sample by sample, over all weights."""
    parameters = dict(model.named_parameters())
    total = 0
    for image in inputs:

        def outputs(values, image=image):
            return torch.func.functional_call(model, values, (image.unsqueeze(0),)).squeeze(0)

        jacobians = torch.func.jacrev(outputs)(parameters)
        J = torch.cat([jacobians[name].flatten(1) for name in parameters], 1).detach()
        total = total + J.T @ hessian_of_loss(outputs(parameters).detach()) @ J
    return total / len(inputs)


def hessian_of_cross_entropy(logits):
    p = logits.softmax(0)
    return torch.diag(p) - torch.outer(p, p)


@pytest.mark.parametrize("loss", [sample_loss, squared_error])
@pytest.mark.parametrize("fast", [False, True])
def test_gauss_newton_curvature_is_that_of_the_explicit_matrix(loss, fast):
    torch.manual_seed(0)
    model, images, labels = Gated().double(), torch.randn(6, 1, 5, 5).double(), torch.arange(6) % 3
    hessian = hessian_of_cross_entropy if loss is sample_loss else lambda z: 2 * torch.eye(len(z)).double()
    G = gauss_newton_matrix(model, images, hessian)
    n = len(G)
    V = torch.randn(5, n, generator=generator(), dtype=torch.float64)
    space = (fast_curved_weights if fast else curved_weights)(model, loss, "gauss_newton")
    value, slopes, curvature, _ = space.measure(images, labels, V)
    gradients = torch.autograd.grad(loss(model(images), labels).mean(), list(model.parameters()))
    torch.testing.assert_close(value, loss(model(images), labels).mean().detach())
    torch.testing.assert_close(slopes, V @ torch.cat([one.flatten() for one in gradients]))
    torch.testing.assert_close(curvature, V @ G @ V.T, rtol=1e-9, atol=1e-12)


def test_a_damped_gauss_newton_step_from_a_basis_is_that_of_the_explicit_matrix():
    torch.manual_seed(0)
    model, images, labels = Gated().double(), torch.randn(6, 1, 5, 5).double(), torch.arange(6) % 3
    G = gauss_newton_matrix(model, images, hessian_of_cross_entropy)
    rule = partial(gauss_newton, damping=0.01)
    every_weight = SecondOrder(
        directions="basis", k=1, tangents=TANGENTS["normal"], rule=rule, curvature="gauss_newton"
    )
    found = estimate_second_order(every_weight, model, sample_loss, images, labels, generator())
    damped = G + 0.01 * torch.linalg.eigvalsh(G).max() * torch.eye(len(G)).double()
    expected = torch.linalg.solve(damped, weight_gradient(model, images, labels))
    torch.testing.assert_close(torch.cat([one.flatten() for one in found.gradients]), expected, rtol=1e-6, atol=1e-9)


def test_gauss_newton_refuses_weights_that_are_reached_otherwise_than_through_their_modules():
    model, images, labels = case("mlp")
    weights = list(model.parameters())
    V = torch.ones(2, sum(map(torch.numel, weights))).double()

    def penalised(outputs, targets):
        return sample_loss(outputs, targets) + weights[0].square().sum()

    class Outside(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.listed = model, [weights[0]]

        def forward(self, images):
            return self.inner(images) * self.listed[0].mean()

    for network, loss in ((model, penalised), (Outside(), sample_loss)):
        with pytest.raises(NotImplementedError, match="reached otherwise than through its module"):
            curved_weights(network, loss, "gauss_newton").measure(images, labels, V)


@pytest.mark.parametrize("curvature", ["hessian", "gauss_newton"])
def test_a_pass_along_very_many_directions_is_not_recorded_and_the_same(curvature, monkeypatch):
    """Whose recording, with operations for each pair, would take minutes."""
    model, images, labels = case("mlp")
    V = torch.randn(33, sum(one.numel() for one in model.parameters()), generator=generator(), dtype=torch.float64)
    space = fast_curved_weights(model, sample_loss, curvature)
    expected = curved_weights(model, sample_loss, curvature).measure(images, labels, V)
    few = space.measure(images, labels, V[:3])
    torch.testing.assert_close(few.curvature, expected.curvature[:3, :3])
    monkeypatch.setattr(recording, "record", None)
    torch.testing.assert_close(space.measure(images, labels, V).curvature, expected.curvature)


def test_gauss_newton_refuses_a_model_that_returns_several_tensors():
    class Pair(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = torch.nn.Linear(4, 3)

        def forward(self, x):
            return self.linear(x), x

    space = curved_weights(Pair(), lambda outputs, targets: sample_loss(outputs[0], targets), "gauss_newton")
    with pytest.raises(TypeError, match="needs a model that returns a tensor, not tuple"):
        space.measure(torch.randn(5, 4), torch.arange(5) % 3, torch.randn(2, 15))


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"directions": "sample"}, ValueError, "directions='sample' must be 'sampled', 'gradient' or 'basis'"),
        ({"curvature": "gauss-newton"}, ValueError, "curvature='gauss-newton' must be 'hessian' or 'gauss_newton'"),
        ({"k": 0}, ValueError, "k=0 must be at least 1"),
        ({"rule": "fomoh"}, TypeError, "tangents and rule must be functions"),
    ],
)
def test_wrong_methods_are_refused(wrong, error, message):
    given = {"directions": "sampled", "k": 1, "tangents": TANGENTS["normal"], "rule": partial(line_step, damping=0.0)}
    with pytest.raises(error, match=message):
        SecondOrder(**(given | wrong))
