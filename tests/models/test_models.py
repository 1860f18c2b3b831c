from __future__ import annotations

import pytest
import torch

from frog_cli.gradients.activities import activity_dimension, activity_sizes
from frog_cli.models.cnn import cnn
from frog_cli.models.logistic_regression import logistic_regression
from frog_cli.models.mlp import mlp
from frog_cli.schema import CNN, MLP, LogisticRegression

MNIST = (1, 28, 28)
IMAGES = torch.zeros(2, *MNIST)


@pytest.mark.parametrize("width", [256, 1024, 4096])
def test_mlp_has_the_papers_dimension(width):
    """The paper counts n = 2w + 10 activities (arXiv 2410.17764, Section IV-D)."""
    model = mlp(MLP(name="mlp", width=width, depth=2), MNIST, 10)
    assert activity_sizes(model, IMAGES) == [width, width, 10]
    assert activity_dimension(model, IMAGES) == 2 * width + 10


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_mlp_layers_end_with_their_nonlinearity(depth):
    model = mlp(MLP(name="mlp", width=3, depth=depth), MNIST, 10)
    assert len(model) == depth + 1
    assert [type(layer[-1]).__name__ for layer in model] == ["ReLU"] * depth + ["Linear"]


def test_logistic_regression_has_the_papers_parameters():
    """The second paper counts 7 850 parameters on MNIST (arXiv 2408.10419, Section 6.2)."""
    model = logistic_regression(LogisticRegression(name="logistic_regression"), MNIST, 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == 7850
    assert activity_sizes(model, IMAGES) == [10]


def test_cnn_has_the_papers_parameters():
    """The second paper counts 431 080 parameters on MNIST (arXiv 2408.10419, Section 6.3)."""
    model = cnn(CNN(name="cnn"), MNIST, 10)
    assert sum(parameter.numel() for parameter in model.parameters()) == 431_080
    assert activity_sizes(model, IMAGES) == [20 * 12 * 12, 50 * 4 * 4, 500, 10]


def test_counting_activities_leaves_the_model_in_its_mode():
    model = mlp(MLP(name="mlp", width=3, depth=1), MNIST, 10)
    for training in (True, False):
        model.train(training)
        activity_sizes(model, IMAGES)
        assert model.training is training
