"""A program: the losses of some steps of networks that all ranks estimate together; rank 0 prints them as JSON."""

from __future__ import annotations

import json
import sys

import torch
from torch import Generator

from frog_cli.engine.memory import keep_freed_memory
from frog_cli.ideas import sources
from frog_cli.modules.calls import parameters_of
from frog_cli.objectives import network_steps, optimiser_and_schedule
from frog_cli.ranks import launchers
from frog_cli.ranks.grid import grid
from frog_cli.ranks.ranks import ALONE, Ranks
from frog_cli.ranks.shape import shape
from frog_cli.ranks.start import started
from frog_cli.settings.requests import train_request
from frog_cli.settings.schema import ClassificationRun


def losses(words: str, image: tuple[int, ...], steps: int, ranks: Ranks) -> list[float]:
    """Return the loss before each of some steps, and that after the last one as a sum over all weights."""
    run = train_request(words.split()).runs[0]
    assert isinstance(run, ClassificationRun)
    torch.manual_seed(1)
    images, labels = torch.randn(64, *image), torch.randint(10, (64,))
    model = sources.imported(run.model)(image, 10).train()
    parameters = parameters_of(model)
    optimizer = optimiser_and_schedule.optimizer(run, parameters)
    gradient = network_steps.batch_gradient(run, model, images, grid(ranks, shape(run.parallel, ranks.size)))
    if run.curvature_length is not None:
        gradient = network_steps.with_lengths(gradient, network_steps.step_lengths(run.curvature_length, model), model)
    generator = Generator().manual_seed(2)
    found = []
    for number in range(steps):
        batch = slice(0, 64) if number % 4 < 3 else slice(0, 61)  # the last batch of an epoch may be smaller
        estimate = network_steps.take_step(gradient, parameters, optimizer, images[batch], labels[batch], generator)
        found.append(float(estimate.loss))
        assert estimate.loss.untyped_storage().nbytes() < 10**4  # runs keep it for an epoch
    ranks.check_equal("the weights", parameters)
    return [*found, sum(float(one.detach().double().sum()) for one in parameters)]


def main() -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
    asked = json.loads(sys.argv[1])
    here = launchers.place()
    if here is None:
        print(json.dumps([losses(*one, ALONE) for one in asked]))
        return
    with started(here) as ranks:
        found = [losses(*one, ranks) for one in asked]
        if ranks.rank == 0:
            print(json.dumps(found))


if __name__ == "__main__":
    main()
