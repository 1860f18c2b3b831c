"""What a second-order step costs on the CNN, as a ratio to a plain forward pass, and how its memory grows with depth.

python -m tests.benchmarks.second_order
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

import torch
from torch import nn

from frog_cli.gradients import AGGREGATIONS, TANGENTS, ForwardGradient, backprop, estimate_from_weights
from frog_cli.gradients.searches import hyperplane_search, line_search
from frog_cli.gradients.second_order import SecondOrder, search_in_weights
from frog_cli.models.cnn import cnn
from frog_cli.models.logistic_regression import logistic_regression
from frog_cli.objectives.classification import sample_loss
from frog_cli.schema import CNN, LogisticRegression

ROUNDS = 9
MNIST = (1, 28, 28)


def second_order(k: int) -> SecondOrder:
    search = partial(line_search, damping=1e-8) if k == 1 else partial(hyperplane_search, absolute=False)
    return SecondOrder(directions="sampled", k=k, tangents=TANGENTS["normal"], search=search)


FGD = ForwardGradient(k=1, tangents=TANGENTS["normal"], measure="forward", aggregation=AGGREGATIONS["mean"])
METHODS = {
    "FGD": partial(estimate_from_weights, FGD),
    "FoMoH": partial(search_in_weights, second_order(1)),
    "FoMoH-2D": partial(search_in_weights, second_order(2)),
    "FoMoH-3D": partial(search_in_weights, second_order(3)),
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


def peak_memory(name: str, depth: int) -> float:
    """Return the MiB that one step adds to the peak of a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.second_order", name, str(depth)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def one_step(name: str, depth: int) -> None:
    """Take a step of an MLP, whose activities are large beside its weights, and print what the peak grew by in MiB."""
    width, batch = 64, 65_536
    layers = [layer for _ in range(depth) for layer in (nn.Linear(width, width), nn.ReLU())]
    model = nn.Sequential(*layers, nn.Linear(width, 10))
    images, labels = torch.randn(batch, width), torch.randint(10, (batch,))
    generator = torch.Generator()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = _memory("VmRSS")
    if name == "inference":
        with torch.inference_mode():
            sample_loss(model(images), labels).mean()
    elif name == "backprop":
        backprop(model, sample_loss, images, labels, generator)
    else:
        METHODS[name](model, sample_loss, images, labels, generator)
    print(_memory("VmHWM") - before)


def _memory(name: str) -> float:
    """Return a figure of /proc/self/status in MiB."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024


def main() -> None:
    if len(sys.argv) == 3:
        one_step(sys.argv[1], int(sys.argv[2]))
        return
    cost_on_the_cnn()
    cost_on_logistic_regression()
    for depth in (2, 8, 32):
        found = {name: peak_memory(name, depth) for name in ("inference", "backprop", "FoMoH", "FoMoH-2D", "FoMoH-3D")}
        print(
            f"MLP of depth {depth}, MiB above the start: "
            + ", ".join(f"{name} {mib:.0f}" for name, mib in found.items())
        )


if __name__ == "__main__":
    main()
