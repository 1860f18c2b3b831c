"""frog plot: the pictures of targets, drawn anew from the rows of their runs alone."""

from __future__ import annotations

from collections.abc import Sequence

from frog_cli.errors import RequestError
from frog_cli.reproduction import report, targets
from frog_cli.reproduction.command import split_scale
from frog_cli.reproduction.stored_rows import results_folder

HELP = """usage: frog plot TARGET ... [scale=laptop]

Draw results/TARGET.png and .pdf anew from the rows in results/TARGET/, and write results/README.md; with scale=laptop
those in results/laptop/, with scale=smoke those of a smoke test.
learning_rates also draws the pictures of all searches anew, from the tables in sweeps/searched (or below FROG_SWEEPS).
Targets: {targets}, or all.
"""


def help_text() -> str:
    """Return the usage."""
    return HELP.format(targets=", ".join(targets.names()))


def main(arguments: Sequence[str]) -> int:
    """Carry out `frog plot` and return its exit status."""
    scale, words = split_scale(arguments)
    if not words:
        raise RequestError("frog plot", f"needs targets: {', '.join(targets.names())}, all")
    chosen = targets.chosen(words)

    from frog_cli.reproduction.figures import by_target

    for target in chosen:
        own = targets.own_scale(target, scale)
        paths = by_target.draw(target, results_folder(own), own)
        if not paths and len(chosen) == 1:
            words = [target.name] if scale == "paper" else [target.name, f"scale={scale}"]
            raise RequestError(target.name, f"has no rows yet; frog reproduce {' '.join(words)} makes them")
        print(*paths, sep="\n")
    for path in report.write_if_about(chosen, scale):
        print(path)
    return 0
