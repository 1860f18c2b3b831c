"""What frog search refuses, and that whatever sweeps/definitions/ says is a search."""

from __future__ import annotations

import subprocess

import pytest
import yaml

from frog_cli.cli import main
from frog_cli.files.shipped import folder
from frog_cli.settings.config import groups, search_request, sweep
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


@pytest.mark.parametrize("path", sorted((folder("sweeps") / "definitions").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_definition_composes(path):
    definition = yaml.safe_load(path.read_text())
    assert set(definition) <= {"search", "options", "grid"}
    for line in definition["grid"]:
        combinations = list(sweep(line.split()))
        assert combinations
        for combination in (combinations[0], combinations[-1]):
            plan = search_request(combination)
            chosen = dict(word.split("=") for word in combination)
            assert path.stem == chosen.get("experiment", chosen.get("objective"))
            assert plan.search.model_dump().items() >= definition.get("search", {}).items()
            assert len(plan.request.runs) == definition.get("options", {}).get("seeds", len(plan.request.runs))


def test_every_experiment_and_function_has_a_definition():
    defined = {path.stem for path in (folder("sweeps") / "definitions").glob("*.yaml")}
    functions = [name for name in groups("train")["objective"] if name != "classification"]
    experiments = {*groups("train")["experiment"]} - {"fomoh_step"}  # which takes the rate of fomoh_rosenbrock_2d
    assert {*experiments, *functions} == defined


def test_what_is_given_counts_more_than_a_definition():
    plan = search_request(["experiment=fomoh_logistic_regression", "search.also={}", "batch_size=128"])
    assert plan.search.also == {}
    assert len(search_request(["objective=sphere", "seed=3"]).request.runs) == 1
    assert len(search_request(["objective=sphere", "seeds=2"]).request.runs) == 2
