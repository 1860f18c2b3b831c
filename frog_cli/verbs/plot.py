"""frog plot: the pictures of targets, drawn anew from the rows of their runs alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from frog_cli.errors import RequestError
from frog_cli.reproduction import report, results, targets
from frog_cli.reproduction.targets import Scale, Target

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
    for target in chosen:
        paths = draw(target, results.root())
        if not paths and len(chosen) == 1:
            raise RequestError(target.name, f"has no rows yet; frog reproduce {target.name} makes them")
        print(*paths, sep="\n")
    print(report.write(results.root()))
    return 0


def draw(target: Target, place: Path, scale: Scale = "paper") -> list[Path]:
    """Draw the picture of a target as PNG and PDF and return the paths; nothing if it has no rows."""
    from frog_cli.reproduction.figures import FIGURES, rows_of
    from frog_cli.search import pictures as search_pictures

    found = rows_of(target, place, scale)
    if all(table.empty for table in found.values()):
        return []
    figure = FIGURES[target.name](found)
    paths = [place / f"{target.name}.png", place / f"{target.name}.pdf"]
    figure.savefig(paths[0], dpi=150)
    figure.savefig(paths[1], metadata={"CreationDate": None})
    return paths + (search_pictures.draw_all() if target.name == "learning_rates" else [])
