from __future__ import annotations

import pytest
import torch

from frog_cli.engine.batch_gradients import fast_backprop, fast_forward_gradient
from frog_cli.engine.faster_rules import faster_jets
from frog_cli.engine.recording import record
from frog_cli.gradients import AGGREGATIONS, TANGENTS, ForwardGradient
from frog_cli.gradients.activities import activities, estimate_from_activities
from frog_cli.gradients.weights import backprop, estimate_from_weights, weights
from tests.cases import case, sample_loss

SPACES = {
    "weights": (estimate_from_weights, weights),
    "activities": (estimate_from_activities, activities),
}


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def replayed(method, space, model, **options):
    """Return a forward gradient as objectives take it."""
    return fast_forward_gradient(method, space(model, sample_loss, method.measure, method.chunk_size), model, **options)


def change(model) -> None:
    """Step in place, as an optimiser does."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1).add_(0.01)


@pytest.mark.parametrize("measure", ["forward", "simulated"])
@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@pytest.mark.parametrize("space", SPACES)
def test_replaying_equals_running_while_weights_and_shapes_change(space, aggregation, measure):
    model, images, labels = case("mlp")
    estimator, where = SPACES[space]
    method = ForwardGradient(k=6, tangents=TANGENTS["normal"], measure=measure, aggregation=AGGREGATIONS[aggregation])
    replay = replayed(method, where, model)
    run_from, replay_from = generator(), generator()
    for size in (6, 6, 4, 6, 4):
        with faster_jets():
            run = estimator(method, model, sample_loss, images[:size], labels[:size], run_from)
        replays = replay(images[:size], labels[:size], replay_from)
        for expected, found in zip([run.loss, *run.gradients], [replays.loss, *replays.gradients], strict=True):
            assert torch.equal(expected, found)
        change(model)


@pytest.mark.parametrize("space", SPACES)
def test_a_recording_is_not_used_for_other_weights_or_another_mode(space):
    model, images, labels = case("mlp")
    estimator, where = SPACES[space]
    method = ForwardGradient(k=6, tangents=TANGENTS["normal"], measure="forward", aggregation=AGGREGATIONS["mean"])
    replay, replay_backprop = (
        replayed(method, where, model),
        fast_backprop(model, sample_loss),
    )
    linear = next(module for module in model.modules() if isinstance(module, torch.nn.Linear))
    linear.register_forward_hook(lambda module, _, output: output if module.training else 2 * output)
    for _ in range(2):
        for mode in (True, False):
            model.train(mode)
            with faster_jets():
                run = estimator(method, model, sample_loss, images, labels, generator())
            for ours, theirs in (
                (replay, run),
                (replay_backprop, backprop(model, sample_loss, images, labels, generator())),
            ):
                found = ours(images, labels, generator())
                for one, other in zip(found.gradients, theirs.gradients, strict=True):
                    assert torch.equal(one, other)
        linear.weight = torch.nn.Parameter(linear.weight.detach() + 0.1)


@pytest.mark.parametrize("k", [2, 30])
def test_dependent_tangents_take_the_general_solution(k):
    """Tangents on a very narrow cone, and more tangents than the 3 activities of logistic regression."""
    model, images, labels = case("logistic_regression")

    def nearly_parallel(shape, source, dtype):
        return TANGENTS["cone"](shape, source, dtype, angle=1e-3)

    method = ForwardGradient(k=k, tangents=nearly_parallel, measure="forward", aggregation=AGGREGATIONS["projection"])
    with faster_jets():
        run = estimate_from_activities(method, model, sample_loss, images, labels, generator())
    replay = replayed(method, activities, model)
    for expected, found in zip(run.gradients, replay(images, labels, generator()).gradients, strict=True):
        assert torch.equal(expected, found)


def test_a_loss_that_is_not_finite_comes_through():
    model, images, labels = case("mlp")
    method = ForwardGradient(
        k=2, tangents=TANGENTS["normal"], measure="forward", aggregation=AGGREGATIONS["projection"]
    )
    replay = replayed(method, weights, model)
    replay(images, labels, generator())
    with torch.no_grad():
        model[0][1].weight.fill_(torch.nan)
    assert not replay(images, labels, generator()).loss.isfinite()


def test_backprop():
    model, images, labels = case("mlp")
    replay = fast_backprop(model, sample_loss)
    for size in (6, 4, 6):
        expected = backprop(model, sample_loss, images[:size], labels[:size], generator())
        found = replay(images[:size], labels[:size], generator())
        assert all(torch.equal(a, b) for a, b in zip(expected.gradients, found.gradients, strict=True))
        change(model)


def test_dropout_draws_anew_at_every_replay():
    replay = record(lambda x: (torch.nn.functional.dropout(x, 0.5),), torch.ones(1000))
    assert not torch.equal(replay(torch.ones(1000))[0], replay(torch.ones(1000))[0])


def test_a_recording_that_differs_is_refused():
    seen = []

    def unsteady(x):
        seen.append(x)
        return (x + len(seen),)

    with pytest.raises(RuntimeError, match="differs"):
        record(unsteady, torch.zeros(2))


@pytest.mark.parametrize("space", SPACES)
def test_what_cannot_be_recorded_is_estimated_as_it_is(space):
    model, images, labels = case("mlp")
    for layer in list(model):
        layer.append(torch.nn.Dropout(0.4))
    estimator, where = SPACES[space]
    method = ForwardGradient(k=6, tangents=TANGENTS["normal"], measure="forward", aggregation=AGGREGATIONS["mean"])
    gradient = replayed(method, where, model)
    run_from, fast_from = generator(), generator()
    for _ in range(2):
        torch.manual_seed(3)
        with faster_jets():
            run = estimator(method, model, sample_loss, images, labels, run_from)
        torch.manual_seed(3)
        found = gradient(images, labels, fast_from)
        for expected, ours in zip([run.loss, *run.gradients], [found.loss, *found.gradients], strict=True):
            assert torch.equal(expected, ours)
        change(model)


class Counts(torch.nn.Module):
    """Depends, slightly, on how often it was called."""

    def __init__(self):
        super().__init__()
        self.layer, self.calls = torch.nn.Linear(4, 2), 0

    def forward(self, x):
        self.calls += 1
        return self.layer(x) * (1 + 1e-5 * self.calls)


def test_what_does_not_repeat_itself_is_not_recorded_on_the_cpu():
    gradient = fast_backprop(Counts(), sample_loss)
    with pytest.raises(RuntimeError, match="a recording differs from the function that it records"):
        gradient(torch.randn(6, 4), torch.randint(2, (6,)), generator())
    draws = iter([1.0, 1.0 + 1e-4, 1.0 + 2e-4, 1.0 + 3e-4])
    with pytest.raises(RuntimeError, match="a recording differs"):
        record(lambda x: (x * next(draws),), torch.ones(5))
