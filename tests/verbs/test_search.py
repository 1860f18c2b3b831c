"""What frog search refuses."""

from __future__ import annotations

import subprocess

import pytest

from frog_cli.cli import main
from tests.search.test_execution import command, needs_mpiexec

REFUSALS = {
    "search.low=0": "search.low=0: must be below search.high=0",
    "search.low=2 search.high=1": "search.low=2: must be below search.high=1",
    "search.low=": "search.low=: must be a finite number, the logarithm of a rate",
    "search.high=nan": "search.high=nan: must be a finite number, the logarithm of a rate",
    "search.evaluations=0": "search.evaluations=0: must be a whole number, at least 1",
    "search.evaluations=1.5": "search.evaluations=1.5: must be a whole number, at least 1",
    "search.margins=5": "search.margins=5: unknown option, did you mean search.margin?; see frog search --help",
    "search.also={batch_sice:[1,2]}": "batch_sice=1: unknown option, did you mean batch_size?; see frog train --help",
    "search.also={batch_size:[1,0]}": "batch_size=0: must be a whole number, at least 1, published or searched",
    "search.also={batch_size:[]}": "search.also.batch_size=[]: must be a list of values, "
    "or {low: .., high: .., log: true or false}",
    "search.also={gradient.k:{low:3,high:1,log:false}}": "search.also.gradient.k.low=3: must be below its high=1",
    "search.method=random": "search.method=random: must be evolution or grid",
    "search.method=grid search.also={batch_size:[32,64]}": "search.also.batch_size: needs search.method=evolution: "
    "a grid is of one number",
    "learning_rate=0.1": "learning_rate=0.1: is what is searched; search.low, search.high and search.also bound it",
    "overwrite=true": "overwrite=true: a search keeps what it has evaluated; delete its folder to start anew",
    "gradient.k=0": "gradient.k=0: must be a whole number, at least 1",
}


@pytest.mark.parametrize("request_", REFUSALS)
def test_wrong_requests_are_refused_in_one_line(request_, capsys):
    assert main(["search", *request_.split()]) == 2
    assert capsys.readouterr().err == f"frog: {REFUSALS[request_]}\n"


def test_more_processes_than_evaluations_are_refused_on_one_rank_only():
    needs_mpiexec()
    done = subprocess.run(command(3, "search.evaluations=2"), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == "frog: search.evaluations=2: must be at least one for each of 3 processes\n"
