from __future__ import annotations

from frog_cli.reproduction import stored_rows, targets
from frog_cli.reproduction.frames import describe_starts, read_frames
from tests.reproduction.made_up_rows import row, searches


def test_runs_that_start_from_their_own_seeds_are_starts():
    runs, _ = searches()
    assert describe_starts(runs.drop(columns="start_seed")) == "3 starts"
    assert describe_starts(runs[runs["gradient"] == "newton"]) == "2 starts"


def test_the_loss_of_a_diverged_run_leaves_a_column_numbers(place):
    target = targets.load("fig6")
    job = targets.jobs(target, "paper")[0]
    losses = [2.5, float("nan"), 1.5]
    curves = [{"request": job.words, "seed": 0, "epoch": epoch, "test_loss": loss} for epoch, loss in enumerate(losses)]
    stored_rows.add(target, "paper", "runs", [row(job.words, 0, target.metrics[0], 2.0)])
    stored_rows.add(target, "paper", "curves", curves)
    assert "nan" in (place / "fig6" / "curves.csv").read_text()
    column = read_frames(target, place)["curves"]["test_loss"]
    assert column.mean() == 2.0
    assert column.isna().tolist() == [False, True, False]
