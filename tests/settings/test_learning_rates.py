from __future__ import annotations

import csv
import shutil

import pytest

from frog_cli.errors import RequestError
from frog_cli.files.csv import as_csv, read_csv
from frog_cli.files.shipped import folder
from frog_cli.settings import learning_rates
from frog_cli.settings.requests import train_request


def rate(*overrides: str) -> float:
    return train_request([*overrides, "learning_rate=published"]).runs[0].learning_rate


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["experiment=mlp_mnist", "model.width=256", "gradient=projection", "gradient.k=16"], 0.0423211210327168),
        (["experiment=mlp_mnist", "model.width=4096", "gradient=backprop"], 0.0386683655915821),
        (["objective=rosenbrock", "gradient=projection", "gradient.k=16"], 0.0018423636305031),
        (
            ["objective=styblinski-tang", "gradient=mean", "tangents=normalised_cone", "tangents.angle=15"],
            0.0260507322012745,
        ),
        (["objective=sphere", "objective.n=1", "gradient=backprop"], None),
    ],
)
def test_published_rates_are_found_by_their_columns(overrides, expected):
    found = rate(*overrides)
    assert found == expected or (expected is None and 0 < found <= 1)


@pytest.mark.parametrize(
    ("overrides", "hint"),
    [
        (["objective=rosenbrock", "gradient=projection", "gradient.k=3"], "there is one for k=16 or k=2 or k=4"),
        (["objective=rosenbrock", "objective.n=63", "gradient=backprop"], "else give a number"),
        (["experiment=mlp_mnist", "model.depth=3"], "there is one for depth=2"),
        (["experiment=mlp_mnist", "tangents=rademacher"], "there is one for tangents=normal"),
        (["experiment=mlp_mnist", "gradient.perturb=weights"], "there is one for perturb=activities"),
        (["experiment=mlp_mnist", "optimizer.name=Adam"], "optimizer=Adam"),
        (["data=digits"], "none is known for model=mlp, data=digits"),
    ],
)
def test_a_missing_rate_is_an_error_that_says_what_there_is(overrides, hint):
    with pytest.raises(RequestError, match=hint) as refusal:
        rate(*overrides)
    assert str(refusal.value).startswith("learning_rate=published: none is known for ")


def test_other_gradients_have_other_rates():
    """Slopes of other losses, and differences, whose rates must not be those of derivatives."""
    words = ["tangents=layerwise", "gradient=mean", "learning_rate=1"]
    found = {
        measure: learning_rates.factors(train_request([*words, f"gradient.measure={measure}"]).runs[0])
        for measure in ("forward", "simulated", "greedy")
    }
    assert found["forward"] == found["simulated"]
    assert found["greedy"] == {**found["forward"], "gradient.measure": "greedy"}
    words = ["gradient.measure=difference", "gradient.perturb=weights", "learning_rate=1"]
    wide = learning_rates.factors(train_request([*words, "gradient.spacing=0.1"]).runs[0])
    assert (wide["gradient.measure"], wide["gradient.spacing"]) == ("difference", "0.1")
    assert wide != learning_rates.factors(train_request(words).runs[0])
    assert {"gradient.measure", "gradient.spacing"} <= {*learning_rates.columns([wide])}


def test_no_setting_is_published_twice():
    for path in (folder("sweeps") / "published").glob("learning_rates_*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            settings = [
                tuple(value for name, value in row.items() if name not in learning_rates.FOUND)
                for row in csv.DictReader(file)
            ]
        assert len(settings) == len(set(settings)), path


def test_two_rows_for_one_setting_are_refused(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "learning_rates_twice.csv").write_text(
        "function,n,gradient,learning_rate\nsphere,64,backprop,0.1\nsphere,64,backprop,0.2\n"
    )
    monkeypatch.setattr(learning_rates, "folder", lambda name: tmp_path)
    run = train_request(["objective=sphere", "gradient=backprop", "learning_rate=1"]).runs[0]
    with pytest.raises(RequestError, match="2 are known"):
        learning_rates.look_up("learning_rate", "mine", run)


@pytest.mark.parametrize(
    "overrides",
    [
        ["objective=rosenbrock", "objective.start=random", "tangents=cone", "learning_rate=1"],
        ["experiment=mlp_mnist", "optimizer.name=Adam", "schedule.name=every", "learning_rate=1"],
        ["model=vit", "gradient=fomoh_kd"],
        ["model=resnet18", "gradient=backprop"],
    ],
)
def test_all_factors_have_a_place_among_the_columns(overrides):
    found = learning_rates.factors(train_request(overrides).runs[0])
    assert set(found) <= set(learning_rates.columns())


LONG = ["experiment=mlp_mnist", "model.width=256", "gradient=mean", "gradient.k=4", "learning_rate=searched"]
"""Runs for which frog comes with a rate that 100 runs of 3 epochs were searched with."""


@pytest.fixture
def short_search(tmp_path, monkeypatch):
    """Let somebody's short search of the same runs stand beside the one that frog comes with; return its table.

    There are no others, so that the next search that frog comes with changes nothing here.
    """
    name = "learning_rates_mlp-mnist-256-2-mean-4-*-100evaluations-*.csv"
    (shipped,) = (folder("sweeps") / "searched").glob(name)
    alone = tmp_path / "shipped" / "sweeps" / "searched"
    alone.mkdir(parents=True)
    shutil.copy(shipped, alone)
    monkeypatch.setattr(learning_rates, "folder", lambda name: tmp_path / "shipped" / name)
    with shipped.open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    row |= {"learning_rate": "0.5", "search_epochs": "1", "search_limit": "200", "search_evaluations": "4"}
    table = tmp_path / "searched" / "learning_rates_short.csv"
    table.parent.mkdir()
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row)
        writer.writeheader()
        writer.writerow(row)
    monkeypatch.setenv("FROG_SWEEPS", str(tmp_path))
    return table


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (["searched.epochs=3"], 0.002554321870680994),
        (["epochs=3"], 0.002554321870680994),
        (["epochs=3", "data.limit=200", "searched.limit=none"], 0.002554321870680994),
        (["batch_size=8", "searched.batch_size=64", "searched.epochs=3"], 0.002554321870680994),
        (["searched.epochs=1", "searched.limit=200", "searched.evaluations=4"], 0.5),
        (["epochs=1", "data.limit=200", "searched.evaluations=4"], 0.5),
    ],
)
def test_a_searched_rate_is_that_of_runs_that_cost_as_much_or_as_is_asked_for(asked, expected, short_search):
    request = train_request([*LONG, *asked])
    assert request.runs[0].learning_rate == expected
    (note,) = request.notes
    assert note.startswith(f"learning_rate=searched: {expected}, from ")
    assert (str(short_search) in note) == (expected == 0.5)


@pytest.mark.parametrize(
    ("asked", "ways"),
    [
        ([], "add searched.epochs=3 or searched.evaluations=4 searched.epochs=1 searched.limit=200"),
        (["epochs=1", "data.limit=200"], "add searched.epochs=3 searched.limit=none or searched.evaluations=4"),
        (["batch_size=8", "epochs=3"], "add searched.batch_size=64 or "),
    ],
)
def test_a_search_at_less_cost_must_be_asked_for(asked, ways, short_search):
    with pytest.raises(RequestError) as refusal:
        train_request([*LONG, *asked])
    assert "no search was made with runs like this one for model=mlp, data=mnist" in str(refusal.value)
    assert ways in str(refusal.value)


@pytest.mark.parametrize(
    ("asked", "made_with"),
    [
        ("early_stopping.patience=5", "early_stopping.patience=10"),
        ("data.validation=500", "data.validation=10000"),
        ("diverged_above=7", "diverged_above=null"),
    ],
)
def test_a_search_with_other_settings_is_told_and_not_taken(asked, made_with, short_search):
    with pytest.raises(RequestError) as refusal:
        train_request([*LONG, "epochs=3", asked])
    assert f"there is one with {made_with}; else give a number" in str(refusal.value)


@pytest.mark.parametrize(
    "settings",
    [
        ["optimizer.options.momentum=0.9"],
        ["schedule.name=every", "schedule.epochs=7"],
        ["schedule.name=every", "schedule.factor=0.25"],
        ["gradient=fomoh", "gradient.damping=0.5"],
        ["gradient=fomoh_kd", "gradient.k=2", "gradient.on_failure=stop"],
        ["gradient=fomoh_kd", "gradient.k=2", "gradient.eigenvalues=absolute"],
    ],
)
def test_further_settings_tell_all_that_tables_have_no_column_for(settings):
    *alike, changed = settings
    name, _, value = changed.partition("=")
    usual, other = (
        learning_rates.further_settings(train_request([*alike, *more, "learning_rate=1"]).runs[0])
        for more in ([], [changed])
    )
    told = name.replace("optimizer.options", "optimizer")
    assert other[told] == value
    assert {key: text for key, text in other.items() if key != told} == {
        key: text for key, text in usual.items() if key != told
    }
    assert usual.get(told) != value
    assert not any(" " in text for text in other.values())  # they stand one behind the other in a table


def test_the_longest_search_counts(short_search):
    (row,) = read_csv(short_search)
    row |= {"search_evaluations": "200", "search_epochs": "3", "search_limit": ""}
    short_search.write_text(as_csv([row]))
    assert train_request([*LONG, "epochs=3"]).runs[0].learning_rate == 0.5
    assert train_request([*LONG, "epochs=3", "searched.evaluations=100"]).runs[0].learning_rate == 0.002554321870680994


def test_every_rate_that_frog_comes_with_is_found_by_the_words_of_its_search():
    for row in learning_rates.rows("searched"):
        words = [word for word in row["search_request"].split() if not word.startswith("search.")]
        looked_up = {name: row[name] for name in learning_rates.FOUND if row.get(name)}
        if row.get("search_method") == "grid":  # which must be asked for
            words += [f"searched.{name}={row[f'search_{name}']}" for name in ("evaluations", "low", "high")]
        (run, *_) = train_request([*words, "learning_rate=searched"]).runs
        assert run.learning_rate == float(looked_up["learning_rate"]), row


def test_searched_rates_are_those_of_the_same_images():
    """Two folders of images are two data sets, and so are two sizes of them."""
    words = ["data=image_folder", "learning_rate=1"]
    found = [
        train_request([*words, *more]).runs[0]
        for more in (["data.variant=easy"], ["data.variant=noise"], ["data.variant=easy", "data.size=[16,16]"])
    ]
    assert [learning_rates.factors(run)["data"] for run in found] == ["easy", "noise", "easy"]
    assert [learning_rates.further_settings(run)["data.size"] for run in found] == ["null", "null", "[16,16]"]
    (stands,) = train_request([*words, "data.stands_for=cifar10", "data.variant=noise"]).runs
    assert learning_rates.factors(stands)["data"] == "cifar10"
