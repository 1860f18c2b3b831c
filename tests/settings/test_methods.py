"""What a method is called: by runs, in tables, in the papers and where steps are measured."""

from __future__ import annotations

import math

import pandas
import pytest

from frog_cli.files.csv import as_csv
from frog_cli.settings import methods
from frog_cli.settings.methods import Method
from frog_cli.settings.requests import train_request

CONE = ["objective=sphere", "objective.n=8", "tangents=normalised_cone", "tangents.angle=22.5", "learning_rate=1"]
ACTIVITIES = ["model=mlp", "gradient.k=16", "gradient.chunk_size=4", "gradient.measure=simulated"]

RUNS = [
    (["gradient=backprop", "tangents=rademacher"], Method("backprop")),
    (ACTIVITIES, Method("projection", 16, "normal", None, "activities", "simulated", 4)),
    (["gradient=mean", "gradient.k=1"], Method("mean", 1, "normal", None, "activities", "forward")),
    (CONE, Method("projection", 16, "normalised_cone", 22.5, None, "forward")),  # functions have only weights
    (["gradient=fomoh_kd", "gradient.k=3", "tangents=normalised"], Method("fomoh_kd", 3, "normalised")),
    (["gradient=fomoh", "tangents=cone", "tangents.angle=90"], Method("fomoh", None, "cone", 90.0)),
    (["objective=rosenbrock", "gradient=newton"], Method("newton")),
]


@pytest.mark.parametrize(("words", "expected"), RUNS)
def test_the_method_of_a_run_is_what_its_settings_say(words, expected):
    rate = [] if any(word.startswith("learning_rate") for word in words) else ["learning_rate=1"]
    assert methods.of_run(train_request([*words, *rate]).runs[0]) == expected


@pytest.mark.parametrize("method", [method for _, method in RUNS])
def test_the_method_of_a_row_is_that_of_the_run_it_was_written_for(method, tmp_path):
    (tmp_path / "table.csv").write_text(as_csv([method._asdict(), Method("mean", 2)._asdict()]))
    assert methods.of_row(method._asdict()) == method
    assert methods.of_row(method.columns()) == method._replace(measure=None, chunk_size=None)
    assert methods.of_row(pandas.read_csv(tmp_path / "table.csv").iloc[0]) == method
    assert methods.of_row(pandas.read_csv(tmp_path / "table.csv", dtype=str).iloc[0]) == method


@pytest.mark.parametrize(
    ("method", "columns"),
    [
        (Method("backprop"), {"gradient": "backprop"}),
        (
            Method("mean", 4, "cone", 45.0, "weights", "forward", 2),
            {"gradient": "mean", "k": 4, "tangents": "cone", "angle": "45", "perturb": "weights"},
        ),
        (Method("fomoh", None, "normal"), {"gradient": "fomoh", "tangents": "normal"}),
    ],
)
def test_columns_are_what_a_result_depends_on_in_their_order(method, columns):
    assert list(method.columns().items()) == list(columns.items())


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (Method("backprop"), "backprop"),
        (Method("projection", 16, "normal", None, "weights", "forward"), "projection-k16"),
        (Method("mean", 4, "normalised_cone", 22.5), "mean-k4-cone22.5"),
        (Method("fomoh_kd", 3, "rademacher"), "fomoh_kd-k3-rademacher"),
        (Method("fomoh", None, "regenerated"), "fomoh-regenerated"),
    ],
)
def test_names_of_runs_leave_out_normal_tangents(method, name):
    assert method.name_of_runs() == name


def test_methods_have_the_papers_names():
    named = [Method("mean", 1), Method("mean", 4), Method("fomoh_kd", 3), Method("newton"), Method("fomoh_bp")]
    assert [one.name_in_papers() for one in named] == ["$g_v$, k = 1", "mean, k = 4", "FoMoH-3D", "Newton", "FoMoH-BP"]
    rows = [{"gradient": "mean", "k": 1.0}, {"gradient": "fomoh_kd", "k": 3}, {"gradient": "newton", "k": math.nan}]
    assert [methods.of_row(row).name_in_papers() for row in rows] == ["$g_v$, k = 1", "FoMoH-3D", "Newton"]


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"gradient": "plain pass"}, "plain pass"),
        ({"gradient": "backprop with checkpoints", "tangents": math.nan}, "backprop with checkpoints"),
        ({"gradient": "backprop", "tangents": "normal", "k": None, "chunk_size": None}, "backprop"),
        (
            {"gradient": "mean", "k": 4, "measure": "forward", "perturb": "weights", "tangents": "normal"},
            "mean, forward, weights",
        ),
        (
            {
                "gradient": "sum",
                "measure": "forward",
                "perturb": "weights",
                "tangents": "regenerated",
                "chunk_size": 8.0,
            },
            "sum, forward, weights, regenerated, chunks of 8",
        ),
    ],
)
def test_steps_are_called_by_all_that_makes_them_differ_but_k(row, name):
    assert methods.of_row(row).name_of_steps() == name
    assert methods.of_row(pandas.Series(row)).name_of_steps() == name


def test_columns_of_steps_are_the_same_ones_for_every_method():
    backprop, forward = (
        methods.step_columns(train_request([*words, "learning_rate=1"]).runs[0])
        for words in (["gradient=backprop", "tangents=rademacher"], [*ACTIVITIES, "optimizer.name=Adam"])
    )
    assert backprop == dict.fromkeys(forward) | {
        "gradient": "backprop", "tangents": "rademacher", "optimizer": "SGD"
    }  # fmt: skip
    assert list(forward.items()) == [
        ("gradient", "projection"), ("k", 16), ("measure", "simulated"), ("perturb", "activities"),
        ("tangents", "normal"), ("chunk_size", 4), ("lengths", None), ("optimizer", "Adam"),
    ]  # fmt: skip
