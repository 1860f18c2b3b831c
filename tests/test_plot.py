from __future__ import annotations

from frog_cli import claims, results, targets
from frog_cli.cli import main
from frog_cli.figures import name_of, rows_of


def test_pictures_and_tables_are_made_anew_from_rows_alone(runs, monkeypatch, capsys):
    assert main(["reproduce", "fig5", "scale=smoke", "workers=1"]) == 0
    monkeypatch.setenv("FROG_RESULTS", str(runs / "smoke"))
    names = ("fig5.pdf", "fig5_quality.csv")
    before = {name: (runs / "smoke" / name).read_bytes() for name in names}
    for name in names:
        (runs / "smoke" / name).unlink()
    capsys.readouterr()
    assert main(["table", "fig5"]) == 0
    assert main(["plot", "fig5"]) == 0
    assert str(runs / "smoke" / "fig5.png") in capsys.readouterr().out
    assert {name: (runs / "smoke" / name).read_bytes() for name in names} == before


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
    rows = [
        {"request": f"{gradient} {k} {schedule}", "run": "r", "outcome": "completed", "gradient": gradient, "k": k,
         "schedule": schedule, "seed": 0, "best_validation_loss": loss, "last_validation_loss": loss - bool(schedule)}
        for gradient, k, loss in (("mean", 1, 9.0), ("fomoh", None, 8.0), ("fomoh_kd", 2, 7.0), ("fomoh_kd", 3, 6.0))
        for schedule in (None, "when_rising")
    ]  # fmt: skip
    results.add(target, "paper", "runs", rows)
    read = {name: rows_of(targets.load(name), tmp_path) for name in targets.names()}
    assert read[target.name]["runs"]["schedule"].isna().sum() == 4
    assert claims.methods_order_by_k(read).holds is True
    assert claims.schedules_help(read).holds is True
