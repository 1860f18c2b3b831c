"""Each layer of torch.nn within a network, recorded and not: whether steps are the same while everything changes.

A program of its own, because torch's tests change settings of the whole process; it prints, in JSON, by layers' names,
how many networks have the same steps, and what became of others.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from frog_cli.engine.batch_gradients import fast_forward_gradient
from frog_cli.gradients import AGGREGATIONS, TANGENTS, ForwardGradient
from frog_cli.gradients.activities import activities
from frog_cli.gradients.estimate import estimate
from frog_cli.gradients.weights import weights

torch.backends.disable_global_flags = lambda: None  # which would keep runs from choosing cuDNN's kernels

from tests.jets.of_torch import LAYERS, spread  # noqa: E402

SPACES = {"weights": weights, "activities": activities}
METHOD = ForwardGradient(k=3, tangents=TANGENTS["normal"], measure="forward", aggregation=AGGREGATIONS["mean"])
STEPS = 4


class Scaled(nn.Module):
    """Multiply by a trained number, so that every network has a weight in front of its layer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        """Return the multiple."""
        return x * self.scale


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return a number for each sample."""
    return (outputs.flatten(1).tanh().sum(1) - targets).square()


def networks(name: str) -> Iterator[tuple[nn.Sequential, Tensor]]:
    """Yield networks of a layer that map a batch to a batch, with one."""
    info = LAYERS[name]
    for training in (True, False) if info.train_and_eval_differ else (True,):
        found = info.module_inputs_func(info, "cpu", torch.float64, requires_grad=False, training=training)
        for one in spread([sample for sample in found if sample.forward_input is not None], 4):
            given = one.forward_input
            tensors = [leaf for leaf in tree_leaves((given.args, given.kwargs)) if isinstance(leaf, Tensor)]
            if len(tensors) != 1 or tensors[0].dtype != torch.float64 or tensors[0].ndim < 2 or not len(tensors[0]):
                continue
            torch.manual_seed(0)
            layer = info.module_cls(*one.constructor_input.args, **one.constructor_input.kwargs)
            network = nn.Sequential(Scaled(), layer).double().train(training)
            outputs = deepcopy(network)(tensors[0])
            if isinstance(outputs, Tensor) and outputs.shape[:1] == tensors[0].shape[:1]:
                yield network, tensors[0]


def difference(network: nn.Sequential, inputs: Tensor, space: str) -> float:
    """Return how far losses, steps and buffers are from those of the same network without recordings."""
    recorded, plain = deepcopy(network), deepcopy(network)
    targets, far = torch.randn(len(inputs)).double(), 0.0
    step, of_plain = fast_forward_gradient(METHOD, SPACES[space](recorded, loss), recorded), SPACES[space](plain, loss)
    for number in range(STEPS):
        inputs = inputs + 0.1 * torch.randn_like(inputs)
        sides = []
        for model, take in ((recorded, step), (plain, lambda *batch: estimate(METHOD, of_plain, *batch))):
            torch.manual_seed(number)
            found = take(inputs.clone(), targets, torch.Generator().manual_seed(number))
            sides.append([found.loss, *found.gradients, *model.buffers()])
            with torch.no_grad():
                for weight in model.parameters():
                    weight.mul_(1.1)
        far = max(far, *((a - b).abs().max().item() / (1 + b.abs().max().item()) for a, b in zip(*sides, strict=True)))
    return far


def results(name: str) -> dict[str, int | list[str]]:
    """Return how many networks of a layer have the same steps, and what became of others."""
    same, others = 0, []
    for network, inputs in networks(name):
        for space in SPACES:
            try:
                far = difference(network, inputs, space)
            except Exception as error:  # whatever it is, it is told
                others.append(f"{space}: {type(error).__name__}: {error}")
                continue
            if far < 1e-9:
                same += 1
            else:
                others.append(f"{space}: {far:.1g} apart")
    return {"same": same, "others": others}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print(json.dumps({name: results(name) for name in LAYERS}))
