"""Targets of a user's own: a file anywhere, with ideas of the user's own."""

from __future__ import annotations

import pytest

from frog_cli.cli import main
from frog_cli.errors import RequestError
from frog_cli.files.csv import read_csv
from frog_cli.reproduction import missing_jobs, stored_rows, targets
from frog_cli.runs.identity import digest, slug
from frog_cli.runs.lock import locked
from frog_cli.search.identity import identity_settings
from frog_cli.settings.requests import search_request, train_request
from tests.test_outside_ideas import IDEAS

TARGET = """
title: Laplace tangents beside normal ones
train:
  - ideas=[my_ideas.py] objective=sphere objective.n=4 steps=20 tangents=normal,laplace learning_rate=0.01 seeds=2
  - ideas=[my_ideas.py] objective=sphere objective.n=4 steps=20 gradient=clipped_mean learning_rate=0.01 seeds=2
quality:
  - ideas=[my_ideas.py] k=[4] seeds=5 tangents=[normal,laplace] gradients=[clipped_mean]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FROG_RESULTS", str(tmp_path / "results"))
    (tmp_path / "my_ideas.py").write_text(IDEAS)
    (tmp_path / "my_target.yaml").write_text(TARGET)
    return tmp_path


def rows(folder, kind: str) -> list[dict[str, str]]:
    return read_csv(folder / "results" / "my_target" / f"{kind}.csv")


def left(folder) -> list[str]:
    return [job.kind for job in stored_rows.missing(targets.load_file(folder / "my_target.yaml"), "paper")]


def test_a_target_of_ones_own_is_made_and_an_edited_idea_makes_its_rows_anew(folder, runs, capsys):
    assert main(["reproduce", "my_target.yaml", "workers=1"]) == 0
    out = capsys.readouterr().out
    assert "my_target: done" in out
    names = ("my_target.csv", "my_target_quality.csv", "my_target.png", "my_target_quality.png")
    assert all(f"{folder}/results/{name}" in out for name in names)
    assert not (folder / "results" / "README.md").exists()  # which is about frog's own targets
    made = rows(folder, "runs")
    assert [row["tangents"] for row in made] == ["normal"] * 2 + ["laplace"] * 2 + ["normal"] * 2
    assert [bool(row["tangents.sha256"]) for row in made] == [False] * 2 + [True] * 2 + [False] * 2
    (summary,) = [row for row in read_csv(folder / "results" / "my_target.csv") if row["tangents.scale"]]
    values = [float(row["best_value"]) for row in made[2:4]]
    assert float(summary["best_value_mean"]) == pytest.approx(sum(values) / 2, rel=1e-12)
    assert left(folder) == []

    (folder / "my_ideas.py").write_text(IDEAS.replace("scale: float = 1.0", "scale: float = 2.0"))
    assert left(folder) == ["train", "train", "quality"]  # what normal tangents and a frog's aggregation gave is done
    assert main(["reproduce", "my_target.yaml", "workers=1"]) == 0
    assert [row["tangents.scale"] for row in rows(folder, "runs")] == ["", "", "2.0", "2.0", "", ""]
    assert left(folder) == []


def test_rows_whose_idea_is_gone_are_read(folder, runs, capsys):
    assert main(["reproduce", "my_target.yaml", "workers=1"]) == 0
    (folder / "my_ideas.py").unlink()
    assert left(folder) == []
    assert main(["table", "my_target.yaml"]) == 0
    assert main(["plot", "my_target.yaml"]) == 0


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("none.yaml", None, "none.yaml: cannot be read: "),
        ("mine.yaml", "title: [", "mine.yaml: cannot be read: while parsing"),
        ("mine.yaml", "title: 3", "mine.yaml: must say what is run, under train, quality, search"),
        ("mine.yaml", "train: 3", "mine.yaml, train: must be a valid list"),
        ("mine.yaml", "train: []\nfoo: 3", "mine.yaml, foo: "),
        ("fig3.yaml", "train: []", "fig3.yaml: must have a name of its own"),
        ("a b.yaml", "train: []", "a b.yaml: must have a name of its own"),
    ],
)
def test_wrong_files_are_refused(name, text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(RequestError) as refused:
        targets.chosen([name])
    assert str(refused.value).startswith(message)


def test_two_files_of_one_name_are_refused(folder):
    (folder / "other").mkdir()
    (folder / "other" / "my_target.yaml").write_text(TARGET.replace("seeds=2", "seeds=3"))
    with pytest.raises(RequestError, match=r"other/my_target.yaml: must have another name: my_target.yaml has it"):
        targets.chosen(["my_target.yaml", "other/my_target.yaml"])


def test_searches_come_before_the_runs_that_look_up_what_they_find(tmp_path, runs, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FROG_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("FROG_SWEEPS", str(tmp_path / "sweeps"))
    sphere, rate = "objective=sphere objective.n=4 steps=20", "learning_rate=searched searched.evaluations=3"
    (tmp_path / "my_search.yaml").write_text(
        f"train: ['{sphere} gradient=mean,projection learning_rate=searched searched.evaluations=3']\n"
        f"search: ['{sphere} gradient=mean,projection search.method=grid search.evaluations=3 seeds=1']\n"
    )
    assert main(["reproduce", "--dry-run", "my_search.yaml"]) == 0
    planned = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert planned == ["search", "search", "train", "train"]
    assert main(["reproduce", "my_search.yaml", "workers=1"]) == 0
    assert "my_search: done" in capsys.readouterr().out
    made = read_csv(tmp_path / "results" / "my_search" / "runs.csv")
    searched = {
        row["gradient"]: float(row["learning_rate"])
        for path in (tmp_path / "sweeps" / "searched").glob("learning_rates_*.csv")
        for row in read_csv(path)
    }
    assert {row["gradient"]: float(row["learning_rate"]) for row in made} == searched
    (table,) = (tmp_path / "results").glob("my_search.csv")
    assert [row["missing"] for row in read_csv(table)] == ["0", "0"]  # of the runs, not of the searches

    found = next((tmp_path / "sweeps" / "searched").glob("learning_rates_*mean*.csv"))
    text = found.read_text()
    found.write_text(text.replace(str(searched["mean"]), "0.0123"))  # as a longer search might
    own = targets.load_file(tmp_path / "my_search.yaml")
    assert [job.words for job in stored_rows.missing(own, "paper")] == [f"{sphere} gradient=mean {rate}"]
    found.write_text("search_request\n")
    assert [job.kind for job in stored_rows.missing(own, "paper")] == ["search"]  # the run is all that is left of it

    path = tmp_path / "results" / "my_search" / "runs.csv"
    path.write_text(path.read_text().replace(f",{searched['mean']},", ",0.0123,"))  # a search found this before
    assert main(["reproduce", "my_search.yaml", "workers=1"]) == 0  # search and run
    assert {row["gradient"]: float(row["learning_rate"]) for row in read_csv(path)} == searched
    assert stored_rows.missing(own, "paper") == []


SPHERE = "objective=sphere objective.n=4 steps=20"
GRID = "search.method=grid search.evaluations=3"


@pytest.fixture
def alone(tmp_path, runs, monkeypatch):
    """Let all that a test makes be in its own folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FROG_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("FROG_SWEEPS", str(tmp_path / "sweeps"))
    return tmp_path


def test_a_search_of_somebody_else_changes_no_rate_of_a_target(alone, capsys):
    """Neither one with more seeds, whose rate everybody else gets, nor one that differs in how it gives up runs."""
    train = f"{SPHERE} gradient=mean learning_rate=searched searched.evaluations=3"
    words = f"train: ['{train} seeds=SEEDS']\nsearch: ['{SPHERE} gradient=mean {GRID} seeds=1']\n"
    (alone / "mine.yaml").write_text(words.replace("SEEDS", "1"))
    assert main(["reproduce", "mine.yaml", "workers=1"]) == 0
    (made,) = read_csv(alone / "results" / "mine" / "runs.csv")
    for others in (["seeds=[5,6]"], ["seeds=1", "search.patience=3"]):
        assert main(["search", *SPHERE.split(), "gradient=mean", *GRID.split(), *others]) == 0
    found = list((alone / "sweeps" / "searched").glob("learning_rates_*.csv"))
    assert len(found) == 3
    more_seeds = next(path for path in found if "2seeds" in path.name)
    (row,) = read_csv(more_seeds)
    more_seeds.write_text(more_seeds.read_text().replace(row["learning_rate"], "0.0123"))
    assert train_request(train.split()).runs[0].learning_rate == 0.0123
    assert stored_rows.missing(targets.load_file(alone / "mine.yaml"), "paper") == []
    (alone / "mine.yaml").write_text(words.replace("SEEDS", "2"))
    assert main(["reproduce", "mine.yaml", "workers=1"]) == 0
    rates = [one["learning_rate"] for one in read_csv(alone / "results" / "mine" / "runs.csv")]
    assert rates == [made["learning_rate"]] * 2


def test_a_search_with_an_idea_that_has_changed_is_made_anew(alone):
    (alone / "my_ideas.py").write_text(IDEAS)
    (alone / "mine.yaml").write_text(f"search: ['ideas=[my_ideas.py] tangents=laplace {SPHERE} {GRID} seeds=1']")
    own = targets.load_file(alone / "mine.yaml")
    assert main(["reproduce", "mine.yaml", "workers=1"]) == 0
    assert stored_rows.missing(own, "paper") == []
    (alone / "my_ideas.py").write_text(IDEAS.replace("scale: float = 1.0", "scale: float = 2.0"))
    assert [job.kind for job in stored_rows.missing(own, "paper")] == ["search"]
    assert main(["reproduce", "mine.yaml", "workers=1"]) == 0
    assert stored_rows.missing(own, "paper") == []


def test_runs_wait_for_a_search_that_another_command_makes(alone, runs, capsys):
    both = f"{SPHERE} gradient=mean,projection"
    train = f"['{both} learning_rate=searched searched.evaluations=3 seeds=2', '{SPHERE} learning_rate=0.1']"
    (alone / "mine.yaml").write_text(f"train: {train}\nsearch: ['{both} {GRID} seeds=1']\n")
    own = targets.load_file(alone / "mine.yaml")
    searches = [search_request(job.arguments) for job in targets.jobs(own, "paper") if job.kind == "search"]
    plan = next(plan for plan in searches if plan.request.runs[0].gradient.name == "projection")
    name = f"search-{slug(plan.request.runs[0])}-{digest(identity_settings(plan))}"
    with locked(runs / name):
        assert main(["reproduce", "mine.yaml", "workers=1"]) == 1
    told = capsys.readouterr()
    assert "mine: 4 of 7 done" in told.out
    of_search, of_runs = (line for line in told.err.splitlines() if line.startswith("frog: mine"))
    assert of_search.startswith(f"frog: mine, {SPHERE} gradient=projection {GRID} seeds=1: {runs / name}: ")
    assert of_runs == "frog: mine, 2 runs: no rate without a search that is not done"
    assert main(["reproduce", "mine.yaml", "workers=1"]) == 0
    assert stored_rows.missing(own, "paper") == []


def test_a_damaged_run_keeps_no_others_from_becoming_rows(alone, runs, capsys):
    (alone / "mine.yaml").write_text(f"train: ['{SPHERE} learning_rate=0.1 seeds=[4,2]']")
    assert main(["reproduce", "mine.yaml", "workers=1"]) == 0
    path = alone / "results" / "mine" / "runs.csv"
    whole = path.read_text()
    path.unlink()
    (damaged,) = runs.glob("*seed2*")
    text = (damaged / "run.json").read_text()
    (damaged / "run.json").write_text("")
    capsys.readouterr()
    assert main(["reproduce", "mine.yaml", "workers=1"]) == 1
    assert f"mine: {damaged} cannot be read, delete it to run it again: " in capsys.readouterr().err
    assert [row["seed"] for row in read_csv(path)] == ["4"]
    (damaged / "run.json").write_text(text)
    assert main(["reproduce", "mine.yaml", "workers=1"]) == 0
    assert path.read_text() == whole


def test_one_seed_may_be_given_as_seed(alone):
    (alone / "mine.yaml").write_text(f"train: ['{SPHERE} learning_rate=0.1 seed=3', '{SPHERE} learning_rate=0.2']")
    jobs = targets.jobs(targets.load_file(alone / "mine.yaml"), "paper")
    assert [(job.words.split()[-1], job.seeds) for job in jobs] == [
        ("learning_rate=0.1", (3,)),
        ("learning_rate=0.2", (0,)),
    ]


def test_targets_of_ones_own_have_one_size(alone, capsys):
    (alone / "mine.yaml").write_text(f"train: ['{SPHERE} learning_rate=0.1']")
    assert main(["reproduce", "mine.yaml", "scale=smoke"]) == 2
    assert "scale=smoke: is for frog's own targets; mine.yaml has one size only" in capsys.readouterr().err


def test_what_another_command_has_made_meanwhile_is_no_failure(alone, monkeypatch, capsys):
    (alone / "mine.yaml").write_text(f"train: ['{SPHERE} learning_rate=0.1 seeds=2']")
    make, there = missing_jobs.make, []

    def make_beside_another(*given):
        yield from make(*given)
        there.extend(read_csv(alone / "results" / "mine" / "runs.csv"))
        yield "mine, some run: another process is carrying it out"

    monkeypatch.setattr(missing_jobs, "make", make_beside_another)
    assert main(["reproduce", "mine.yaml", "workers=1"]) == 0
    assert len(there) == 2
    assert "another process" not in capsys.readouterr().err
    monkeypatch.setattr(missing_jobs, "make", lambda *given: iter(["mine, some run: it failed"]))
    (alone / "mine.yaml").write_text(f"train: ['{SPHERE} learning_rate=0.1 seeds=3']")
    assert main(["reproduce", "mine.yaml", "workers=1"]) == 1
    assert "frog: mine, some run: it failed\n" in capsys.readouterr().err
