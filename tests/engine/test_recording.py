from __future__ import annotations

import copy
import random
import warnings
from functools import partial

import numpy as np
import pytest
import torch

from frog_cli.engine import recording
from frog_cli.engine.batch_gradients import fast_backprop, fast_forward_gradient, forward_gradient_over_ranks
from frog_cli.engine.faster_rules import faster_jets
from frog_cli.engine.recording import SlowIdeaWarning, record
from frog_cli.gradients import AGGREGATIONS, TANGENTS, ForwardGradient
from frog_cli.gradients.activities import activities, estimate_from_activities
from frog_cli.gradients.weights import backprop, estimate_from_weights, weights
from frog_cli.ranks.grid import ONE_RANK
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


class DropsOutByItself(torch.nn.Module):
    """Drops out without a module for it."""

    def forward(self, x):
        return torch.nn.functional.dropout(x, 0.5, self.training)


@pytest.mark.parametrize("how", ["whole", "in parts"])
def test_slopes_and_step_see_the_same_units_dropped_out(how):
    """The step follows by hand, from one pass of plain torch with the same random numbers."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), DropsOutByItself(), torch.nn.Linear(5, 3)).double()
    x, labels = torch.randn(4, 6).double(), torch.arange(4) % 3
    method = ForwardGradient(
        k=13, tangents=TANGENTS["normal"], measure="forward", aggregation=AGGREGATIONS["projection"]
    )
    space = activities(model, sample_loss, "forward")
    estimate = {"whole": fast_forward_gradient, "in parts": partial(forward_gradient_over_ranks, grid=ONE_RANK)}[how]
    gradient = estimate(method, space, model)
    with pytest.warns(SlowIdeaWarning, match="random numbers"):
        gradient(x, labels, generator())
    for step in range(3):
        torch.manual_seed(step)
        found = gradient(x, labels, generator())
        torch.manual_seed(step)
        loss = sample_loss(model(x), labels).mean()
        torch.testing.assert_close(found.loss, loss.detach())
        # k = n: the projection is the gradient itself
        torch.testing.assert_close(found.gradients, torch.autograd.grad(loss, list(model.parameters())))


def test_what_draws_is_not_recorded_where_results_are_no_numbers():
    """Nothing says then that a recording, which sets no state of random numbers, draws as the function does."""

    def draws_twice(x):
        before = torch.get_rng_state()
        first = torch.rand_like(x)
        torch.set_rng_state(before)
        return first - torch.rand_like(x) + x.sum() / x.sum(), first / 0 * 0

    with pytest.warns(SlowIdeaWarning):
        replay = record(draws_twice, torch.zeros(3))
    assert torch.equal(replay(torch.ones(3))[0], torch.ones(3))


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


class Changing(torch.nn.Module):
    """Scales its outputs by something that it changes itself, or draws from elsewhere."""

    def __init__(self, factor):
        super().__init__()
        self.layer, self.factor, self.calls, self.history = torch.nn.Linear(4, 2), factor, 0, {"calls": []}
        self.average = torch.nn.Parameter(torch.zeros(()), requires_grad=False)

    def forward(self, x):
        self.calls += 1
        self.history["calls"].append(self.calls)
        return self.layer(x) * self.factor(self)


def averaged(model):
    with torch.no_grad():
        model.average.mul_(0.9).add_(0.1 * model.calls)
    return 1 + model.average.detach().clone()


FACTORS = {
    "frozen parameter": averaged,
    "attribute": lambda model: 1.0 if model.calls <= 2 else 0.1,
    "deep attribute": lambda model: 1.0 + len(model.history["calls"]),
    "python": lambda model: random.random(),
    "numpy": lambda model: np.random.rand(),
}


@pytest.mark.parametrize("estimator", ["backprop", *SPACES])
@pytest.mark.parametrize("factor", FACTORS)
def test_models_that_change_what_they_keep_run_as_they_are(factor, estimator):
    images, labels = torch.randn(6, 4), torch.arange(6) % 2
    models = [torch.nn.Sequential(Changing(FACTORS[factor])) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    method = ForwardGradient(k=3, tangents=TANGENTS["normal"], measure="forward", aggregation=AGGREGATIONS["mean"])
    if estimator == "backprop":
        plain, fast = backprop, fast_backprop(models[1], sample_loss)
    else:
        plain, fast = partial(SPACES[estimator][0], method), replayed(method, SPACES[estimator][1], models[1])
    losses: list[list[float]] = [[], []]
    for which in range(2):
        random.seed(0)
        np.random.seed(0)
        source = generator()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for _ in range(5):
                step = fast(images, labels, source) if which else plain(models[0], sample_loss, images, labels, source)
                losses[which].append(float(step.loss))
                change(models[which])
    assert losses[1] == losses[0]
    assert models[1][0].calls == models[0][0].calls
    assert models[1][0].history == models[0][0].history
    assert [str(one.message) for one in told if one.category is SlowIdeaWarning] == [
        "operations change what the model keeps, or draw random numbers that are not torch's, so that they run as they "
        "are, slower"
    ]


def _replace_layer(model):
    model[0].layer = torch.nn.Linear(4, 2)


OTHERS = {
    "attribute": lambda model: setattr(model[0], "scale", 0.5),
    "tensor": lambda model: setattr(model[0], "shift", torch.ones(2)),
    "hook": lambda model: model[0].register_forward_hook(lambda module, inputs, outputs: 2 * outputs),
    "hook before": lambda model: model[0].register_forward_pre_hook(lambda module, inputs: (2 * inputs[0],)),
    "submodule": _replace_layer,
    "activation": lambda model: setattr(model[0], "activation", torch.tanh),
    "mode": lambda model: model.eval(),
    "tensor in place": lambda model: model[0].shift.add_(1),
    "dictionary": lambda model: model[0].options.update(temperature=0.5),
    "list": lambda model: model[0].powers.append(3.0),
}


class Configured(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.scale, self.shift, self.activation = torch.nn.Linear(4, 2), 1.0, torch.zeros(2), torch.relu
        self.options, self.powers = {"temperature": 2.0}, [1.0]

    def forward(self, x):
        outputs = self.activation(self.layer(x) * self.scale) + self.shift * (1 if self.training else 3) + 0.1
        return outputs * self.options["temperature"] + sum(self.powers)


@pytest.mark.parametrize("other", OTHERS)
def test_what_changes_in_a_model_from_outside_is_recorded_anew(other):
    images, labels = torch.randn(6, 4), torch.arange(6) % 2
    model = torch.nn.Sequential(Configured())
    method = ForwardGradient(k=3, tangents=TANGENTS["normal"], measure="forward", aggregation=AGGREGATIONS["mean"])
    gradient = replayed(method, weights, model)
    for step in range(3):
        if step == 1:
            OTHERS[other](model)
        expected = estimate_from_weights(method, model, sample_loss, images, labels, generator())
        found = gradient(images, labels, generator())
        torch.testing.assert_close(found.loss, expected.loss)
        for one, ours in zip(expected.gradients, found.gradients, strict=True):
            torch.testing.assert_close(ours, one)


def test_a_model_that_is_changed_all_the_time_runs_as_it_is():
    images, labels = torch.randn(6, 4), torch.arange(6) % 2
    model = torch.nn.Sequential(Configured())
    gradient = fast_backprop(model, sample_loss)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for step in range(12):
            model[0].scale = 1.0 + 0.1 * step
            expected = backprop(model, sample_loss, images, labels)
            assert gradient(images, labels, generator()).loss == expected.loss
    assert ["of a model that changes all the time" in str(one.message) for one in told] == [True]


def test_what_does_not_repeat_itself_is_not_recorded_on_the_cpu():
    draws = iter([1.0, 1.0 + 1e-4, 1.0 + 2e-4, 1.0 + 3e-4])
    with pytest.raises(RuntimeError, match="a recording differs"):
        record(lambda x: (x * next(draws),), torch.ones(5))


def test_a_model_of_torch_jit_is_differentiated_as_it_is():
    plain = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.BatchNorm1d(5), torch.nn.Linear(5, 2))
    scripted = torch.jit.script(copy.deepcopy(plain))
    images, labels = torch.randn(6, 4), torch.arange(6) % 2
    gradient = fast_backprop(scripted, sample_loss)
    for _ in range(4):
        expected = backprop(plain, sample_loss, images, labels)
        found = gradient(images, labels, generator())
        torch.testing.assert_close(found.loss, expected.loss)
        for one, ours in zip(expected.gradients, found.gradients, strict=True):
            torch.testing.assert_close(ours, one)


class Recurrent(torch.nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.layer, self.last = kind(4, 6, batch_first=True), torch.nn.Linear(6, 3)

    def forward(self, x):
        return self.last(self.layer(x)[0][:, -1])


@pytest.mark.parametrize("kind", [torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN])
@pytest.mark.filterwarnings("ignore:operations cannot be replayed one by one")
def test_recurrent_networks_are_recorded_once_or_run_as_they_are(kind, monkeypatch):
    made = []
    monkeypatch.setattr(recording, "record", lambda *given, **more: made.append(1) or record(*given, **more))
    model, images, labels = Recurrent(kind), torch.randn(6, 5, 4), torch.arange(6) % 3
    method = ForwardGradient(k=2, tangents=TANGENTS["normal"], measure="forward", aggregation=AGGREGATIONS["mean"])
    forward, backward = replayed(method, weights, model), fast_backprop(model, sample_loss)
    for _ in range(4):  # a second recording would show at once
        expected = backprop(model, sample_loss, images, labels)
        torch.testing.assert_close(backward(images, labels, generator()).gradients, expected.gradients)
        run = estimate_from_weights(method, model, sample_loss, images, labels, generator())
        torch.testing.assert_close(forward(images, labels, generator()).gradients, run.gradients)
        change(model)
    assert len(made) == 2


OF_VALUES = {
    "nonzero": lambda x: x / max(1, len((x > 0).nonzero())),
    "mask": lambda x: x / max(1, len(x[x > 0])),
    "mask of rows": lambda x: x * x[(x > 0).all(1)].shape[0],
    "bytes": lambda x: x / max(1, x[(x > 0).byte()].numel()),
    "where": lambda x: x / max(1, torch.where(x > 0)[0].numel()),
    "selected": lambda x: x - torch.masked_select(x, x > 0).sum(),
    "unique": lambda x: x / len(torch.unique(x.round())),
    "repeated": lambda x: x / torch.repeat_interleave(x.abs().long()).numel(),
    "counted": lambda x: x / torch.bincount(x.abs().long().flatten()).numel(),
}


@pytest.mark.filterwarnings("ignore:indexing with dtype torch.uint8")
@pytest.mark.parametrize("kind", OF_VALUES)
def test_shapes_that_depend_on_values_are_not_recorded(kind):
    draws = torch.randn(8, 5, 3, generator=generator()) * 3
    with pytest.warns(SlowIdeaWarning, match="branch on values"):
        replay = record(lambda x: (OF_VALUES[kind](x.clone()),), draws[0].flatten() if kind == "repeated" else draws[0])
    for x in draws:
        x = x.flatten() if kind == "repeated" else x
        assert torch.equal(replay(x)[0], OF_VALUES[kind](x))


def test_indices_of_rows_are_recorded():
    rows, x = torch.tensor([2, 0]), torch.randn(3, 4, generator=generator())
    replay = record(lambda x, rows: (x[rows], x.index_select(0, rows)), x, rows)
    for one in (x, 2 * x):
        for result in replay(one, rows.flip(0)):
            assert torch.equal(result, one[[0, 2]])


def test_a_network_that_counts_by_a_shape_trains_as_it_is():
    class Counting(torch.nn.Linear):
        def forward(self, x):
            outputs = super().forward(x)
            return outputs - outputs.sum() / (1 + len((outputs.detach() > 0).nonzero()))

    model = torch.nn.Sequential(Counting(4, 3)).double()
    method = ForwardGradient(k=3, tangents=TANGENTS["normal"], measure="forward", aggregation=AGGREGATIONS["mean"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SlowIdeaWarning)
        gradients = replayed(method, weights, model), fast_backprop(model, sample_loss)
        for step in range(4):
            images = torch.randn(6, 4, generator=torch.Generator().manual_seed(step), dtype=torch.float64)
            batch = images, torch.arange(6) % 3
            expected = (
                estimate_from_weights(method, model, sample_loss, *batch, generator()),
                backprop(model, sample_loss, *batch),
            )
            for gradient, one in zip(gradients, expected, strict=True):
                found = gradient(*batch, generator())
                torch.testing.assert_close(found.loss, one.loss)
                for ours, theirs in zip(found.gradients, one.gradients, strict=True):
                    torch.testing.assert_close(ours, theirs)
