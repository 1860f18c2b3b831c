"""frog table: all runs as one table, or the results of a target of frog reproduce beside what was published."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from frog_cli.errors import RequestError
from frog_cli.files.atomic import write_atomically
from frog_cli.files.csv import as_csv
from frog_cli.reproduction import report, tables, targets
from frog_cli.reproduction.command import split_scale
from frog_cli.reproduction.stored_rows import results_folder
from frog_cli.runs.all_runs import rows_of_folder
from frog_cli.runs.folder import runs_location

HTML = "--html"

HELP = """usage: frog table runs [FILE]
       frog table TARGET ... [scale=laptop] [--html]
       frog table --html

runs: write a row for each run in FROG_RUNS, done or not: its settings, its result, and on what it ran.
Without FILE the table goes to standard output. Runs may go on and finish meanwhile.

TARGET: write results/TARGET.csv anew from the rows of its runs: mean and spread over the seeds, what is missing, and
what was published, if anything was; and results/README.md, which tells of all scales. Targets: {targets}, or all.

  scale     paper, or laptop: results/laptop/TARGET.csv; or smoke
  --html    write results/index.html, too, which is not written otherwise: all that results/README.md says, as one page
            that works offline, with its pictures and with tables that a click sorts; alone: for all targets
"""


def help_text() -> str:
    """Return the usage."""
    return HELP.format(targets=", ".join(targets.names()))


def main(arguments: Sequence[str]) -> int:
    """Carry out `frog table` and return its exit status: 1 if something in the folder is not a run."""
    if not arguments:
        raise RequestError("frog table", f"needs runs, or targets: {', '.join(targets.names())}, all")
    if arguments[0] != "runs":
        return _of_targets(arguments)
    if len(arguments) > 2 or HTML in arguments or arguments[-1].startswith("scale="):
        raise RequestError(f"table {' '.join(arguments)}", "must be frog table runs, or frog table runs FILE")
    parent = runs_location()
    if not parent.is_dir():
        raise RequestError(f"FROG_RUNS={parent}", "is not a folder")
    found, refused = rows_of_folder(parent)
    for why in refused:
        print(f"frog: {why}", file=sys.stderr)
    text = as_csv(found)
    if len(arguments) == 2:
        write_atomically(Path(arguments[1]), text)
    else:
        print(text, end="")
    return 1 if refused else 0


def _of_targets(arguments: Sequence[str]) -> int:
    """Write the tables of targets, and the pages about all results."""
    scale, words = split_scale(arguments)
    flags = [word for word in words if word.startswith("--")]
    for flag in flags:
        if flag != HTML:
            raise RequestError(flag, f"must be {HTML}")
    chosen = targets.chosen([word for word in words if word not in flags] or ["all"])
    if flags and not report.is_about(chosen):
        raise RequestError(HTML, "makes a page of frog's own targets: it must stand alone, or behind one of them")
    paths = []
    for target in chosen:
        own = targets.own_scale(target, scale)
        paths += tables.write_tables(target, results_folder(own), own)
    print(*paths, *report.write_if_about(chosen, scale, with_html=bool(flags)), sep="\n")
    return 0
