from __future__ import annotations

import csv
import statistics
from pathlib import Path

import pytest

from frog_cli.reproduction import stored_rows, tables, targets
from frog_cli.reproduction.frames import read_frames
from tests.reproduction.made_up_rows import row

TABLE1 = targets.load("table1")
FIG4 = targets.load("fig4")


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_tables_have_mean_and_spread_what_is_missing_and_what_was_published(place):
    job = next(job for job in targets.jobs(TABLE1, "paper") if "resnet18 data=mnist gradient=backprop" in job.words)
    values = [0.5, 0.4]
    metric = "best_test_error_percent"
    stored_rows.add(TABLE1, "paper", "runs", [row(job.words, seed, metric, value) for seed, value in enumerate(values)])
    (path,) = tables.write_tables(TABLE1, place)
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
    (path,) = tables.write_tables(TABLE1, place)
    published = table(targets.folder("sweeps") / "published" / "table1_best_test_error_percent.csv")
    shown = [one for one in table(path) if one["best_test_error_percent_published"]]
    assert len(shown) == len(published) == 32


def test_diverged_runs_are_counted_and_have_no_part_in_statistics(place):
    job = targets.jobs(FIG4, "paper")[0]
    stored_rows.add(FIG4, "paper", "runs", [row(job.words, 0, "best_value", 1.0)])
    stored_rows.add(FIG4, "paper", "runs", [row(job.words, 1, "best_value", None) | {"outcome": "diverged"}])
    (path,) = tables.write_tables(FIG4, place)
    ours = table(path)[0]
    assert (ours["diverged"], ours["runs"], ours["best_value_mean"]) == ("1", "2", "1.0")


def test_tables_are_the_same_bytes_each_time(place):
    for job in targets.jobs(FIG4, "paper")[:6]:
        stored_rows.add(FIG4, "paper", "runs", [row(job.words, seed, "best_value", 0.1 * seed) for seed in range(5)])
    (path,) = tables.write_tables(FIG4, place)
    before = path.read_bytes()
    path.unlink()
    tables.write_tables(FIG4, place)
    assert path.read_bytes() == before


def test_runs_from_several_starts_are_one_row(place):
    target = targets.load("fomoh_rosenbrock_10d")
    first, second = targets.jobs(target, "paper")[:2]
    assert first.words.replace("start_seed=0", "start_seed=1") == second.words
    for job, value in ((first, 1.0), (second, 2.0)):
        stored_rows.add(target, "paper", "runs", [row(job.words, seed, "best_value", value) for seed in range(5)])
    (path,) = tables.write_tables(target, place)
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
    stored_rows.add(target, "paper", "runs", rows)
    assert len(stored_rows.read(target, place, "runs")) == 3
    assert [one["best_value"] for one in stored_rows.read_current(target, place, "runs", "paper")] == ["1.0"]
    assert read_frames(target, place)["runs"]["best_value"].tolist() == [1.0]
    (path,) = tables.write_tables(target, place)
    assert sum(int(one["runs"]) for one in table(path)) == 1
