"""frog quality: how well estimates approximate a gradient: a known one, or that of a network while it trains."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import yaml

from frog_cli.errors import RequestError
from frog_cli.files.atomic import write_atomically
from frog_cli.files.csv import Row, as_csv, read_csv
from frog_cli.runs import execution
from frog_cli.runs.environment import environment
from frog_cli.runs.folder import runs_root
from frog_cli.runs.identity import digest
from frog_cli.settings import composing, methods, option_help
from frog_cli.settings.requests import quality_request, train_request
from frog_cli.settings.schema import ClassificationRun
from frog_cli.settings.verb_options import Quality

HELP = """usage: frog quality [option=value ...]

Of a network, given with data=, model= or experiment= and any options of frog train: train it, compare its estimates
with the true gradient after each epoch, and draw cosine similarity (1 is the same direction) and norm ratio (1 is the
same length) by layer. Several values of an option are compared with each other. Runs that are done are not repeated.
  frog quality data=digits tangents=normal,local               local tangents beside random ones
  frog quality data=digits model=mlp gradient.k=1,4,16 epochs=10 seeds=3 quality.batches=16

Without a network, approximate the gradient (1, .., 1) of n dimensions from k tangents, for every combination of the
lists given and over many seeds, and compare the estimates with it:
  frog quality                                                     Fig. 3 of the first paper
  frog quality 'k=[16,64]' 'gradients=[mean,projection]' 'tangents=[normalised_cone]' 'angles=[15,30,45,60,75,90]'
  frog quality 'ideas=[my_ideas.py]' 'tangents=[normal,laplace]'   a sampler of your own beside one of frog's

options without a network, their defaults, and in brackets what is allowed:
"""


OF_NETWORKS = ("data", "model", "experiment")
"""Options of which one says that a network is studied."""

BATCHES = 8
"""On so many batches estimates are compared with the gradient, if nothing else is said."""


def help_text() -> str:
    """Return the usage with every option and its default."""
    return HELP + option_help.of_verb("quality", Quality)


def main(arguments: Sequence[str]) -> int:
    """Carry out `frog quality` and return its exit status: 0 done, 1 a run of a network failed or diverged."""
    if any(word.partition("=")[0] in OF_NETWORKS for word in arguments):
        return _of_network(arguments)
    request = quality_request(arguments)
    settings = request.settings
    folder = runs_root() / f"quality-n{settings.n}-{digest(request.identity)}"

    import pandas

    from frog_cli.objectives import devices
    from frog_cli.runs.progress import Progress
    from frog_cli.studies.quality import estimators, study
    from frog_cli.studies.quality_pictures import draw

    with Progress(len(list(estimators(request))), "estimator") as progress:
        rows = study(request, progress)
    folder.mkdir(exist_ok=True)
    write_atomically(folder / "config.yaml", yaml.safe_dump(settings.model_dump(), sort_keys=False))
    write_atomically(folder / "quality.csv", as_csv(rows))
    device = str(devices.device(settings.device))
    about = {"device": device, **environment(device)}
    write_atomically(folder / "run.json", json.dumps(about, indent=2) + "\n")
    draw(pandas.read_csv(folder / "quality.csv")).savefig(folder / "quality.png", dpi=150)
    print(f"{len(rows)} estimators, {rows[0]['seeds']} seeds each, n = {settings.n}")
    print(f"  table    {folder / 'quality.csv'}")
    print(f"  picture  {folder / 'quality.png'}")
    return 0


def _of_network(arguments: Sequence[str]) -> int:
    """Train networks, compare their estimates with the true gradient, and write table and picture."""
    usual = [] if any(word.startswith("quality.batches=") for word in arguments) else [f"quality.batches={BATCHES}"]
    combinations = list(composing.sweep([*arguments, *usual]))
    requests = [train_request(combination) for combination in combinations]
    first = requests[0].runs[0]
    if not isinstance(first, ClassificationRun) or first.quality.batches is None:
        raise RequestError("quality.batches=null", "must be a number of batches, which the gradient is compared on")
    execution.check(requests)

    import pandas

    from frog_cli.studies.network_quality import by_layer, draw

    parent, rows, failed = runs_root(), [], 0
    for request, name in zip(requests, composing.varying(combinations), strict=True):
        for result in execution.carry_out(request, parent):
            if result.failure is not None:
                failed += 1
                print(f"frog: {result.folder.path.name}: {result.failure}", file=sys.stderr)
            if result.error is not None:
                continue
            method = name or methods.of_run(result.folder.run).name_of_runs()
            about: Row = {"method": method, "seed": result.folder.run.seed, "run": result.folder.path.name}
            rows += by_layer(about, read_csv(result.folder.path / "metrics.csv"))
    if not rows:
        return 1
    folder = parent / f"quality-{first.model.name}-{digest({'words': combinations})}"
    folder.mkdir(exist_ok=True)
    write_atomically(folder / "quality.csv", as_csv(rows))
    draw(pandas.read_csv(folder / "quality.csv", dtype={"layer": str})).savefig(folder / "quality.png", dpi=150)
    print(f"  table    {folder / 'quality.csv'}")
    print(f"  picture  {folder / 'quality.png'}")
    return 1 if failed else 0
