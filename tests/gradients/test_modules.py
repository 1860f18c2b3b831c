"""However many passes a step takes, a model sees in each what it would see in one, and is afterwards as after one."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from frog_cli.gradients import (
    AGGREGATIONS,
    TANGENTS,
    ForwardGradient,
    backprop,
    estimate_from_activities,
    estimate_from_regenerated_weights,
    estimate_from_weights,
)
from frog_cli.gradients.modules import kept_as_it_is, trainable
from frog_cli.gradients.searches import line_search
from frog_cli.gradients.second_order import SecondOrder, search_in_weights
from tests.cases import relative_error, sample_loss, weight_gradient

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


MODELS = {
    "shared buffer": with_shared_statistics,
    "written input": lambda: nn.Sequential(Doubles(), nn.Linear(3, 3), nn.SiLU(), Doubles(), nn.Linear(3, 3)),
    "counter": lambda: nn.Sequential(nn.Linear(3, 3), Counts(), nn.Tanh(), nn.Linear(3, 3)),
}


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", MODELS)
def test_a_step_is_as_one_plain_pass(name, estimator):
    torch.manual_seed(0)
    model, (x, y) = MODELS[name]().double(), batch()
    plain, inputs = deepcopy(model), x.clone()
    for _ in range(2):
        expected = weight_gradient(plain, x.clone(), y)
        found = ESTIMATORS[estimator](model, sample_loss, inputs, y, torch.Generator())
        assert relative_error(flat(found.gradients), expected) < 1e-8
        assert torch.equal(inputs, x)
        for ours, theirs in zip(model.buffers(), plain.buffers(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
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
    search = partial(line_search, damping=1e-8)
    method = SecondOrder(directions=directions, k=1, tangents=TANGENTS["normal"], search=search)
    search_in_weights(method, model, sample_loss, x, y, torch.Generator())
    weight_gradient(plain, x, y)
    for ours, theirs in zip(model.buffers(), plain.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=0)
    if name == "counter":
        assert (model[1].calls, model[1].history) == (1, [1])


class Follows(nn.Module):
    """Replaces its buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("average", torch.zeros(3))

    def forward(self, x):
        self.average = 0.9 * self.average + 0.1 * x.detach().mean(0)
        return x


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
    with kept_as_it_is(model):
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
