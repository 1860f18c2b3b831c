"""frog plot: the pictures of targets, drawn anew from the rows of their runs alone."""

from __future__ import annotations

from collections.abc import Sequence

from frog_cli.errors import RequestError
from frog_cli.reproduction import report, targets
from frog_cli.reproduction.stored_rows import results_folder

HELP = """usage: frog plot TARGET ...

Draw results/TARGET.png and .pdf anew from the rows in results/TARGET/, and write results/README.md.
learning_rates also draws the pictures of all searches anew, from the tables in sweeps/searched (or below FROG_SWEEPS).
Targets: {targets}, or all.
"""


def help_text() -> str:
    """Return the usage."""
    return HELP.format(targets=", ".join(targets.names()))


def main(arguments: Sequence[str]) -> int:
    """Carry out `frog plot` and return its exit status."""
    if not arguments:
        raise RequestError("frog plot", f"needs targets: {', '.join(targets.names())}, all")
    chosen = targets.chosen(arguments)

    from frog_cli.reproduction.figures import by_target

    for target in chosen:
        paths = by_target.draw(target, results_folder())
        if not paths and len(chosen) == 1:
            raise RequestError(target.name, f"has no rows yet; frog reproduce {target.name} makes them")
        print(*paths, sep="\n")
    for path in report.write_if_about(chosen, results_folder()):
        print(path)
    return 0
