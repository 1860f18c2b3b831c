from __future__ import annotations

import copy

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


@pytest.mark.parametrize(
    "overrides",
    [
        ["learning_rate=0.1", "optimizer.name=SparseAdam"],
        ["learning_rate=0.1", "optimizer.options.differentiable=true"],
        ["learning_rate=1e39"],
    ],
)
def test_what_cannot_step_is_refused_before(overrides):
    with pytest.raises(RequestError, match=r"optimizer.name=\w+: cannot step with these options: \S"):
        optimiser_and_schedule.check_optimizer(
            run(*(["learning_rate=0.1"] if "rate" not in overrides[0] else []), *overrides)
        )


@pytest.mark.parametrize("name", ["NAdam", "RAdam", "Adam", "Adagrad", "SGD"])
def test_a_restored_optimiser_goes_on_to_the_last_bit(name):
    """Also one whose state has single precision beside weights in double precision."""

    def steps(optimizer, parameter, count):
        for _ in range(count):
            parameter.grad = parameter.detach().sin() + 0.3
            optimizer.step()

    settings = run("learning_rate=0.01", f"optimizer.name={name}")
    found = []
    for interrupted in (False, True):
        parameter = torch.nn.Parameter(torch.linspace(-1, 1, 7, dtype=torch.float64))
        optimizer = optimiser_and_schedule.optimizer(settings, [parameter])
        steps(optimizer, parameter, 20)
        if interrupted:
            state = optimizer.state_dict()
            optimizer = optimiser_and_schedule.optimizer(settings, [parameter])
            optimiser_and_schedule.restore(optimizer, copy.deepcopy(state))
        steps(optimizer, parameter, 40)
        found.append(parameter.detach().clone())
    assert torch.equal(*found)
