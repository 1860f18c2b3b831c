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


def test_a_claim_without_runs_at_the_papers_scale_is_judged_by_those_of_a_laptop(place, searches):
    """The curves of width 1024 stand for those of width 4096, with the scale and the number of runs."""
    fig6 = targets.load("fig6")
    claim = "projection trains slightly more smoothly than the mean (shown for w = 4096). | arXiv 2410.17764, IV-D | "
    assert f"{claim}not run yet | papers' |  | in [fig6](#fig6) |" in write(place)[0].read_text()
    runs, curves = [], []
    for job in targets.jobs(fig6, "laptop"):
        options = job.options
        if job.kind == "train" and options["model.width"] == "1024" and options.get("gradient.k") == "16":
            losses = [8, 4, 2, 1] if options["gradient"] == "projection" else [8, 4, 8, 4]
            about = {"model": "mlp", "width": 1024, "gradient": options["gradient"], "k": 16, "data_variant": "mnist"}
            runs += [row(job.words, seed, "best_test_error_percent", 4.0 + seed, **about) for seed in (0, 1)]
            curves += [
                {"request": job.words, "seed": seed, "epoch": epoch, "test_loss": loss}
                for seed in (0, 1) for epoch, loss in enumerate(losses)
            ]  # fmt: skip
    stored_rows.add(fig6, "laptop", "runs", runs)
    stored_rows.add(fig6, "laptop", "curves", curves)
    report = write(place)[0].read_text()
    assert f"{claim}cannot be told | laptop | 4 runs, 2 seeds, 1 network | in [fig6](#fig6) |" in report
    assert "in 2 of 2 pairs of runs (so many or more by chance: 0.25)" in report
    assert " and 1.4 (seeds 0, 1) | laptop |" in report  # log 2 up and down twice
    assert "Fig. 6 | 0 | 72 | as a picture only | - | - | 4 | 92 | - |" in report
    assert "| 1024 | projection | 16 | missing | 4.5 (4 to 5), 2 of 3 runs |" in report
    assert fig6.reductions.strip() in report
    assert "Table: [laptop/fig6.csv](laptop/fig6.csv), 24 rows.\n" in report
    assert (place / "laptop" / "fig6.csv").exists()


def test_a_claim_with_runs_at_both_scales_has_a_verdict_on_each(place):
    fig6 = targets.load("fig6")
    for scale, errors in (("paper", {"1": 8.0, "16": 3.0}), ("laptop", {"1": 8.0, "16": 9.0})):
        for job in targets.jobs(fig6, scale):
            options = job.options
            if (job.kind, options["model.width"], options["gradient"]) == ("train", "256", "mean"):
                error = errors.get(options["gradient.k"])
                about = {"model": "mlp", "width": 256, "gradient": "mean", "k": options["gradient.k"]}
                if error is not None:
                    rows = [row(job.words, seed, fig6.metrics[0], error, **about) for seed in (0, 1)]
                    stored_rows.add(fig6, scale, "runs", rows)
    lines = [
        line for line in write(place)[0].read_text().splitlines() if "test errors of networks, 16 the lowest. |" in line
    ]
    verdicts = [line.split(" | ")[2:5] for line in lines[:2]]
    basis = "4 runs, 2 seeds, 1 network"
    assert verdicts == [["holds", "papers'", basis], ["does not hold as stated", "laptop", basis]]


def test_what_is_missing_at_the_papers_scale_has_its_cost(place):
    report = write(place)[0].read_text()
    costs = report[report.index("## What we could not run") : report.index("## What the papers claim")]
    for name in ("fig6", "table1", "fomoh_cnn", "learning_rates"):
        assert f"| [{name}](#{name}) | " in costs
        assert targets.load(name).cost.strip() in costs


def test_the_report_of_a_smoke_test_tells_of_nothing_else(place):
    report = write(place, "smoke")[0].read_text()
    assert "Fig. 6 | 0 | 8 | as a picture only | - | - |  |  |  |" in report
    assert "What we could not run" not in report
    assert not (place / "laptop").exists()
