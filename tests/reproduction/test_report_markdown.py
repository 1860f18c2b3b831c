from __future__ import annotations

from frog_cli.reproduction import stored_rows, targets
from frog_cli.reproduction.report import write
from tests.reproduction.made_up_rows import row

FIG5 = targets.load("fig5")


def test_the_report_shows_published_values_of_runs_that_are_missing_and_the_values_of_studies(place):
    stored_rows.add(FIG5, "paper", "quality", [
        {"request": FIG5.paper.quality[0], "gradient": "mean", "tangents": "normalised_cone", "angle": 15, "k": 16,
         "seeds": 1000, "cosine_mean": 0.1234, "norm_ratio_mean": 0.4321}
    ])  # fmt: skip
    report = write(place)[0].read_text()
    assert "| 32, none of them is run |" in report
    assert "gradient=backprop | 0 | 3 | 0 | missing | missing | missing | 0.48 |" in report
    assert "| mean | normalised_cone | 15 | 16 | 1000 | 0.1234 | 0.4321 |" in report
    assert "Table 2, Fig. 4 and 7 | 0 | 27 | not available to us |" in report
    assert "Fig. 6 | 0 | 72 | as a picture only |" in report
    assert (place / "table1.csv").exists()


def test_the_report_shows_medians_where_the_picture_does(place):
    target = targets.load("fomoh_rosenbrock_2d")
    job = targets.jobs(target, "paper")[0]
    stored_rows.add(target, "paper", "runs", [row(job.words, seed, "best_value", seed**3) for seed in range(3)])
    report = write(place)[0].read_text()
    assert "| request | runs | missing | diverged | best value median | best value min | best value max |" in report
    assert f"| {job.words} | 3 | 7 | 0 | 1 | 0 | 8 |" in report


def test_only_what_waits_for_a_run_is_missing_in_the_report(place):
    target = targets.load("fomoh_logistic_regression")
    job, other = targets.jobs(target, "paper")[:2]
    stored_rows.add(target, "paper", "runs", [row(job.words, 0, "best_validation_loss", 0.5)])
    report = write(place)[0].read_text()
    assert f"| {job.words} | 1 | 4 | 0 | 0.5 |  |" in report  # one run has no deviation
    assert f"| {other.words} | 0 | 5 | 0 | missing | missing |" in report
