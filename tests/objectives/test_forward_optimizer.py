"""Steps of `ForwardOptimizer` beside those made by hand, on networks that frog does not ship."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from frog_cli import ForwardOptimizer
from frog_cli.engine.regenerated import RegeneratedTangents, regenerated
from frog_cli.gradients import AGGREGATIONS, TANGENTS, ForwardGradient, SecondOrder, hyperplane_step, trainable
from tests.cases import project, relative_error

EXACT = 1e-10
PLANE = partial(hyperplane_step, absolute=False)


class TwoTowers(nn.Module):
    """Compares two inputs, one of them through a layer that it writes over, with a keyword beside them."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(4, 5), nn.Linear(3, 5)
        self.head, self.frozen = nn.Linear(5, 3), nn.Parameter(torch.ones(5), requires_grad=False)

    def forward(self, x: Tensor, y: Tensor, *, scale: float = 1.0) -> Tensor:
        x.mul_(2)  # in place
        return self.head((self.left(x).tanh() * self.right(y) + self.frozen) * scale)


def case() -> tuple[TwoTowers, list[Tensor]]:
    torch.manual_seed(1)
    model = TwoTowers().double()
    return model, [torch.randn(6, 4).double(), torch.randn(6, 3).double(), torch.randint(3, (6,))]


def loss_of(model: nn.Module):
    return lambda x, y, labels: cross_entropy(model(x, y, scale=0.7), labels)


def true_gradient(model: nn.Module, batch: list[Tensor]) -> Tensor:
    """Return the gradient `[n]` of the loss of a batch by reverse mode."""
    parameters = [one for _, one in trainable(model)]
    loss = loss_of(model)(*[one.clone() for one in batch])
    return torch.cat([one.flatten() for one in torch.autograd.grad(loss, parameters)])


def sgd(model: nn.Module, rate: float = 0.3, **options) -> torch.optim.Optimizer:
    return torch.optim.SGD([one for _, one in trainable(model)], lr=rate, **options)


def weights(model: nn.Module) -> Tensor:
    return torch.cat([one.detach().flatten() for _, one in trainable(model)]).clone()


def projected(k: int = 4, **options) -> ForwardGradient:
    usual = {"tangents": TANGENTS["normal"], "measure": "forward", "aggregation": AGGREGATIONS["projection"]}
    return ForwardGradient(k=k, **usual | options)


@pytest.mark.parametrize("options", [{}, {"chunk_size": 1}, {"measure": "simulated"}])
def test_a_step_is_the_projection_of_the_gradient_and_leaves_the_batch_alone(options):
    model, batch = case()
    given, before, gradient = [one.clone() for one in batch], weights(model), true_gradient(model, batch)
    loss = loss_of(model)(*map(torch.clone, batch)).detach()  # which writes to them
    V = TANGENTS["normal"]((4, len(before)), Generator().manual_seed(7), torch.float64)
    estimate = ForwardOptimizer(model, projected(**options), sgd(model), seed=7).step(loss_of(model), *batch)
    expected = project(V, gradient.unsqueeze(1)).squeeze(1)
    assert relative_error(before - weights(model), 0.3 * expected) < EXACT
    assert relative_error(torch.cat([one.flatten() for one in estimate.gradients]), expected) < EXACT
    assert all(map(torch.equal, given, batch))
    torch.testing.assert_close(estimate.loss, loss, atol=1e-12, rtol=1e-12)


def test_tangents_need_not_be_stored():
    model, batch = case()
    before, gradient = weights(model), true_gradient(model, batch)
    V = RegeneratedTangents(TANGENTS["normal"], 4, len(before), Generator().manual_seed(3), torch.float64).rows(0, 4)
    ForwardOptimizer(model, projected(tangents=regenerated), sgd(model), seed=3).step(loss_of(model), *batch)
    assert relative_error(before - weights(model), 0.3 * project(V, gradient.unsqueeze(1)).squeeze(1)) < EXACT


def test_a_hyperplane_step_in_all_directions_is_newtons():
    model = nn.Linear(3, 1).double()
    x, y = torch.randn(9, 3).double(), torch.randn(9, 1).double()
    method = SecondOrder(
        directions="sampled", k=4, tangents=TANGENTS["normal"], rule=partial(hyperplane_step, absolute=False)
    )
    optimizer = ForwardOptimizer(model, method, sgd(model, rate=1.0))
    estimate = optimizer.step(lambda: (model(x) - y).square().mean())
    expected = torch.linalg.lstsq(torch.cat([x, torch.ones(9, 1).double()], 1), y).solution.squeeze(1)
    assert not estimate.failed
    assert relative_error(weights(model), expected) < 1e-8


def test_a_step_that_a_rule_does_not_find_is_told_and_changes_nothing():
    model = nn.Linear(3, 1).double()
    x = torch.randn(9, 3).double()
    method = SecondOrder(
        directions="sampled", k=2, tangents=TANGENTS["normal"], rule=partial(hyperplane_step, absolute=False)
    )
    optimizer = ForwardOptimizer(model, method, sgd(model))
    assert not optimizer.step(lambda: model(x).square().mean()).failed
    before = weights(model)
    for one in (optimizer, ForwardOptimizer(model, method, sgd(model))):
        estimate = one.step(lambda: model(x).mean())  # without curvature
        assert estimate.failed
        assert torch.equal(before, weights(model))


def test_buffers_change_once_and_dropout_is_the_same_for_all_tangents():
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 2)).double()
    x, labels = torch.randn(8, 4).double(), torch.randint(2, (8,))
    found = []
    for chunk_size in (None, 1):
        copy = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Dropout(0.5), nn.Linear(5, 2)).double()
        copy.load_state_dict(model.state_dict())
        torch.manual_seed(5)
        loss = lambda copy: cross_entropy(copy(x), labels)  # noqa: E731
        ForwardOptimizer(copy, projected(chunk_size=chunk_size), sgd(copy)).step(partial(loss, copy))
        assert copy[1].num_batches_tracked == 1
        found.append(copy.state_dict())
    model(x)
    for name, one in found[0].items():
        torch.testing.assert_close(one, found[1][name], atol=EXACT, rtol=0)
    torch.testing.assert_close(found[0]["1.running_mean"], model[1].running_mean)


def test_losses_of_samples_are_averaged():
    ends = []
    for reduction in ("mean", "none"):
        model, batch = case()
        loss = lambda x, y, labels: cross_entropy(model(x, y), labels, reduction=reduction)  # noqa: B023, E731
        ForwardOptimizer(model, projected(), sgd(model)).step(loss, *batch)
        ends.append(weights(model))
    assert relative_error(ends[1], ends[0]) < EXACT


def test_it_goes_on_from_a_state_bitwise_with_momentum_and_a_schedule():
    def run(pause: bool) -> Tensor:
        model, batch = case()
        inner = sgd(model, momentum=0.9)
        optimizer, schedule = (
            ForwardOptimizer(model, projected(), inner),
            torch.optim.lr_scheduler.StepLR(inner, 2, 0.5),
        )
        for step in range(6):
            optimizer.step(loss_of(model), *batch)
            schedule.step()
            if pause and step == 2:
                states = optimizer.state_dict(), schedule.state_dict(), model.state_dict()
                model, _ = case()
                inner = sgd(model, momentum=0.9)
                optimizer = ForwardOptimizer(model, projected(), inner, seed=11)
                schedule = torch.optim.lr_scheduler.StepLR(inner, 2, 0.5)
                for one, state in zip((optimizer, schedule, model), states, strict=True):
                    one.load_state_dict(state)
        assert inner.param_groups[0]["lr"] == 0.3 / 8
        return weights(model)

    assert torch.equal(run(pause=False), run(pause=True))


def test_what_is_no_loss_of_the_model_is_refused():
    model, batch = case()
    with pytest.raises(ValueError, match="must have the 6 parameters that this TwoTowers trains, and no others"):
        ForwardOptimizer(model, projected(), torch.optim.SGD(model.parameters(), lr=1))
    with pytest.raises(ValueError, match="must have the 6 parameters"):
        ForwardOptimizer(model, projected(), torch.optim.SGD(model.head.parameters(), lr=1))
    curved = SecondOrder(directions="sampled", k=2, tangents=TANGENTS["normal"], rule=PLANE, curvature="gauss_newton")
    with pytest.raises(ValueError, match="needs the model's outputs apart from their loss"):
        ForwardOptimizer(model, curved, sgd(model))
    with pytest.raises(ValueError, match="LBFGS evaluates a step several times"):
        ForwardOptimizer(model, projected(), torch.optim.LBFGS([one for _, one in trainable(model)]))
    optimizer = ForwardOptimizer(model, projected(), sgd(model, weight_decay=0.1))
    before = weights(model)
    for wrong in (lambda: 1.0, lambda: torch.tensor(1j), lambda: torch.ones(0), lambda: torch.tensor(1)):
        with pytest.raises(TypeError, match="must be a tensor of real numbers, not "):
            optimizer.step(wrong)
    with pytest.raises(ValueError, match="the loss of a batch must be that of the TwoTowers that this optimiser"):
        optimizer.step(loss_of(case()[0]), *batch)
    weight = model.head.weight
    with pytest.raises(NotImplementedError, match="reached otherwise than through its module"):
        optimizer.step(lambda x, y, labels: loss_of(model)(x, y, labels) + weight.square().sum(), *batch)
    with pytest.raises(TypeError, match="a batch must be tensors"):
        optimizer.step(lambda model, x, y, labels: loss_of(model)(x, y, labels), model, *batch)
    with pytest.raises(ValueError, match="Weighted has parameters of its own that require a gradient"):
        optimizer.step(Weighted(model), *batch)
    assert torch.equal(before, weights(model))
    assert all(one.grad is None for one in model.parameters())
    model.head.weight.requires_grad_(False)
    with pytest.raises(ValueError, match="must have the 5 parameters"):
        optimizer.step(loss_of(model), *batch)


class Weighted(nn.Module):
    """A loss with a weight of its own."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.weight, self.loss = nn.Parameter(torch.ones(()).double()), loss_of(model)

    def forward(self, *batch: Tensor) -> Tensor:
        return self.weight * self.loss(*batch)


def test_regenerated_tangents_are_measured_forward_only():
    model, batch = case()
    method = projected(tangents=regenerated, measure="difference", epsilon=0.1)
    with pytest.raises(ValueError, match="measured forward, not measure='difference'"):
        ForwardOptimizer(model, method, sgd(model)).step(loss_of(model), *batch)


def test_a_zero_gradient_of_a_loss_that_depends_on_the_model_is_no_mistake():
    model = nn.Linear(3, 1).double()
    optimizer, before = ForwardOptimizer(model, projected(), sgd(model)), weights(model)
    for _ in range(2):
        optimizer.step(lambda x: (model(x).sigmoid() - 2).relu().mean(), torch.randn(5, 3).double())
    assert torch.equal(before, weights(model))


@pytest.mark.parametrize("foreach", [False, True])
def test_the_estimate_is_not_what_an_optimiser_makes_of_it(foreach):
    model, batch = case()
    gradient = true_gradient(model, batch)
    V = TANGENTS["normal"]((4, len(gradient)), Generator().manual_seed(0), torch.float64)
    inner = sgd(model, momentum=0.9, nesterov=True, foreach=foreach)
    estimate = ForwardOptimizer(model, projected(), inner).step(loss_of(model), *batch)
    found = torch.cat([one.flatten() for one in estimate.gradients])
    assert relative_error(found, project(V, gradient.unsqueeze(1)).squeeze(1)) < EXACT


class Annealed:
    """A loss that counts its calls, and weighs by them."""

    def __init__(self, model: nn.Module):
        self.calls, self._loss = 0, loss_of(model)

    def __call__(self, *batch: Tensor) -> Tensor:
        self.calls += 1
        return self.calls * self._loss(*batch)


@pytest.mark.parametrize("kind", ["object", "bound method", "partial"])
def test_what_a_loss_counts_is_the_same_in_each_pass(kind):
    model, batch = case()
    before, gradient, annealed = weights(model), true_gradient(model, batch), Annealed(model)
    loss = {"object": annealed, "bound method": annealed.__call__, "partial": partial(annealed, batch[0].clone())}[kind]
    V = TANGENTS["normal"]((4, len(before)), Generator().manual_seed(0), torch.float64)
    given = [one.clone() for one in (batch[1:] if kind == "partial" else batch)]
    estimate = ForwardOptimizer(model, projected(chunk_size=1), sgd(model)).step(loss, *given)
    expected = project(V, gradient.unsqueeze(1)).squeeze(1)
    found = torch.cat([one.flatten() for one in estimate.gradients])
    assert annealed.calls == 1
    if kind != "partial":  # whose batch the model writes over in each pass
        assert relative_error(found, expected) < EXACT


@pytest.mark.parametrize("measure", ["forward", "simulated"])
def test_autocast_around_a_loop_is_that_around_each_step(measure):
    losses = []
    for around in (True, False):
        torch.manual_seed(1)
        model, x, y = nn.Linear(8, 2), torch.randn(16, 8), torch.randint(2, (16,))
        optimizer = ForwardOptimizer(model, projected(k=8, measure=measure), sgd(model, rate=1.0))
        with torch.autocast("cpu", torch.bfloat16, enabled=around):
            for _ in range(4):
                with torch.autocast("cpu", torch.bfloat16):
                    estimate = optimizer.step(lambda: cross_entropy(model(x), y))  # noqa: B023
        losses.append(estimate.loss)
    assert torch.equal(*losses)
