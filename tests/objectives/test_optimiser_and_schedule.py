from __future__ import annotations

import pytest
import torch

from frog_cli.errors import RequestError
from frog_cli.objectives import optimiser_and_schedule
from frog_cli.settings.requests import train_request


def parameters():
    return [torch.nn.Parameter(torch.zeros(2))]


def run(*overrides: str):
    return train_request(overrides).runs[0]


def test_optimizer_takes_rate_and_options():
    made = optimiser_and_schedule.optimizer(run("learning_rate=0.25", "optimizer.options.momentum=0.9"), parameters())
    assert isinstance(made, torch.optim.SGD)
    assert made.defaults["lr"] == 0.25
    assert made.defaults["momentum"] == 0.9


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["optimizer.name=Foo"], "optimizer.name=Foo: must be a class of torch.optim, such as SGD or Adam"),
        (["optimizer.name=lr_scheduler"], "must be a class of torch.optim"),
        (["optimizer.name=LBFGS"], "evaluates a step several times"),
        (["optimizer.options.foo=1"], "unexpected keyword argument 'foo'"),
        (["optimizer.options.momentum=-1"], "Invalid momentum value: -1"),
    ],
)
def test_optimizer_refusals(overrides, message):
    with pytest.raises(RequestError, match=message):
        optimiser_and_schedule.optimizer(run(*overrides), parameters())


@pytest.mark.parametrize(
    ("options", "rates"),
    [
        (["schedule.name=none"], [1, 1, 1, 1, 1, 1]),
        (["schedule.name=every", "schedule.epochs=2"], [1, 0.5, 0.5, 0.25, 0.25, 0.125]),
        (["schedule.name=when_rising"], [1, 1, 0.5, 0.25, 0.25, 0.125]),
        (["schedule.name=when_rising", "schedule.epochs=2"], [1, 1, 1, 0.5, 0.5, 0.5]),
    ],
)
def test_schedule(options, rates):
    settings = run("learning_rate=1", "schedule.factor=0.5", *options)
    optimizer = optimiser_and_schedule.optimizer(settings, parameters())
    schedule = optimiser_and_schedule.schedule(settings, optimizer)
    found = []
    for validation_loss in (3.0, 2.0, 2.5, 2.1, 1.5, 1.6):
        optimizer.step()
        optimiser_and_schedule.follow(schedule, validation_loss)
        found.append(optimizer.param_groups[0]["lr"])
    assert found == rates
