"""However many passes a step takes, a model sees in each what it would see in one, and is afterwards as after one."""

from __future__ import annotations

import random
from collections import deque
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from frog_cli.engine.regenerated import estimate_from_regenerated_weights
from frog_cli.gradients import (
    AGGREGATIONS,
    TANGENTS,
    ForwardGradient,
    backprop,
    estimate_from_activities,
    estimate_from_weights,
)
from frog_cli.gradients.second_order import SecondOrder, estimate_second_order
from frog_cli.gradients.step_rules import line_step
from frog_cli.modules.calls import trainable
from frog_cli.modules.restoring import kept_as_it_is
from tests.cases import Follows, relative_error, sample_loss, weight_gradient

METHOD = ForwardGradient(
    k=64, tangents=TANGENTS["normal"], measure="forward", aggregation=AGGREGATIONS["projection"], chunk_size=1
)
"""As many tangents as there are weights or more: the estimate is the gradient itself."""

ESTIMATORS = {
    "weights": partial(estimate_from_weights, METHOD),
    "weights at once": partial(estimate_from_weights, replace(METHOD, chunk_size=None)),
    "regenerated weights": partial(estimate_from_regenerated_weights, METHOD),
    "simulated weights": partial(estimate_from_weights, replace(METHOD, measure="simulated")),
    "activities": partial(estimate_from_activities, METHOD),
    "simulated activities": partial(estimate_from_activities, replace(METHOD, measure="simulated")),
    "backprop": backprop,
}


def flat(gradients) -> torch.Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients])


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(2)
    return torch.randn(5, 3, dtype=torch.float64), torch.randint(3, (5,))


def with_shared_statistics() -> nn.Sequential:
    """Return a model with two modules that note the mean of what they see in one buffer, and use what it was."""
    notes = [Notes(), Notes()]
    notes[1].seen = notes[0].seen
    return nn.Sequential(nn.Linear(3, 3), notes[0], nn.Tanh(), notes[1], nn.Linear(3, 3))


class Notes(nn.Module):
    """Moves a buffer by what it sees, and its output by what the buffer was."""

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(3))

    def forward(self, x):
        result = x + self.seen.clone()
        self.seen += x.detach().mean(0) + 1
        return result


class Doubles(nn.Module):
    """Writes to its input in its own forward."""

    def forward(self, x):
        return x.mul_(2)


class Counts(nn.Module):
    """Counts its calls in Python, which its output depends on, and keeps a list of them."""

    def __init__(self):
        super().__init__()
        self.calls, self.history, self.by_name = 0, [], {}

    def forward(self, x):
        self.calls += 1
        self.history.append(self.calls)
        self.by_name["last"] = self.calls
        self.first_seen = len(self.history)
        return x / self.calls + len(self.history) + self.by_name["last"]


class Remembers(nn.Module):
    """Adds what it saw in the step before, as it was."""

    def __init__(self):
        super().__init__()
        self.before = torch.zeros(())

    def forward(self, x):
        result = x * (1 + self.before)
        self.before = x.mean()
        return result


class Noisy(nn.Module):
    """Scales its input by numbers from sources that are not torch's default one."""

    def __init__(self):
        super().__init__()
        self.own, self.numpy = torch.Generator().manual_seed(1), np.random.default_rng(2)
        self.python = random.Random(3)

    def forward(self, x):
        drawn = self.python.random() + random.random() + self.numpy.normal() + np.random.rand()
        return x * (drawn + torch.rand(3, generator=self.own, dtype=x.dtype))


class Tally:
    """Counts, as an object of its own class."""

    def __init__(self):
        self.count = 0


class KeepsMuch(nn.Module):
    """Counts in many kinds of containers, which its output depends on."""

    def __init__(self):
        super().__init__()
        self.nested, self.queue = {"a": [{"calls": 0}]}, deque([0], maxlen=1)
        self.array, self.tensor, self.tally = np.zeros(1), torch.zeros(()), Tally()
        self.pair = ([0], "a name")

    def forward(self, x):
        self.nested["a"][0]["calls"] += 1
        self.queue.append(self.queue[0] + 1)
        self.array += 1
        self.tensor += 1
        self.tally.count += 1
        self.pair[0][0] += 1
        counts = [
            self.nested["a"][0]["calls"],
            self.queue[0],
            self.array[0],
            self.tensor,
            self.tally.count,
            self.pair[0][0],
        ]
        return x / (1 + sum(float(count) * 2**place for place, count in enumerate(counts)))


def with_buffers_that_share_memory() -> nn.Sequential:
    """Return a model with a buffer that is a view of another, which is written to."""
    notes = Notes()
    notes.register_buffer("first", notes.seen[:1])
    notes.register_forward_hook(lambda module, _, output: output + module.first)
    return nn.Sequential(nn.Linear(3, 3), notes, nn.Tanh(), nn.Linear(3, 3))


MODELS = {
    "own random numbers": lambda: nn.Sequential(nn.Linear(3, 3), Noisy(), nn.Tanh(), nn.Linear(3, 3)),
    "many containers": lambda: nn.Sequential(nn.Linear(3, 3), KeepsMuch(), nn.Tanh(), nn.Linear(3, 3)),
    "shared memory": with_buffers_that_share_memory,
    "shared buffer": with_shared_statistics,
    "written input": lambda: nn.Sequential(Doubles(), nn.Linear(3, 3), nn.SiLU(), Doubles(), nn.Linear(3, 3)),
    "counter": lambda: nn.Sequential(nn.Linear(3, 3), Counts(), nn.Tanh(), nn.Linear(3, 3)),
}


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", MODELS)
def test_a_step_is_as_one_plain_pass(name, estimator):
    torch.manual_seed(0)
    model = MODELS[name]() if name == "shared memory" else MODELS[name]().double()
    (x, y), dtype = batch(), next(model.parameters()).dtype
    x = x.to(dtype)
    plain, inputs, tolerance = deepcopy(model), x.clone(), 1e-8 if dtype == torch.float64 else 1e-4
    for seed in range(2):
        random.seed(seed)
        np.random.seed(seed)
        expected = weight_gradient(plain, x.clone(), y)
        after = random.random(), np.random.rand()
        random.seed(seed)
        np.random.seed(seed)
        found = ESTIMATORS[estimator](model, sample_loss, inputs, y, torch.Generator())
        assert relative_error(flat(found.gradients), expected) < tolerance
        assert torch.equal(inputs, x)
        assert after == (random.random(), np.random.rand())
        for ours, theirs in zip(model.buffers(), plain.buffers(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12 if dtype == torch.float64 else 1e-5, atol=0)
        if name == "counter":
            ours, theirs = (vars(one[1]) for one in (model, plain))
            assert {n: ours[n] for n in theirs if not n.startswith("_")} == {
                n: v for n, v in theirs.items() if not n.startswith("_")
            }


@pytest.mark.parametrize("estimator", ["weights", "weights at once", "activities"])
def test_what_a_model_remembers_is_a_constant_in_the_next_step(estimator):
    torch.manual_seed(0)
    model, (x, y) = nn.Sequential(nn.Linear(3, 3), Remembers(), nn.Linear(3, 3)).double(), batch()
    for _ in range(2):
        plain = deepcopy(model)
        assert not plain[1].before.requires_grad
        expected = weight_gradient(plain, x, y)
        found = ESTIMATORS[estimator](model, sample_loss, x, y, torch.Generator())
        assert relative_error(flat(found.gradients), expected) < 1e-8
        model[1].before = model[1].before.detach()  # of the pass that makes the local gradients


@pytest.mark.parametrize("directions", ["sampled", "gradient"])
@pytest.mark.parametrize("name", ["shared buffer", "counter"])
def test_a_second_order_step_is_as_one_plain_pass(name, directions):
    torch.manual_seed(0)
    model, (x, y) = MODELS[name]().double(), batch()
    plain = deepcopy(model)
    rule = partial(line_step, damping=1e-8)
    method = SecondOrder(directions=directions, k=1, tangents=TANGENTS["normal"], rule=rule)
    estimate_second_order(method, model, sample_loss, x, y, torch.Generator())
    weight_gradient(plain, x, y)
    for ours, theirs in zip(model.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    if name == "counter":
        assert (model[1].calls, model[1].history) == (1, [1])


class RunningLoss(nn.Module):
    """Divides losses by a running mean of them."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros((), dtype=torch.float64))

    def forward(self, outputs, targets):
        losses = sample_loss(outputs, targets)
        self.mean.mul_(0.5).add_(losses.detach().mean() * 0.5)
        return losses / (self.mean + 0.1)


def writes_to_targets(outputs, targets):
    return sample_loss(outputs, targets.sub_(1) % 3)


@pytest.mark.parametrize("make", [RunningLoss, lambda: writes_to_targets])
@pytest.mark.parametrize("estimator", ["weights", "regenerated weights", "activities"])
def test_a_loss_is_the_same_in_all_passes(make, estimator):
    torch.manual_seed(0)
    model, (x, y), losses = nn.Sequential(nn.Linear(3, 3), nn.Tanh()).double(), batch(), (make(), make())
    for _ in range(2):
        value = losses[1](model(x), y.clone()).mean()
        expected = flat(torch.autograd.grad(value, list(model.parameters())))
        found = ESTIMATORS[estimator](model, losses[0], x, y, torch.Generator())
        assert found.loss == pytest.approx(value.item(), rel=1e-12)
        assert relative_error(flat(found.gradients), expected) < 1e-8


@dataclass
class Both:
    """Inputs that torch does not know as a container."""

    left: torch.Tensor


def test_inputs_of_another_class_are_the_same_in_all_passes():
    class OfBoth(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)

        def forward(self, both):
            return self.linear(both.left.mul_(2)).tanh()

    model, (x, y) = OfBoth().double(), batch()
    expected = weight_gradient(model, Both(x.clone()), y)
    found = estimate_from_weights(METHOD, model, sample_loss, Both(x), y, torch.Generator())
    assert relative_error(flat(found.gradients), expected) < 1e-8


def test_a_search_along_the_gradient_sees_the_units_that_the_gradient_saw():
    torch.manual_seed(0)
    model, (x, y) = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 3)).double(), batch()
    seen = []

    def search(slopes, curvature):
        seen.append(slopes)
        return slopes

    method = SecondOrder(directions="gradient", k=1, tangents=TANGENTS["normal"], rule=search)
    step = flat(estimate_second_order(method, model, sample_loss, x, y, torch.Generator()).gradients)
    gradient = step / seen[0]
    assert seen[0].item() == pytest.approx(gradient.square().sum().item(), rel=1e-10)


def test_a_shared_buffer_that_one_module_replaces_is_refused():
    modules = [Follows(), Follows()]
    modules[1].average = modules[0].average
    model, (x, y) = nn.Sequential(nn.Linear(3, 3), *modules).double(), batch()
    modules[1]._buffers["average"] = modules[0]._buffers["average"]
    with pytest.raises(NotImplementedError, match=r"buffer \d\.average is replaced by one of several modules"):
        estimate_from_weights(METHOD, model, sample_loss, x, y, torch.Generator())


def test_a_model_is_kept_as_it_is():
    model, (x, _) = nn.Sequential(Counts(), Follows(), with_shared_statistics()).double(), batch()
    buffers, average = [buffer.clone() for buffer in model.buffers()], model[1].average
    with kept_as_it_is(model, x.device):
        model(x)
        assert model[0].calls == 1
    assert all(torch.equal(*pair) for pair in zip(buffers, model.buffers(), strict=True))
    assert model[1].average is average
    assert (model[0].calls, model[0].history, model[0].by_name) == (0, [], {})
    assert not hasattr(model[0], "first_seen")


def test_a_model_without_trained_parameters_is_refused():
    with pytest.raises(ValueError, match="no parameter of this Linear requires a gradient"):
        trainable(nn.Linear(3, 3).requires_grad_(False))


@pytest.mark.parametrize("other", [torch.float64, torch.complex64])
def test_parameters_of_several_types_are_refused(other):
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3, dtype=other))
    with pytest.raises(TypeError, match=r"not float32 \(0\.weight\) and (float64|complex64) \(1\.weight\)"):
        trainable(model)
    trainable(model[:1])
    model[1].requires_grad_(False)
    assert [name for name, _ in trainable(model)] == ["0.weight", "0.bias"]
