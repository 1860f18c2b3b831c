from __future__ import annotations

from frog_cli.cli import main
from frog_cli.reproduction import claims, results, targets
from frog_cli.reproduction.figures import name_of, rows_of


def test_pictures_and_tables_are_made_anew_from_rows_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FROG_RESULTS", str(tmp_path))
    target = targets.load("fig5")
    runs = [
        {"request": job.words, "seed": seed, "outcome": "completed", "gradient": "mean", "k": 16, "n": 64,
         "angle": 15 + index, "best_value": -2000.0 - seed}
        for index, job in enumerate(targets.jobs(target, "paper")[:3]) for seed in job.seeds
    ]  # fmt: skip
    results.add(target, "paper", "runs", runs)
    assert main(["table", "fig5"]) == 0
    assert main(["plot", "fig5"]) == 0
    names = ("fig5.pdf", "fig5.csv", "README.md")
    before = {name: (tmp_path / name).read_bytes() for name in names}
    assert b"![Tangents on a cone, by its angle](fig5.png)" in before["README.md"]
    for name in names:
        (tmp_path / name).unlink()
    capsys.readouterr()
    assert main(["table", "fig5"]) == 0
    assert main(["plot", "fig5"]) == 0
    told = capsys.readouterr().out
    assert str(tmp_path / "fig5.png") in told
    assert str(tmp_path / "README.md") in told
    assert {name: (tmp_path / name).read_bytes() for name in names} == before


def test_a_target_without_rows_says_how_to_make_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FROG_RESULTS", str(tmp_path))
    assert main(["plot", "fig4"]) == 2
    assert capsys.readouterr().err == "frog: fig4: has no rows yet; frog reproduce fig4 makes them\n"
    assert main(["plot"]) == 2
    assert main(["plot", "fig9"]) == 2


def test_methods_have_the_papers_names():
    named = [("mean", 1), ("mean", 4), ("fomoh_kd", 3), ("newton", float("nan"))]
    assert [name_of(*one) for one in named] == ["$g_v$, k = 1", "mean, k = 4", "FoMoH-3D", "Newton"]


def test_runs_with_and_without_a_schedule_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("FROG_RESULTS", str(tmp_path))
    target = targets.load("fomoh_logistic_regression")
    methods = {("mean", 1): 9.0, ("fomoh", None): 8.0, ("fomoh_kd", 2): 7.0, ("fomoh_kd", 3): 6.0}
    rows = []
    for job in targets.jobs(target, "paper"):
        words = dict(word.split("=") for word in job.words.split())
        gradient, k = words["gradient"], int(words["gradient.k"]) if "gradient.k" in words else None
        schedule = None if words.get("schedule.name") == "none" else words.get("schedule.name")
        loss = methods.get((gradient, k), 1.0)
        rows.append(
            {"request": job.words, "run": "r", "outcome": "completed", "gradient": gradient, "k": k,
             "schedule": schedule, "seed": 0, "best_validation_loss": loss,
             "last_validation_loss": loss - bool(schedule)}
        )  # fmt: skip
    results.add(target, "paper", "runs", rows)
    read = {name: rows_of(targets.load(name), tmp_path) for name in targets.names()}
    assert read[target.name]["runs"]["schedule"].isna().sum() == 6  # two of them of methods that go backward
    assert claims.methods_order_by_k(read).holds is True
    assert claims.schedules_help(read).holds is True
