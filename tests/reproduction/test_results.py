from __future__ import annotations

import csv
import multiprocessing
import statistics
from pathlib import Path

import pytest

from frog_cli.reproduction import results, targets
from frog_cli.reproduction.figures import rows_of
from frog_cli.reproduction.report import write

TABLE1 = targets.load("table1")
FIG4 = targets.load("fig4")
FIG5 = targets.load("fig5")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of results of this test."""
    monkeypatch.setenv("FROG_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


def row(words: str, seed: int, metric: str, value: float, **more) -> dict:
    return {"request": words, "outcome": "completed", "seed": seed, metric: value, **more}


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def add_many(process: int) -> None:
    words = targets.jobs(FIG4, "paper")[process].words
    for seed in range(5):
        results.add(FIG4, "paper", "runs", [row(words, seed, "best_value", -float(seed))])


def test_rows_are_kept_in_the_order_of_the_target_and_replaced_by_the_same(place):
    first, second = (job.words for job in targets.jobs(FIG4, "paper")[:2])
    results.add(FIG4, "paper", "runs", [row(second, 1, "best_value", -1.5), row(second, 0, "best_value", 2.0)])
    results.add(FIG4, "paper", "runs", [row(first, 0, "best_value", 3.0), row(second, 0, "best_value", 4.0)])
    found = results.read(FIG4, place, "runs")
    assert [(one["request"], one["seed"]) for one in found] == [(first, "0"), (second, "0"), (second, "1")]
    assert [one["best_value"] for one in found] == ["3.0", "4.0", "-1.5"]  # a negative number is no formula


def test_processes_that_add_at_the_same_time_lose_nothing(place):
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        pool.map(add_many, range(4))
    found = results.read(FIG4, place, "runs")
    assert len({(one["request"], one["seed"]) for one in found}) == len(found) == 20


def test_what_has_no_row_is_missing_seed_by_seed():
    job, *others = targets.jobs(FIG4, "paper")
    results.add(FIG4, "paper", "runs", [row(job.words, seed, "best_value", 1.0) for seed in (0, 3)])
    assert results.missing(FIG4, "paper") == [job._replace(seeds=(1, 2, 4)), *others]


def test_tables_have_mean_and_spread_what_is_missing_and_what_was_published(place):
    job = next(job for job in targets.jobs(TABLE1, "paper") if "resnet18 data=mnist gradient=backprop" in job.words)
    values = [0.5, 0.4]
    metric = "best_test_error_percent"
    results.add(TABLE1, "paper", "runs", [row(job.words, seed, metric, value) for seed, value in enumerate(values)])
    (path,) = results.tabulate(TABLE1, place)
    rows = {one["request"]: one for one in table(path)}
    assert len(rows) == 32
    ours = rows[job.words]
    assert float(ours[f"{metric}_mean"]) == pytest.approx(statistics.fmean(values))
    assert float(ours[f"{metric}_std"]) == pytest.approx(statistics.stdev(values))
    assert (ours["runs"], ours["missing"]) == ("2", "1")
    assert float(ours[f"{metric}_published"]) == 0.48
    assert float(ours[f"{metric}_difference"]) == pytest.approx(-0.03)
    assert ours[f"{metric}_published_within_spread"] == "yes"
    other = rows[job.words.replace("data=mnist", "data=cifar10")]
    assert (other["runs"], other["missing"], other[f"{metric}_mean"]) == ("0", "3", "")
    assert float(other[f"{metric}_published"]) == 25.79
    assert other[f"{metric}_published_within_spread"] == ""


def test_every_published_error_of_table_1_has_its_place(place):
    (path,) = results.tabulate(TABLE1, place)
    published = table(targets.folder("sweeps") / "published" / "table1_best_test_error_percent.csv")
    shown = [one for one in table(path) if one["best_test_error_percent_published"]]
    assert len(shown) == len(published) == 32


def test_diverged_runs_are_counted_and_have_no_part_in_statistics(place):
    job = targets.jobs(FIG4, "paper")[0]
    results.add(FIG4, "paper", "runs", [row(job.words, 0, "best_value", 1.0)])
    results.add(FIG4, "paper", "runs", [row(job.words, 1, "best_value", None) | {"outcome": "diverged"}])
    (path,) = results.tabulate(FIG4, place)
    ours = table(path)[0]
    assert (ours["diverged"], ours["runs"], ours["best_value_mean"]) == ("1", "2", "1.0")


def test_tables_are_the_same_bytes_each_time(place):
    for job in targets.jobs(FIG4, "paper")[:6]:
        results.add(FIG4, "paper", "runs", [row(job.words, seed, "best_value", 0.1 * seed) for seed in range(5)])
    (path,) = results.tabulate(FIG4, place)
    before = path.read_bytes()
    path.unlink()
    results.tabulate(FIG4, place)
    assert path.read_bytes() == before


def test_runs_from_several_starts_are_one_row(place):
    target = targets.load("fomoh_rosenbrock_10d")
    first, second = targets.jobs(target, "paper")[:2]
    assert first.words.replace("start_seed=0", "start_seed=1") == second.words
    for job, value in ((first, 1.0), (second, 2.0)):
        results.add(target, "paper", "runs", [row(job.words, seed, "best_value", value) for seed in range(5)])
    (path,) = results.tabulate(target, place)
    rows = table(path)
    assert len(rows) == 10  # K = 2 to 10, and Newton
    assert rows[0]["request"].endswith("gradient.k=2 objective.start_seed=0,1,2,3,4,5,6,7,8,9")
    assert (rows[0]["runs"], rows[0]["missing"], rows[0]["best_value_median"]) == ("10", "40", "1.5")
    assert rows[-1]["missing"] == "10"


def test_rows_outside_the_grid_of_a_target_are_kept_and_not_used(place):
    target = targets.load("fomoh_rosenbrock_10d")
    job, before = targets.jobs(target, "paper")[0], "experiment=fomoh_rosenbrock_10d steps=1000 gradient=newton"
    rows = [
        row(job.words, 0, "best_value", 1.0),
        row(job.words, 7, "best_value", 2.0),
        row(before, 0, "best_value", 3.0),
    ]
    results.add(target, "paper", "runs", rows)
    assert len(results.read(target, place, "runs")) == 3
    assert [one["best_value"] for one in results.of_grid(target, place, "runs", "paper")] == ["1.0"]
    assert rows_of(target, place)["runs"]["best_value"].tolist() == [1.0]
    (path,) = results.tabulate(target, place)
    assert sum(int(one["runs"]) for one in table(path)) == 1


def test_the_report_shows_published_values_of_runs_that_are_missing_and_the_values_of_studies(place):
    results.add(FIG5, "paper", "quality", [
        {"request": FIG5.paper.quality[0], "gradient": "mean", "tangents": "normalised_cone", "angle": 15, "k": 16,
         "seeds": 1000, "cosine_mean": 0.1234, "norm_ratio_mean": 0.4321}
    ])  # fmt: skip
    report = write(place).read_text()
    assert "| 32, none of them is run |" in report
    assert "gradient=backprop | 0 | 3 | 0 | missing | missing | missing | 0.48 |" in report
    assert "| mean | normalised_cone | 15 | 16 | 1000 | 0.1234 | 0.4321 |" in report
    assert "Table 2, Fig. 4 and 7 | 0 | 27 | not available to us |" in report
    assert "Fig. 6 | 0 | 72 | as a picture only |" in report
    assert (place / "table1.csv").exists()


def test_the_report_shows_medians_where_the_picture_does(place):
    target = targets.load("fomoh_rosenbrock_2d")
    job = targets.jobs(target, "paper")[0]
    results.add(target, "paper", "runs", [row(job.words, seed, "best_value", seed**3) for seed in range(3)])
    report = write(place).read_text()
    assert "| request | runs | missing | diverged | best value median | best value min | best value max |" in report
    assert f"| {job.words} | 3 | 7 | 0 | 1 | 0 | 8 |" in report


def test_only_what_waits_for_a_run_is_missing_in_the_report(place):
    target = targets.load("fomoh_logistic_regression")
    job, other = targets.jobs(target, "paper")[:2]
    results.add(target, "paper", "runs", [row(job.words, 0, "best_validation_loss", 0.5)])
    report = write(place).read_text()
    assert f"| {job.words} | 1 | 4 | 0 | 0.5 |  |" in report  # one run has no deviation
    assert f"| {other.words} | 0 | 5 | 0 | missing | missing |" in report
