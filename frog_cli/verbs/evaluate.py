"""frog evaluate: how well a network that a run has trained does, on the run's own data or on others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from frog_cli.data import locations
from frog_cli.errors import RequestError
from frog_cli.settings.requests import train_request
from frog_cli.settings.schema import ClassificationRun

HELP = """usage: frog evaluate RUN [which=best|last] [device=DEVICE] [data=NAME] [data.option=value ...]

Measure loss and error of the network in the folder of a finished run, on each split of the run's own data or of others,
normalised as the run's were. which=best takes the weights with the lowest validation loss, last those at the end.
  frog evaluate runs/mlp256-digits-projection-k16-seed0-..
  frog evaluate runs/mlp256-mnist-mean-k4-seed0-.. which=last data=image_folder data.root=~/my_digits data.size=[28,28]

The device and the options of data are those of frog train; see frog train data=image_folder --help.
"""


def help_text() -> str:
    """Return the usage."""
    return HELP


def main(arguments: Sequence[str]) -> int:
    """Carry out `frog evaluate` and return its exit status."""
    if not arguments or "=" in arguments[0]:
        raise RequestError("frog evaluate", "needs the folder of a run first, such as runs/NAME")
    folder, *words = arguments
    if not Path(folder).is_dir():
        raise RequestError(folder, "is no folder")
    which = [word.partition("=")[2] for word in words if word.startswith("which=")]
    if len(which) > 1 or which[:1] not in ([], ["best"], ["last"]):
        raise RequestError(f"which={which[-1]}", "must be best or last, once")
    of_run = [word for word in words if not word.startswith("which=")]
    for word in of_run:
        if not word.startswith(("data=", "data.", "ideas=", "device=")):
            raise RequestError(word, "must be which=, device= or an option of the data; see frog evaluate --help")
    of_data = [word for word in of_run if not word.startswith("device=")]
    if of_data and not any(word.startswith("data=") for word in of_data):
        raise RequestError(of_data[0], "needs data=NAME in front; without it the run's own data are taken as they were")
    asked = train_request([*of_run, "learning_rate=1"]).runs[0]
    assert isinstance(asked, ClassificationRun)
    if of_data:
        locations.check(asked.data)

    from frog_cli.data.dataset import load as load_data
    from frog_cli.objectives import devices
    from frog_cli.objectives.evaluation import evaluator
    from frog_cli.runs.trained import load

    device = devices.chosen(asked.device)
    trained = load(folder, "last" if which == ["last"] else "best")
    devices.set_precision(trained.settings.tf32)
    settings = asked.data if of_data else trained.settings.data
    locations.check(settings)
    data = load_data(settings, device, trained.normalisation)
    image = tuple(data.training.images.shape[1:])
    if image != trained.image or data.classes > trained.classes:
        raise RequestError(
            f"data={settings.name}",
            f"has images {list(image)} of {data.classes} classes; the network is for {list(trained.image)} and "
            f"{trained.classes}",
        )
    names = locations.class_names(settings)
    if names is not None and trained.class_names is not None and names != trained.class_names[: len(names)]:
        raise RequestError(
            f"data.root={settings.options['root']}",
            f"has the classes {', '.join(names)}; those of the network are {', '.join(trained.class_names)}",
        )
    measure = evaluator(trained.network.to(device), trained.settings.evaluation_batch_size)
    print(f"{Path(folder).name}, weights after epoch {trained.epoch}, on {settings.variant}:")
    print(f"{'split':<12}{'images':>8}{'loss':>10}{'error':>10}")
    for name, split in zip(data._fields, data[:3], strict=False):
        loss, accuracy = measure(split)
        print(f"{name:<12}{len(split.labels):>8}{loss:>10.4f}{100 - accuracy:>8.2f} %")
    return 0
