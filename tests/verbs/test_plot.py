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
    assert main(["plot"]) == main(["plot", "scale=laptop"]) == 2
    assert main(["plot", "fig9"]) == 2


def test_a_laptops_pictures_and_tables_have_a_folder_of_their_own_and_say_their_scale(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FROG_RESULTS", str(tmp_path))
    assert main(["plot", "fig6", "scale=laptop"]) == 2
    told = "frog: fig6: has no rows yet; frog reproduce fig6 scale=laptop makes them\n"
    assert capsys.readouterr().err == told
    fig6 = targets.load("fig6")
    for job in [job for job in targets.jobs(fig6, "laptop") if job.kind == "train"][:1]:
        about = {"outcome": "completed", "gradient": "backprop", "width": 64, "data_variant": "mnist"}
        rows = [{"request": job.words, "seed": seed, "best_test_error_percent": 5.0, **about} for seed in job.seeds]
        curves = [{"request": job.words, "seed": 0, "epoch": epoch, "test_loss": 1.0} for epoch in range(3)]
        stored_rows.add(fig6, "laptop", "curves", curves)
        stored_rows.add(fig6, "laptop", "runs", rows)
    for verb in ("table", "plot"):
        assert main([verb, "fig6", "scale=laptop"]) == 0
    made = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("fig6*") if path.is_file()}
    assert made >= {"laptop/fig6.csv", "laptop/fig6.png", "laptop/fig6.pdf", "fig6.csv"}  # the report writes all tables
    assert "fig6.png" not in made
    report = (tmp_path / "README.md").read_text()
    assert "(laptop/fig6.png)" in report
    assert not (tmp_path / "laptop" / "README.md").exists()
    assert main(["plot", "fig6", "scale=huge"]) == 2
