"""How much faster an epoch on resident tensors is than the same loop fed by a DataLoader with per-sample transforms.

python -m tests.benchmarks.data [overrides of frog train]
"""

from __future__ import annotations

import sys
from statistics import median
from time import perf_counter

import torch
from torch.utils.data import DataLoader, Subset

from frog_cli.config import train_request
from frog_cli.data.dataset import load
from frog_cli.objectives.classification import Classification, sample_loss
from frog_cli.torchvision_import import torchvision

OVERRIDES = ["experiment=mlp_mnist", "model.width=256"]
GRADIENTS = {
    "backprop": ["gradient=backprop"],
    "projection, k = 16, simulated": ["gradient=projection", "gradient.measure=simulated"],
    "projection, k = 16, forward": ["gradient=projection"],
}


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
        gradients = objective._gradient(images, labels, objective._tangents).gradients
        for parameter, gradient in zip(objective._parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
    model.eval()
    with torch.inference_mode():
        for split in splits:
            loss, correct = torch.zeros(()), torch.zeros(())
            for images, labels in DataLoader(split, batch_size=run.evaluation_batch_size):
                outputs = model(images)
                loss += sample_loss(outputs, labels).sum()
                correct += (outputs.argmax(1) == labels).sum()
            torch.stack([loss, correct]).tolist()


def rounds(overrides: list[str]) -> tuple[list[float], list[float]]:
    """Return the seconds of an epoch on resident tensors, and of one with DataLoaders, in five rounds side by side."""
    run = train_request(overrides).runs[0]
    objective = Classification(run, load(run.data, torch.device("cpu")), torch.device("cpu"))
    splits = transformed_splits(run.data.root)
    objective.epoch()  # records its operations
    objective.measure()
    resident, loaded = [], []
    for _ in range(5):
        began = perf_counter()
        objective.epoch()
        objective.measure()
        ended = perf_counter()
        loader_epoch(objective, splits, run)
        resident.append(ended - began)
        loaded.append(perf_counter() - ended)
    return resident, loaded


def main() -> None:
    for name, gradient in GRADIENTS.items():
        resident, loaded = rounds([*OVERRIDES, *gradient, *sys.argv[1:]])
        ratios = [theirs / ours for theirs, ours in zip(loaded, resident, strict=True)]
        print(
            f"MLP-256 on MNIST, {name}: an epoch takes {median(resident):.2f} s, with a DataLoader "
            f"{median(loaded):.2f} s, {median(ratios):.1f} times as long "
            f"(five rounds: {min(ratios):.1f} to {max(ratios):.1f})"
        )


if __name__ == "__main__":
    main()
