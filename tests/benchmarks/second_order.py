"""What a second-order step costs on the CNN, as a ratio to a plain forward pass, and how its memory grows with depth.

python -m tests.benchmarks.second_order
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter

import torch
from torch import nn

from frog_cli.gradients import AGGREGATIONS, TANGENTS, Estimate, ForwardGradient, backprop, estimate_from_weights
from frog_cli.gradients.searches import hyperplane_search, line_search
from frog_cli.gradients.second_order import SecondOrder, search_in_weights
from frog_cli.memory import keep_freed_memory
from frog_cli.models.cnn import cnn
from frog_cli.models.logistic_regression import logistic_regression
from frog_cli.objectives.classification import sample_loss
from frog_cli.schema import CNN, LogisticRegression
from tests.memory import peak_memory

ROUNDS = 9
MNIST = (1, 28, 28)


def sampled(k: int) -> Callable[..., Estimate]:
    """Return a FoMoH step in the plane of k normal tangents."""
    search = partial(line_search, damping=1e-8) if k == 1 else partial(hyperplane_search, absolute=False)
    method = SecondOrder(directions="sampled", k=k, tangents=TANGENTS["normal"], search=search)
    return partial(search_in_weights, method)


FGD = ForwardGradient(k=1, tangents=TANGENTS["normal"], measure="forward", aggregation=AGGREGATIONS["mean"])
METHODS = {
    "FGD": partial(estimate_from_weights, FGD),
    "FoMoH": sampled(1),
    "FoMoH-2D": sampled(2),
    "FoMoH-3D": sampled(3),
}


def seconds(function) -> float:
    began = perf_counter()
    function()
    return perf_counter() - began


def cost_on_the_cnn() -> None:
    """Interleave steps with plain forward passes of the same network in torch's default memory layout."""
    images, labels = torch.randn(512, *MNIST), torch.randint(10, (512,))
    model = cnn(CNN(name="cnn"), MNIST, 10)
    usual = cnn(CNN(name="cnn"), MNIST, 10).to(memory_format=torch.contiguous_format)
    generator = torch.Generator().manual_seed(0)

    def plain() -> None:
        with torch.no_grad():
            sample_loss(usual(images), labels).mean()

    ratios: dict[str, list[float]] = {name: [] for name in METHODS}
    for _ in range(ROUNDS):
        for name, estimate in METHODS.items():
            step = seconds(partial(estimate, model, sample_loss, images, labels, generator))
            ratios[name].append(step / median(seconds(plain) for _ in range(3)))
    for name, found in ratios.items():
        low, middle, high = min(found), median(found), max(found)
        print(
            f"CNN, batch 512: {name} takes {middle:.1f} plain forward passes ({ROUNDS} rounds: {low:.1f} to {high:.1f})"
        )


def cost_on_logistic_regression() -> None:
    """Time a FoMoH-3D step."""
    images, labels = torch.randn(512, *MNIST), torch.randint(10, (512,))
    model = logistic_regression(LogisticRegression(name="logistic_regression"), MNIST, 10)
    generator = torch.Generator().manual_seed(0)
    step = partial(METHODS["FoMoH-3D"], model, sample_loss, images, labels, generator)
    found = [seconds(step) for _ in range(100)]
    print(
        f"logistic regression, batch 512: FoMoH-3D takes {1e3 * median(found):.2f} ms (best {1e3 * min(found):.2f} ms)"
    )


def deep_mlp(depth: int) -> tuple[nn.Sequential, torch.Tensor, torch.Tensor]:
    """Return a network whose activities are large beside its weights, and a batch for it."""
    width, batch = 64, 8_192
    layers = [layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Linear(width, 10))
    return model, torch.randn(batch, width), torch.randint(10, (batch,))


def memory(depth: int) -> None:
    """Print the peaks of one step of a deep network in multiples of inference's."""
    model, images, labels = deep_mlp(depth)
    generator = torch.Generator()

    def inference() -> None:
        with torch.no_grad():
            sample_loss(model(images), labels).mean()

    needed = peak_memory(inference)
    methods = {"backprop": backprop, **METHODS}
    found = {
        name: peak_memory(partial(estimate, model, sample_loss, images, labels, generator)) / needed
        for name, estimate in methods.items()
    }
    print(f"MLP of depth {depth}, peak memory in multiples of inference's: ", end="")
    print(", ".join(f"{name} {ratio:.2f}" for name, ratio in found.items()))


def main() -> None:
    keep_freed_memory()
    cost_on_the_cnn()
    cost_on_logistic_regression()
    for depth in (2, 8, 32):
        memory(depth)


if __name__ == "__main__":
    main()
