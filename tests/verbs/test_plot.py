from __future__ import annotations

from frog_cli.cli import main
from frog_cli.reproduction import stored_rows, targets


def test_pictures_and_tables_are_made_anew_from_rows_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FROG_RESULTS", str(tmp_path))
    target = targets.load("fig5")
    runs = [
        {"request": job.words, "seed": seed, "outcome": "completed", "gradient": "mean", "k": 16, "n": 64,
         "angle": 15 + index, "best_value": -2000.0 - seed}
        for index, job in enumerate(targets.jobs(target, "paper")[:3]) for seed in job.seeds
    ]  # fmt: skip
    stored_rows.add(target, "paper", "runs", runs)
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
