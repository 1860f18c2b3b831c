from __future__ import annotations

from frog_cli.reproduction import stored_rows, targets
from frog_cli.reproduction.scales_side_by_side import scales_side_by_side
from tests.reproduction.made_up_rows import row

METRIC = "best_test_error_percent"


def rows_of(name: str, place, errors: dict[str, dict[str, list[float]]]) -> list[dict]:
    """Return the rows of a target whose jobs with some words have ended with some errors, by scale and by words."""
    target = targets.load(name)
    for scale, of_scale in errors.items():
        for words, values in of_scale.items():
            (job,) = [job for job in targets.jobs(target, scale) if words in job.words and job.kind == "train"]
            rows = [row(job.words, seed, target.metrics[0], value) for seed, value in enumerate(values)]
            stored_rows.add(target, scale, "runs", rows)
    return scales_side_by_side(target, {"paper": place, "laptop": place / "laptop"})


def test_table_1_has_published_errors_beside_ours_whichever_images_stand_for_cifar10(place):
    table = rows_of("table1", place, {
        "paper": {"model=resnet18 data=cifar10 gradient=backprop": [25.0, 26.0, 27.6]},
        "laptop": {"width=8 data=image_folder data.variant=cifar10_jpeg data.stands_for=cifar10 data.limit=8000 "
                   "data.validation=1000 batch_size=64 epochs=8 gradient=backprop": [40.0, 41.5]},
    })  # fmt: skip
    assert len(table) == 32
    assert list(table[0]) == ["model", "data", "gradient", "k", "published", "papers' scale", "laptop's scale"]
    (found,) = [
        one for one in table if (one["model"], one["data"], one["gradient"]) == ("resnet18", "cifar10", "backprop")
    ]
    assert (found["k"], found["published"]) == ("", "25.79")
    assert found["papers' scale"] == "26.2 (25 to 27.6)"
    assert found["laptop's scale"] == "40.75 (40 to 41.5), 2 of 3 runs"
    assert all(one["papers' scale"] == one["laptop's scale"] == "missing" for one in table if one is not found)


def test_settings_of_one_scale_only_have_no_value_at_the_other(place):
    table = rows_of("fig6", place, {
        "paper": {"width=256 gradient=backprop": [2.0]},
        "laptop": {"width=64 data.limit=16000 data.validation=1000 epochs=10 gradient=backprop": [5.0, 6.0, 7.0]},
    })  # fmt: skip
    of_width = {one["width"]: one for one in table if one["gradient"] == "backprop"}
    assert list(of_width) == ["256", "1024", "4096", "64"]
    assert [of_width[width]["papers' scale"] for width in of_width] == ["2, 1 of 3 runs", "missing", "missing", ""]
    assert [of_width[width]["laptop's scale"] for width in of_width] == ["missing", "missing", "", "6 (5 to 7)"]


def test_runs_with_and_without_a_schedule_have_rows_of_their_own(place):
    table = rows_of("fomoh_cnn", place, {})
    methods = [(one["gradient"], one["k"], one["schedule"]) for one in table]
    assert len(methods) == len({*methods}) == 9
    assert ("fomoh", "", "every") in methods
    assert ("fomoh", "", "") in methods
