"""Searches, alone and under mpiexec: what they find, what they keep when killed."""

from __future__ import annotations

import csv
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from frog_cli.cli import main
from frog_cli.errors import RequestError
from frog_cli.settings.requests import train_request

MPIEXEC = shutil.which("mpiexec") or str(Path(sys.executable).with_name("mpiexec"))
SPHERE = ["objective=sphere", "objective.n=9", "gradient.k=4", "steps=40", "record_every=13"]
DIGITS = ["epochs=2", "data.limit=100", "model.width=8"]


@pytest.fixture(autouse=True)
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that searches of this test write to."""
    monkeypatch.setenv("FROG_SWEEPS", str(tmp_path / "sweeps"))
    return tmp_path / "sweeps" / "searched"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def evaluations(runs: Path) -> dict[str, dict]:
    return {
        path.name: json.loads(path.read_text(encoding="utf-8"))
        for path in runs.glob("search-*/[0-9][0-9][0-9][0-9][0-9].json")
    }


def test_a_search_writes_what_learning_rate_searched_finds(runs, sweeps, capsys):
    assert main(["search", *SPHERE, "search.evaluations=12"]) == 0
    told = capsys.readouterr().out
    (found,) = table(next(sweeps.glob("learning_rates_*.csv")))
    listed = table(next(sweeps.glob("evaluations_*.csv")))
    assert next(sweeps.glob("*.png")).stat().st_size > 5000
    assert [int(row["number"]) for row in listed] == list(range(12))
    best = min(float(row["loss"]) for row in listed if row["outcome"] in ("completed", "stopped_early"))
    assert float(found["search_loss"]) == best
    assert "the best of 12 evaluations" in told

    assert "with learning_rate=searched searched.evaluations=12\n" in told

    asked = [*SPHERE, "learning_rate=searched", "searched.evaluations=12"]
    (run,) = train_request(asked).runs
    assert run.learning_rate == float(found["learning_rate"])
    assert main(["train", *asked, "seeds=5"]) == 0
    assert f"frog: learning_rate=searched: {found['learning_rate']}, from {sweeps}" in capsys.readouterr().err
    values = [json.loads(path.read_text())["best_value"] for path in runs.glob("sphere-*/summary.json")]
    assert sum(values) / len(values) == pytest.approx(best, rel=1e-14)  # a trial is exactly what frog train runs


def test_a_search_in_another_interval_or_with_fewer_seeds_hides_no_other(sweeps, capsys):
    usual, narrow = ["search.evaluations=5", "seeds=2"], ["search.evaluations=5", "search.high=-3", "seeds=1"]
    for options in (
        usual,
        narrow,
        ["search.evaluations=5", "seeds=1"],
        ["search.evaluations=5", "search.seed=1", "seeds=1"],
    ):
        assert main(["search", *SPHERE, *options]) == 0
    assert len(list(sweeps.glob("learning_rates_*.csv"))) == 4
    asked = [*SPHERE, "learning_rate=searched", "searched.evaluations=5"]
    (note,) = train_request(asked).notes
    assert "2seeds" in note  # most runs
    (note,) = train_request([*asked, "searched.high=-3"]).notes
    assert "high-3.0" in note
    with pytest.raises(RequestError, match=r"to take another's, add .*searched\.evaluations=5 searched\.high=-3\.0"):
        train_request([*SPHERE, "learning_rate=searched"])
    capsys.readouterr()


def test_a_search_that_is_done_is_not_repeated_and_can_be_made_longer(runs, capsys):
    assert main(["search", *SPHERE, "search.evaluations=5"]) == 0
    before = evaluations(runs)
    assert main(["search", *SPHERE, "search.evaluations=5"]) == 0
    assert evaluations(runs) == before
    assert main(["search", *SPHERE, "search.evaluations=8"]) == 0
    after = evaluations(runs)
    assert len(after) == 8
    assert {name: after[name] for name in before} == before
    capsys.readouterr()


def test_a_best_rate_at_an_end_of_the_grid_asks_for_a_wider_one(runs, sweeps, capsys):
    grid = [*SPHERE, "search.method=grid", "search.evaluations=3"]
    assert main(["search", *grid, "search.low=-6", "search.high=-5"]) == 0
    assert (
        "at the upper end of what was searched; a better one may lie above: search.high=-4\n" in capsys.readouterr().out
    )
    assert main(["search", *grid, "search.low=-3", "search.high=1"]) == 0
    assert "at an end" not in capsys.readouterr().out


def test_no_search_hides_another(runs, sweeps):
    """Whatever it differs in: seeds, options of the optimiser, or that it has fewer evaluations."""
    grid = [*SPHERE, "search.method=grid", "search.evaluations=2"]
    momenta = ["optimizer.options.momentum=0.9", "optimizer.options.dampening=0.1"]
    for words in ([*grid, "seeds=[0,1]"], [*grid, "seeds=[2,3]"], [*grid, *momenta], [*grid, *momenta[::-1]]):
        assert main(["search", *words]) == 0
    assert len([*sweeps.glob("learning_rates_*.csv")]) == len([*runs.glob("search-*")]) == 3
    for count in (4, 3):
        assert main(["search", *SPHERE, f"search.evaluations={count}"]) == 0
        (found,) = sweeps.glob(f"evaluations_*-{count}evaluations-*.csv")
        assert len(table(found)) == count
        assert train_request([*SPHERE, "learning_rate=searched", f"searched.evaluations={count}"])


def test_networks_are_judged_by_their_lowest_validation_loss(runs, sweeps):
    assert main(["search", *DIGITS, "search.evaluations=4", "seeds=2"]) == 0
    (found,) = table(next(sweeps.glob("learning_rates_*.csv")))
    losses = []
    (search,) = runs.glob("search-*")
    for path in (search / "trials").glob("*/*/summary.json"):
        settings = yaml.safe_load(path.with_name("config.yaml").read_text())
        if settings["learning_rate"] == float(found["learning_rate"]):
            losses.append(json.loads(path.read_text())["best_validation_loss"])
    assert len(losses) == 2
    assert float(found["search_loss"]) == pytest.approx(sum(losses) / 2, rel=1e-12)


def test_further_hyperparameters_join(runs, sweeps):
    also = "search.also={batch_size: [16, 32], schedule.factor: {low: 0.2, high: 0.8, log: false}}"
    assert main(["search", *DIGITS, "schedule.name=every", also, "search.evaluations=4"]) == 0
    (found,) = table(next(sweeps.glob("learning_rates_*.csv")))
    assert found["batch_size"] in ("16", "32")
    assert 0.2 <= float(found["search_also_schedule.factor"]) <= 0.8
    searched = ["learning_rate=searched", "batch_size=searched", "searched.evaluations=4", "schedule.name=every"]
    of_found = f"schedule.factor={found['search_also_schedule.factor']}"
    (run,) = train_request([*DIGITS, *searched, of_found]).runs
    assert run.batch_size == int(found["batch_size"])
    with pytest.raises(RequestError, match=f"there is one with {of_found}"):
        train_request([*DIGITS, *searched, "schedule.factor=0.9"])


def test_a_grid_needs_no_propulate_and_another_number_of_points_is_another_grid(runs, sweeps, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "propulate", None)  # whose import fails
    grid = [*SPHERE, "search.method=grid", "search.low=-3", "search.high=-1"]
    for count in (3, 5):
        assert main(["search", *grid, f"search.evaluations={count}"]) == 0
    tried = {len(folder): folder for folder in map(table, sweeps.glob("evaluations_*.csv"))}
    for count, logarithms in {3: [-3, -2, -1], 5: [-3, -2.5, -2, -1.5, -1]}.items():
        rates = [math.log10(float(row["learning_rate"])) for row in tried[count]]
        assert rates == pytest.approx(logarithms, abs=1e-12)
    (found,) = table(next(sweeps.glob("learning_rates_*5evaluations*.csv")))
    assert found["search_method"] == "grid"
    asked = "learning_rate=searched searched.evaluations=5 searched.low=-3.0 searched.high=-1.0"
    assert f"with {asked}\n" in capsys.readouterr().out
    (run,) = train_request([*SPHERE, *asked.split()]).runs
    best = min((row for row in tried[5] if row["outcome"] != "diverged"), key=lambda row: float(row["loss"]))
    assert run.learning_rate == float(best["learning_rate"])


def test_with_lengths_from_the_curvature_their_factor_is_searched(runs, sweeps, capsys):
    words = [*SPHERE, "learning_rate=curvature", "search.evaluations=12", "search.low=-1", "search.high=0.5"]
    assert main(["search", *words]) == 0
    (found,) = table(next(sweeps.glob("learning_rates_*.csv")))
    tried = table(next(sweeps.glob("evaluations_*.csv")))
    best = min((row for row in tried if row["loss"]), key=lambda row: float(row["loss"]))
    assert found["step.factor"] == best["step.factor"]
    assert "learning_rate" not in found
    assert len({row["loss"] for row in tried}) > 1  # it has an effect
    told = f"learning_rate=curvature step.factor={float(found['step.factor']):.4g}"
    assert told in capsys.readouterr().out
    assert next(sweeps.glob("*.png")).stat().st_size > 0
    with pytest.raises(RequestError, match="none is known"):  # no rate was searched
        train_request([*SPHERE, "learning_rate=searched", "searched.evaluations=12"])
    assert main(["search", *words, "step.factor=0.3"]) == 2
    assert "step.factor=0.3: is what is searched" in capsys.readouterr().err


def test_a_run_clearly_worse_than_the_best_is_given_up_and_never_the_result(runs, sweeps):
    options = ["search.evaluations=25", "search.patience=2", "search.low=-6", "search.high=-0.5"]
    assert main(["search", *SPHERE, "steps=200", *options]) == 0
    listed = table(next(sweeps.glob("evaluations_*.csv")))
    given_up = [row for row in listed if row["outcome"] == "given up"]
    assert given_up
    assert all(int(row["rows"]) < 21 for row in given_up)
    (found,) = table(next(sweeps.glob("learning_rates_*.csv")))
    assert float(found["learning_rate"]) not in [float(row["learning_rate"]) for row in given_up]


def test_equal_proposals_do_not_get_in_each_others_way(runs):
    assert main(["search", *SPHERE, "search.evaluations=3", "search.low=-2", "search.high=-1.9999999999999998"]) == 0
    found = evaluations(runs).values()
    assert len({content["values"]["learning_rate"] for content in found}) < len(found) == 3


def test_a_search_of_runs_that_all_diverge_says_so(capsys):
    run = ["objective=rosenbrock", "objective.n=16", "gradient=sum", "gradient.k=16", "steps=200"]
    assert main(["search", *run, "search.evaluations=3", "search.low=1", "search.high=2"]) == 1
    assert "none of 3 runs ended well" in capsys.readouterr().err


def test_the_folder_of_another_search_is_refused(runs, capsys):
    assert main(["search", *SPHERE, "search.evaluations=1"]) == 0
    (path,) = runs.glob("search-*/settings.yaml")
    path.write_text(path.read_text().replace("seed: 0", "seed: 1"))
    assert main(["search", *SPHERE, "search.evaluations=1"]) == 2
    assert "holds another search" in capsys.readouterr().err


def test_a_search_in_progress_is_refused(runs, capsys):
    assert main(["search", *SPHERE, "search.evaluations=1"]) == 0
    (path,) = runs.glob("search-*")
    about = {"host": "elsewhere", "process": 1, "started": "1", "since": "now"}
    (path / "lock").write_text(json.dumps(about))
    assert main(["search", *SPHERE, "search.evaluations=2"]) == 2
    assert "is in progress: process 1 on elsewhere" in capsys.readouterr().err


def test_a_searched_rate_that_is_missing_is_an_error():
    with pytest.raises(RequestError, match=r"^learning_rate=searched: none is known for function=sphere"):
        train_request([*SPHERE, "learning_rate=searched"])


def command(count: int | None, *overrides: str) -> list[str]:
    launcher = [] if count is None else [MPIEXEC, "-n", str(count)]
    return [*launcher, sys.executable, "-m", "frog_cli", "search", *SPHERE, *overrides]


def needs_mpiexec() -> None:
    if not Path(MPIEXEC).exists():
        pytest.skip("needs mpiexec")


@pytest.mark.first
def test_several_processes_share_one_search(runs):
    needs_mpiexec()
    done = subprocess.run(command(3, "search.evaluations=12"), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert len(evaluations(runs)) == 12
    assert {content["rank"] for content in evaluations(runs).values()} == {0, 1, 2}
    assert done.stdout.count("the best of 12 evaluations") == 1


@pytest.mark.parametrize("failure", ["raise ValueError('the trial broke')", "os.kill(os.getpid(), 9)"])
def test_a_trial_that_breaks_or_is_killed_on_one_rank_ends_all(failure):
    needs_mpiexec()
    program = f"""
import os, sys
from frog_cli import cli
from frog_cli.search import execution
evaluate = execution._evaluate
def breaking(plan, folder, record, number, values, ranks):
    if ranks.rank == 1:
        {failure}
    evaluate(plan, folder, record, number, values, ranks)
execution._evaluate = breaking
sys.exit(cli.main(["search", *{SPHERE!r}, "search.evaluations=40"]))
"""
    done = subprocess.run(
        [MPIEXEC, "-n", "2", sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode not in (0, 2)
    assert "ValueError: the trial broke" in done.stderr or "ValueError" not in failure


def killed_and_resumed(runs: Path, kills: int, seed: int) -> None:
    """Kill a search of 60 evaluations at random times, resume it with other numbers of processes, let it end."""
    needs_mpiexec()
    chance = random.Random(seed)
    known: dict[str, dict] = {}
    for attempt in range(kills):
        count = chance.choice([None, 2, 4])
        process = subprocess.Popen(
            command(count, "search.evaluations=60"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        time.sleep(chance.uniform(0.5, 8.0))
        _kill_all(process)
        after = evaluations(runs)
        assert {name: after.get(name) for name in known} == known, f"lost or changed by kill {attempt}"
        known = after
    done = subprocess.run(command(2, "search.evaluations=60"), capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    after = evaluations(runs)
    assert {name: after[name] for name in known} == known
    assert sorted(content["number"] for content in after.values()) == list(range(60))
    assert all(math.isfinite(content["loss"]) or content["outcome"] == "diverged" for content in after.values())


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    """Kill a command with all processes that it has started, whatever session they are in."""
    family = [process.pid]
    for pid in family:
        children = Path(f"/proc/{pid}/task/{pid}/children")
        family += [int(child) for child in children.read_text().split()] if children.exists() else []
    for pid in family:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    if process.stderr:
        process.stderr.close()


@pytest.mark.first
def test_a_killed_search_goes_on_with_other_numbers_of_processes(runs):
    killed_and_resumed(runs, kills=2, seed=0)


@pytest.mark.slow
def test_twenty_kills_lose_nothing(runs):
    killed_and_resumed(runs, kills=20, seed=1)
