"""The command `frog`: hands the words after a verb to the verb's module, which alone imports what it needs."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from importlib.metadata import version
from typing import Any

from frog_cli.errors import InProgressError, Interrupted, RequestError, WorkerLostError, in_one_line

VERBS = {
    "train": "one run of anything that is minimised; -m for a sweep",
    "search": "the best learning rate, alone or under mpiexec",
    "submit": "hand another verb to Slurm as a batch job",
    "data": "download data sets, as on a login node",
    "info": "the network and data that options lead to, without training",
    "reproduce": "every run behind a figure or table of the papers",
    "table": "all runs as one table, or the results of a target",
    "plot": "the picture of a target, from the rows of its runs",
    "bench": "what a step costs: time and memory beside a plain pass and backprop",
    "quality": "approximation quality of gradient estimates, without training",
    "ideas": "the tangents, aggregations, step rules, functions, models and data sets that there are",
    "check": "whether ideas of one's own keep the contract of their kind",
    "evaluate": "how well a network that a run has trained does, on any data",
}

CHOOSING = ("train", "search")  # whose options depend on other words

HELP = """usage: frog VERB [option=value ...]

Train without backpropagation, and check what is claimed about it.

verbs:
{verbs}

frog VERB --help    the options of a verb, with their defaults
frog --version      the version of frog
frog --completion SHELL    completion for bash, zsh or fish, as in: source <(frog --completion bash)

environment:
  FROG_DATA     folder with data sets (default: data)
  FROG_RUNS     folder that run folders are made in (default: runs)
  FROG_SWEEPS   folder whose searched/ gets what searches find, for learning_rate=searched (default: sweeps)
  FROG_IDEAS    files and modules with ideas of your own, separated by commas
  FROG_RESULTS  folder of the rows, tables and pictures of frog reproduce (default: results)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a frog command; exit status 0 done, 1 a run failed, 2 a wrong request, 128 + n stopped by signal n."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    verb = words.pop(0) if words else "--help"
    if verb in ("-h", "--help", "help"):
        print(HELP.format(verbs="\n".join(f"  {name:<10} {what}" for name, what in VERBS.items())), end="")
        return 0
    if verb == "--completion":
        verb = "completion"
    if verb == "--version":
        print(f"frog {version('frog-cli')}")
        return 0
    try:
        if verb not in (*VERBS, "completion"):
            close = "".join(f", did you mean {name}?" for name in get_close_matches(verb, VERBS, n=1))
            raise RequestError(verb, f"must be one of {', '.join(VERBS)}{close}; see frog --help")
        module = import_module(f"frog_cli.verbs.{verb}")
        if {"-h", "--help"} & set(words):
            print(module.help_text(words) if verb in CHOOSING else module.help_text(), end="")
            return 0
        with warnings.catch_warnings():
            warnings.showwarning = partial(_tell, otherwise=warnings.showwarning)
            status: int = module.main(words)
    except RequestError as error:
        print(in_one_line(error), file=sys.stderr)
        return 2
    except Interrupted as interrupted:
        print(in_one_line(interrupted), file=sys.stderr)
        return interrupted.status
    except (WorkerLostError, InProgressError) as ended:
        print(f"frog: {ended}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("frog: interrupted", file=sys.stderr)
        return 130
    return status


def _tell(
    message: Warning | str, category: type[Warning], *where: Any, otherwise: Callable[..., None], **more: Any
) -> None:
    """Tell a warning of frog in one line, one of others as Python does."""
    if category.__module__.startswith("frog_cli."):
        print(f"frog: {message}", file=sys.stderr)
    else:
        otherwise(message, category, *where, **more)
