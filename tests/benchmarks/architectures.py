"""What a step with 16 tangents costs on ResNet18 and the vision transformer, as a ratio to a plain forward pass.

python -m tests.benchmarks.architectures
"""

from __future__ import annotations

from functools import partial
from statistics import median
from time import perf_counter

import torch

from frog_cli.config import train_request
from frog_cli.memory import keep_freed_memory
from frog_cli.models import MODELS
from frog_cli.objectives.classification import batch_gradient, sample_loss

ROUNDS = 5
IMAGE = (3, 32, 32)
GRADIENTS = {
    "backprop": ["gradient=backprop"],
    "forward": ["gradient=projection", "gradient.k=16"],
    "simulated": ["gradient=projection", "gradient.k=16", "gradient.measure=simulated"],
}


def seconds(function) -> float:
    began = perf_counter()
    function()
    return perf_counter() - began


def rounds(name: str) -> dict[str, list[float]]:
    """Return the cost of a step, as frog train takes it, in forward passes of the same network; interleaved."""
    images, labels = torch.randn(64, *IMAGE), torch.randint(10, (64,))
    generator = torch.Generator().manual_seed(0)
    steps = {}
    for gradient, overrides in GRADIENTS.items():
        run = train_request([f"model={name}", *overrides]).runs[0]
        model = MODELS[name](run.model, IMAGE, 10).train()
        steps[gradient] = partial(batch_gradient(run, model), images, labels, generator)

    def plain() -> None:
        with torch.no_grad():
            sample_loss(model(images), labels).mean()

    for step in steps.values():
        step()  # records its operations
    found: dict[str, list[float]] = {gradient: [] for gradient in steps}
    for _ in range(ROUNDS):
        for gradient, step in steps.items():
            found[gradient].append(seconds(step) / median(seconds(plain) for _ in range(3)))
    return found


def main() -> None:
    keep_freed_memory()
    for name in ("resnet18", "vit"):
        for gradient, ratios in rounds(name).items():
            print(
                f"{name}, batch 64, k = 16, {gradient}: {median(ratios):.1f} plain forward passes "
                f"({ROUNDS} rounds: {min(ratios):.1f} to {max(ratios):.1f})"
            )


if __name__ == "__main__":
    main()
