"""What a module keeps between calls, of every kind, is told and taken back."""

from __future__ import annotations

import random
from array import array
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from frog_cli.modules.attributes import kept_by


@dataclass(slots=True)
class InSlots:
    count: int = 0
    seen: list[int] = field(default_factory=list)


class Mapping(dict):
    """A dictionary of a class of its own."""


class Plain:
    def __init__(self):
        self.count, self.deep = 0, {"here": [torch.zeros(2), {3}]}

    def method(self):
        self.count += 1


def _set(one, name, value):
    setattr(one, name, value)


KINDS = {
    "number": (lambda: 1.5, lambda one, model: _set(model, "kept", 2.5)),
    "attribute that was not there": (lambda: 1, lambda one, model: _set(model, "other", 1)),
    "attribute that is deleted": (lambda: 1, lambda one, model: delattr(model, "kept")),
    "list": (lambda: [1, 2], lambda one, model: one.append(3)),
    "deque": (lambda: deque([1, 2], maxlen=2), lambda one, model: one.append(3)),
    "dict": (lambda: {"a": 1}, lambda one, model: one.update(a=2)),
    "ordered": (lambda: OrderedDict(a=1), lambda one, model: one.update(b=2)),
    "counter": (lambda: Counter("ab"), lambda one, model: one.update("a")),
    "own dictionary": (lambda: Mapping(a=1), lambda one, model: one.update(b=2)),
    "bytes": (lambda: bytearray(b"ab"), lambda one, model: one.append(3)),
    "array of C": (lambda: array("d", [1, 2]), lambda one, model: one.pop()),
    "set": (lambda: {1}, lambda one, model: one.add(2)),
    "deep in a tuple": (lambda: (1, {"a": [1, [2]]}), lambda one, model: one[1]["a"][1].append(3)),
    "object": (Plain, lambda one, model: _set(one, "count", 5)),
    "deep in an object": (Plain, lambda one, model: one.deep["here"][1].add(4)),
    "tensor in an object": (Plain, lambda one, model: one.deep["here"][0].add_(1)),
    "slots": (InSlots, lambda one, model: _set(one, "count", 1)),
    "list in slots": (InSlots, lambda one, model: one.seen.append(1)),
    "bound method": (lambda: Plain().method, lambda one, model: one()),
    "partial": (lambda: partial(Plain.method, Plain()), lambda one, model: one()),
    "module in a list": (lambda: [nn.Dropout()], lambda one, model: _set(one[0], "p", 0.1)),
    "tensor": (lambda: torch.arange(3.0), lambda one, model: one.mul_(2)),
    "tensor with other memory": (lambda: torch.arange(3.0), lambda one, model: _set(one, "data", torch.ones(3))),
    "tensor whose memory numpy shows": (
        lambda: (shown := torch.arange(3.0), shown.numpy()),
        lambda one, model: one[0].mul_(2),
    ),
    "tensor of numpy's memory": (lambda: torch.from_numpy(np.arange(3.0)), lambda one, model: one.mul_(2)),
    "array": (lambda: np.arange(3.0), lambda one, model: np.multiply(one, 2, out=one)),
    "array without shape": (lambda: np.array(3.0), lambda one, model: one.__setitem__(..., 4)),
    "generator of torch": (torch.Generator, lambda one, model: torch.rand(2, generator=one)),
    "generator of numpy": (lambda: np.random.default_rng(0), lambda one, model: one.random(2)),
    "numpy's legacy source": (lambda: np.random.RandomState(0), lambda one, model: one.normal(size=3)),
    "source of Python": (lambda: random.Random(0), lambda one, model: one.gauss(0, 1)),
}


def _told(one):
    """Return the content of an object in words."""
    if isinstance(one, torch.Generator):
        return one.get_state().tolist()
    if isinstance(one, random.Random):
        return one.getstate()
    if isinstance(one, np.random.Generator):
        return one.bit_generator.state
    if isinstance(one, np.random.RandomState):
        return [part.tolist() if isinstance(part, np.ndarray) else part for part in one.get_state()]
    if isinstance(one, torch.Tensor | np.ndarray):
        return one.tolist()
    if isinstance(one, partial):
        return [_told(part) for part in one.args]
    if isinstance(one, Plain | InSlots):
        names = ("count", "deep") if isinstance(one, Plain) else ("count", "seen")
        return [_told(getattr(one, name)) for name in names]
    if isinstance(one, bytearray | array | set):
        return list(one)
    if isinstance(one, dict):
        return {name: _told(part) for name, part in one.items()}
    if isinstance(one, list | tuple | deque):
        return [_told(part) for part in one]
    if isinstance(one, nn.Dropout):
        return one.p
    return _told(one.__self__) if hasattr(one, "__self__") else one


@pytest.mark.parametrize("kind", KINDS)
def test_what_changes_is_told_and_taken_back(kind):
    make, change = KINDS[kind]
    model = nn.Linear(1, 1)
    model.kept = make()
    before, names = _told(model.kept), set(vars(model))
    kept = kept_by(model.modules())
    for _ in range(2):  # one look serves for every pass
        assert not any(one.changed() for one in kept)
        change(getattr(model, "kept", None), model)
        assert any(one.changed() for one in kept)
        for one in kept:
            one.restore()
        assert _told(model.kept) == before
        assert set(vars(model)) == names
    assert not any(one.changed() for one in kept)


@pytest.mark.parametrize(
    "again",
    [
        lambda: (1, 2.5, "a"),
        lambda: [torch.Size([3]), {"a": 1}],
        lambda: torch.zeros(1).device,
        lambda: np.arange(3),
        lambda: 10**9 + 1,
    ],
)
def test_values_that_are_made_anew_and_equal_are_no_change(again):
    model = nn.Linear(1, 1)
    model.kept = again()
    kept = kept_by(model.modules())
    model.kept = again()
    assert not any(one.changed() for one in kept)


def test_weights_buffers_hooks_and_submodules_are_left_alone():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    kept = kept_by(model.modules())
    with torch.no_grad():
        model[0].weight.add_(1)
        model[1].running_mean.add_(1)
    model.register_forward_hook(lambda *_: None)
    model.append(nn.ReLU())
    assert not any(one.changed() for one in kept)
    for one in kept:
        one.restore()
    assert len(model) == 3
    assert model[1].running_mean.tolist() == [1, 1]


def test_what_is_registered_in_the_first_call_stays_registered():
    class MadeWhenCalled(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = None

        def forward(self, x):
            self.head = nn.Linear(2, 2) if self.head is None else self.head
            return self.head(x)

    model = MadeWhenCalled()
    kept = kept_by(model.modules())
    model(torch.ones(1, 2))
    head = model.head
    for _ in range(2):
        for one in kept:
            one.restore()
        model(torch.ones(1, 2))
        assert model.head is head
    assert "head" not in vars(model)


def test_numpy_goes_on_to_show_a_tensor_that_was_looked_at():
    model = nn.Linear(1, 1)
    model.kept = torch.zeros(3)
    shown = model.kept.numpy()
    kept = kept_by(model.modules())
    model.kept.add_(1)
    model.kept.data_ptr()
    assert shown.tolist() == [1, 1, 1]
    for one in kept:
        one.restore()
    assert shown.tolist() == model.kept.tolist() == [0, 0, 0]


def test_a_property_of_the_same_name_and_an_array_that_cannot_be_written_to_do_no_harm():
    class Odd(nn.Module):
        @property
        def twice(self):
            return 2 * vars(self)["twice"]

    model = Odd()
    vars(model)["twice"] = 1
    model.fixed = np.arange(3.0)
    model.fixed.flags.writeable = False
    kept = kept_by(model.modules())
    vars(model)["twice"] = 5
    assert any(one.changed() for one in kept)
    for one in kept:
        one.restore()
    assert model.twice == 2
