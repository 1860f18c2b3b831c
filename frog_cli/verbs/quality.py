"""frog quality: how well forward gradients approximate a gradient, without training."""

from __future__ import annotations

import json
from collections.abc import Sequence

import yaml

from frog_cli.files.atomic import write_atomically
from frog_cli.files.csv import as_csv
from frog_cli.runs.environment import environment
from frog_cli.runs.folder import runs_root
from frog_cli.runs.identity import digest
from frog_cli.settings import option_help
from frog_cli.settings.requests import quality_request
from frog_cli.settings.verb_options import Quality

HELP = """usage: frog quality [option=value ...]

Approximate the gradient (1, .., 1) of n dimensions from k tangents, for every combination of the lists given and over
many seeds, and compare the estimate with it: cosine similarity (1 is the same direction) and norm ratio (1 is the
same length). Examples:
  frog quality                                                     Fig. 3 of the first paper
  frog quality 'k=[16,64]' 'gradients=[mean,projection]' 'tangents=[normalised_cone]' 'angles=[15,30,45,60,75,90]'
  frog quality 'ideas=[my_ideas.py]' 'tangents=[normal,laplace]'   a sampler of your own beside one of frog's

options, their defaults, and in brackets what is allowed:
"""


def help_text() -> str:
    """Return the usage with every option and its default."""
    return HELP + option_help.of_verb("quality", Quality)


def main(arguments: Sequence[str]) -> int:
    """Carry out `frog quality` and return its exit status."""
    request = quality_request(arguments)
    settings = request.settings
    folder = runs_root() / f"quality-n{settings.n}-{digest(request.identity)}"

    import pandas

    from frog_cli.runs.progress import Progress
    from frog_cli.studies.quality import estimators, study
    from frog_cli.studies.quality_pictures import draw

    with Progress(len(list(estimators(request))), "estimator") as progress:
        rows = study(request, progress)
    folder.mkdir(exist_ok=True)
    write_atomically(folder / "config.yaml", yaml.safe_dump(settings.model_dump(), sort_keys=False))
    write_atomically(folder / "quality.csv", as_csv(rows))
    about = {"device": settings.device, **environment()}
    write_atomically(folder / "run.json", json.dumps(about, indent=2) + "\n")
    draw(pandas.read_csv(folder / "quality.csv")).savefig(folder / "quality.png", dpi=150)
    print(f"{len(rows)} estimators, {rows[0]['seeds']} seeds each, n = {settings.n}")
    print(f"  table    {folder / 'quality.csv'}")
    print(f"  picture  {folder / 'quality.png'}")
    return 0
