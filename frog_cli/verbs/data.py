"""frog data: download data sets before runs need them, as on the login node of a cluster."""

from __future__ import annotations

from collections.abc import Sequence

from frog_cli.data.locations import FILES
from frog_cli.errors import RequestError
from frog_cli.ideas import sources
from frog_cli.settings.requests import train_request
from frog_cli.settings.schema import ClassificationRun

HELP = """usage: frog data NAME ...

Download data sets to FROG_DATA (default: data) through torchvision, unless they are there, and check them.
Names: {names}. The digits are a part of frog.
"""


def help_text() -> str:
    """Return the usage."""
    return HELP.format(names=", ".join(FILES))


def main(arguments: Sequence[str]) -> int:
    """Carry out `frog data` and return its exit status."""
    if not arguments:
        raise RequestError("frog data", f"needs names of data sets: {', '.join(FILES)}")
    for name in arguments:
        if name not in FILES:
            raise RequestError(name, f"must be one of {', '.join(FILES)}")
    requests = [train_request([f"data={name}", "data.download=true"]) for name in arguments]

    for request in requests:
        run = request.runs[0]
        assert isinstance(run, ClassificationRun)
        (images, _), (test_images, _), _ = sources.imported(run.data)()
        root = run.data.options["root"]
        print(f"{run.data.name}: {len(images)} training and {len(test_images)} test images in {root}")
    return 0
