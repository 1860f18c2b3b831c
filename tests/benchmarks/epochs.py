"""Epochs on MNIST with the measurement that follows: resident tensors against a DataLoader, FoMoH against SGD."""

from __future__ import annotations

import torch
from torch.utils.data import DataLoader, Subset

from frog_cli.data.dataset import ImageData, load
from frog_cli.files.csv import Row
from frog_cli.objectives.classification import Classification
from frog_cli.objectives.network_steps import sample_loss, take_step
from frog_cli.settings.requests import train_request
from frog_cli.torchvision_import import torchvision
from tests.benchmarks.comparison import compared, seconds

ROUNDS = 5
MLP = ["experiment=mlp_mnist", "model.width=256"]
GRADIENTS = {
    "backprop": ["gradient=backprop"],
    "projection, k = 16, simulated": ["gradient=projection", "gradient.measure=simulated"],
    "projection, k = 16, forward": ["gradient=projection"],
}
LOGISTIC_REGRESSION = ["experiment=fomoh_logistic_regression", "data.validation=test", "batch_size=512"]


def rows() -> list[Row]:
    """Return all comparisons of epochs."""
    data = load(train_request(MLP).runs[0].data, torch.device("cpu"))
    found = [against_a_loader(name, gradient, data) for name, gradient in GRADIENTS.items()]
    data = load(train_request(LOGISTIC_REGRESSION).runs[0].data, torch.device("cpu"))
    return [*found, *fomoh_against_backprop(data)]


def objective(words: list[str], data: ImageData) -> Classification:
    """Return an objective that has recorded its operations."""
    made = Classification(train_request(words).runs[0], data, torch.device("cpu"))
    epoch(made)
    return made


def epoch(objective: Classification) -> None:
    """Do what frog train does between two rows of metrics."""
    objective.epoch()
    objective.measure()


def against_a_loader(name: str, gradient: list[str], data: ImageData) -> Row:
    """Compare an epoch on resident tensors with the same one fed by DataLoaders with per-sample transforms."""
    words = [*MLP, *gradient, "learning_rate=1e-6"]
    run = train_request(words).runs[0]
    resident, loaded = objective(words, data), objective(words, data)
    splits = transformed_splits(run.data.root)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        ours.append(seconds(lambda: epoch(resident)))
        theirs.append(seconds(lambda: loader_epoch(loaded, splits, run)))
    return compared(f"an epoch of MLP-256 on MNIST, {name}", ours, "the same loop fed by a DataLoader", theirs)


def transformed_splits(root: str):
    """Return the training, validation and test images as a torchvision user would load them."""
    vision = torchvision()
    from torchvision import transforms

    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    train, test = (vision.datasets.MNIST(root, train=train, transform=transform) for train in (True, False))
    order = torch.randperm(60_000).tolist()
    return Subset(train, order[10_000:]), Subset(train, order[:10_000]), test


def loader_epoch(objective: Classification, splits, run) -> None:
    """Do what an epoch and its measurement do, with the batches of a DataLoader."""
    model, optimizer = objective._model.train(), objective._optimizer
    for images, labels in DataLoader(splits[0], batch_size=run.batch_size, shuffle=True):
        take_step(objective._gradient, objective._parameters, optimizer, images, labels, objective._tangents)
    model.eval()
    with torch.inference_mode():
        for split in splits:
            loss, correct = torch.zeros(()), torch.zeros(())
            for images, labels in DataLoader(split, batch_size=run.evaluation_batch_size):
                outputs = model(images)
                loss += sample_loss(outputs, labels).sum()
                correct += (outputs.argmax(1) == labels).sum()
            torch.stack([loss, correct]).tolist()


def fomoh_against_backprop(data: ImageData) -> list[Row]:
    """Compare epochs of logistic regression by second-order methods with those by backpropagation."""
    methods = {
        "backprop": ["gradient=backprop"],
        "FGD": ["gradient=mean", "gradient.k=1"],
        "FoMoH": ["gradient=fomoh"],
        "FoMoH-2D": ["gradient=fomoh_kd", "gradient.k=2"],
        "FoMoH-3D": ["gradient=fomoh_kd", "gradient.k=3"],
    }
    objectives = {name: objective([*LOGISTIC_REGRESSION, *words], data) for name, words in methods.items()}
    found: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(ROUNDS):
        for name, one in objectives.items():
            found[name].append(seconds(lambda one=one: epoch(one)))
    what = "an epoch of logistic regression on MNIST, batch 512, backprop"
    return [compared(what, found["backprop"], name, found[name]) for name in methods if name != "backprop"]
