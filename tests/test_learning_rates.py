from __future__ import annotations

import csv

import pytest

from frog_cli import learning_rates
from frog_cli.config import train_request
from frog_cli.errors import RequestError
from frog_cli.resources import folder


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
    assert set(found) <= set(learning_rates.FACTORS)
