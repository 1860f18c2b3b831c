"""frog info: what a run would train, without training it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from frog_cli.data import locations
from frog_cli.errors import RequestError
from frog_cli.ideas import sources
from frog_cli.settings.requests import train_request
from frog_cli.settings.schema import ClassificationRun

HELP = """usage: frog info [option=value ...]

Show the network that the options of frog train lead to: its layers, their activities and parameters, and the data.
Examples:
  frog info model=vit
  frog info model=resnet18 model.grouping=fine data=mnist

The options are those of frog train; see frog train --help.
"""


def help_text() -> str:
    """Return the usage."""
    return HELP


def main(arguments: Sequence[str]) -> int:
    """Carry out `frog info` and return its exit status."""
    run = train_request(arguments).runs[0]
    if not isinstance(run, ClassificationRun):
        raise RequestError("frog info", "shows networks, which only objective=classification has")
    locations.check(run.data)

    import torch

    from frog_cli.data.dataset import load
    from frog_cli.gradients.activities import activity_sizes
    from frog_cli.modules.requirements import coupling_modules

    data = load(run.data, torch.device("cpu"))
    image = tuple(data.training.images.shape[1:])
    model = sources.imported(run.model)(image, data.classes)
    layers, activities = [model], None
    if isinstance(model, torch.nn.Sequential):
        layers, activities = list(model), activity_sizes(model, data.training.images[:2])
    parameters = [sum(parameter.numel() for parameter in layer.parameters()) for layer in layers]

    print(f"data        {run.data.name}: images {' x '.join(map(str, image))}, {data.classes} classes, ", end="")
    print(", ".join(f"{len(split.labels)} {name}" for name, split in zip(data._fields, data[:3], strict=False)))
    print(
        f"steps       {math.ceil(len(data.training.labels) / run.batch_size)} per epoch of batch size {run.batch_size}"
    )
    print(f"model       {run.model.name}\n\n{'layer':>5}  {'activities':>10}  {'parameters':>10}  modules")
    sizes = ["none"] if activities is None else [str(size) for size in activities]
    rows = zip(layers, sizes, parameters, strict=True)
    for number, (layer, size, count) in enumerate(rows, start=1):
        names = ", ".join(type(module).__name__ for module in layer.children()) or type(layer).__name__
        print(f"{number:>5}  {size:>10}  {count:>10}  {names}")
    print(f"{'all':>5}  {sum(activities) if activities else 'none':>10}  {sum(parameters):>10}")
    if activities is None:
        print("\nA network that is no torch.nn.Sequential of layers has no activities, only gradient.perturb=weights.")
    print("\nn, the dimension of the tangents, is the number of activities with gradient.perturb=activities,")
    print("and the number of parameters with gradient.perturb=weights.")
    coupling = coupling_modules(model)
    if coupling:
        print(f"\n{len(coupling)} modules normalise by the batch ({coupling[0]}, ..), which couples its samples:")
        print("slopes of activities measured forward do not estimate the gradient. gradient.measure=simulated,")
        print("gradient.perturb=weights and model.norm=group do.")
    return 0
