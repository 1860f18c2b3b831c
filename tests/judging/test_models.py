from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from frog_cli.judging.models import judge_model
from frog_cli.models.resnet18 import resnet18
from tests.judging.faults import failed, seen


def linear(image, classes):
    return nn.Linear(int(np.prod(image)), classes)


class Between(nn.Module):
    """A function between two layers."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x, self.training)


def with_function(function):
    """Return a model with a function before its only linear map."""
    return lambda image, classes: nn.Sequential(
        nn.Sequential(nn.Flatten(), Between(function)), nn.Sequential(linear(image, classes))
    )


def one_class_more(image, classes):
    return nn.Sequential(nn.Flatten(), linear(image, classes + 1))


def nothing_to_train(image, classes):
    return nn.Sequential(nn.Flatten(), linear(image, classes)).requires_grad_(False)


def writes(image, classes):
    return nn.Sequential(nn.ReLU(inplace=True), nn.Sequential(nn.Flatten(), linear(image, classes)))


def weights_from_numpy(image, classes):
    model = nn.Sequential(nn.Flatten(), linear(image, classes))
    with torch.no_grad():
        model[1].bias.copy_(torch.from_numpy(np.random.default_rng().standard_normal(classes)))
    return model


def seeds_itself(image, classes):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), linear(image, classes))


ONE_FOR_ALL = nn.Sequential(nn.Flatten(), linear((1, 8, 8), 10))


class WeightsInAList(nn.Module):
    def __init__(self, image, classes):
        super().__init__()
        self.linear = linear(image, classes)
        self.weights = [self.linear.weight]

    def forward(self, images):
        return images.flatten(1) @ self.weights[0].mT + self.linear.bias


FAULTY = [
    (one_class_more, ["forward"]),
    (lambda image, classes: linear, ["forward"]),
    (nothing_to_train, ["parameters"]),
    (writes, ["leaves its input as it is"]),
    (weights_from_numpy, ["same seed, same weights"]),
    (seeds_itself, ["same seed, same weights"]),
    (lambda image, classes: ONE_FOR_ALL, ["same seed, same weights"]),
    (WeightsInAList, ["slopes of weights"]),
    (
        with_function(lambda x, training: x - x.mean(0)),
        ["samples are independent in evaluation", "samples are independent in training"],
    ),
    (
        with_function(lambda x, training: x - x.mean(0) if training else x),
        ["samples are independent in training"],
    ),
]


@pytest.mark.parametrize(("build", "checks"), FAULTY)
def test_a_fault_is_found_by_the_check_that_names_it(build, checks):
    findings = judge_model(build)
    assert failed(findings) == checks, findings


def test_batch_normalisation_is_told():
    findings = judge_model(partial(resnet18, grouping="coarse", norm="batch", width=8), (1, 8, 8))
    coupled = seen(findings, "samples are independent in training")
    assert coupled.ok is None
    assert "batch normalisation" in coupled.seen


def test_weight_space_alone_and_an_operation_without_second_order_are_told():
    class Network(nn.Module):
        def __init__(self, image, classes):
            super().__init__()
            self.linear = linear(image, classes)

        def forward(self, images):
            return torch.sinc(self.linear(images.flatten(1)).square() + 1)

    findings = judge_model(Network)
    assert failed(findings) == []
    assert seen(findings, "layers").seen.startswith("weight space only")
    curvature = seen(findings, "curvature of weights")
    assert curvature.ok is None
    assert "sinc" in curvature.seen


def test_a_constant_in_single_precision_is_no_fault():
    assert failed(judge_model(with_function(lambda x, training: x @ torch.eye(64)))) == []


def test_what_cannot_be_recorded_is_told():
    def branches(x, training):
        return 2 * x if x.abs().max() > 1 else x

    def drops(image, classes):
        return nn.Sequential(nn.Flatten(), nn.Dropout(), linear(image, classes))

    assert seen(judge_model(drops), "recordable").seen.endswith("it keeps statistics or draws random numbers")

    def by_numpy(x, training):
        return x * torch.from_numpy(np.sign(x.detach().numpy()))

    for function in (branches, by_numpy):
        findings = judge_model(with_function(function))
        assert failed(findings) == []
        assert "branch on values" in seen(findings, "recordable").seen


class Counts(nn.Module):
    def __init__(self, image, classes):
        super().__init__()
        self.linear, self.calls = linear(image, classes), 0

    def forward(self, images):
        self.calls += 1
        return self.linear(images.flatten(1)) * (1.0 if self.calls < 9 else 0.5)


def test_a_model_that_changes_what_it_keeps_is_told_to_run_as_it_is():
    findings = judge_model(Counts)
    assert failed(findings) == []
    assert seen(findings, "recordable").seen.startswith("no, runs as it is, slower: a pass changes what it keeps")


def test_weights_that_follow_no_seed_because_they_are_zero_are_fine():
    def zeros(image, classes):
        model = nn.Sequential(nn.Flatten(), linear(image, classes))
        nn.init.zeros_(model[1].weight)
        nn.init.zeros_(model[1].bias)
        return model

    assert failed(judge_model(zeros)) == []


def test_a_network_whose_operations_cannot_be_replayed_is_told_why():
    class Recurrent(nn.Module):
        def __init__(self, image, classes):
            super().__init__()
            self.layer, self.last = nn.LSTM(8, 6, batch_first=True), nn.Linear(6, classes)

        def forward(self, images):
            return self.last(self.layer(images.flatten(1, 2))[0][:, -1])

    findings = judge_model(Recurrent)
    assert failed(findings) == []
    assert seen(findings, "recordable").seen in (
        "no, its operations cannot be replayed one by one: runs as it is, slower",
        "the same numbers on other arguments than those that it is recorded with",  # where oneDNN has no LSTM
    )
