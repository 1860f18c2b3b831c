from __future__ import annotations

import re

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from frog_cli.errors import RequestError
from frog_cli.files.shipped import folder
from frog_cli.settings import idea_groups
from frog_cli.settings.composing import compose_settings, sweep


@pytest.mark.parametrize("values", ["glob(*)", "interval(1,4)"])
def test_a_sweep_lists_its_values(values):
    with pytest.raises(RequestError, match="must list its values"):
        list(sweep([f"gradient.k={values}"]))


def test_sweep_is_the_product():
    assert list(sweep(["gradient.k=1,2", "model=mlp", "seed=range(2)"])) == [
        ["gradient.k=1", "model=mlp", "seed=0"],
        ["gradient.k=1", "model=mlp", "seed=1"],
        ["gradient.k=2", "model=mlp", "seed=0"],
        ["gradient.k=2", "model=mlp", "seed=1"],
    ]
    assert list(sweep(["seeds=[0,1]"])) == [["seeds=[0,1]"]]


@pytest.mark.parametrize(
    "words",
    [
        "data=digits gradient=mean gradient.k=4 epochs=2 epochs=3 learning_rate=0.01",
        "experiment=table1 model=vit data=mnist model.patch=7 batch_size=64 schedule.name=every schedule.epochs=8",
        "objective=rosenbrock objective.n=3 steps=1e3 seeds=[0,4] learning_rate=searched searched.limit=none",
        "optimizer.name=Adam optimizer.options={betas:[0.9,0.99],eps:1e-6} optimizer.options.amsgrad=true",
        "data=image_folder data.root='/a path/with signs' data.variant=mine data.limit=null data.size=[8,8]",
        "checkpoint.minutes=2.5 keep_weights=false tangents=cone tangents.angle=30 gradient=projection",
    ],
)
def test_settings_are_those_that_hydra_composes_from_all_words_at_once(words):
    """Choices of groups are composed once in a process and options set in copies, which must not show."""
    words = re.split(r" (?=[a-z_.]+=)", words)
    lines = [f"++{word}" if word.startswith("optimizer.options") else word for word in words]
    lines = list({line.partition("=")[0]: line for line in lines}.values())
    for _ in range(2):
        _, settings = compose_settings("train", words)
        with idea_groups.known_to_hydra([]), initialize_config_dir(str(folder("conf")), version_base="1.3"):
            wanted = OmegaConf.to_container(compose("train", lines), resolve=True)
        wanted.pop("experiment", None)
        assert settings == wanted
        settings["data"] = settings["epochs"] = None  # what a caller does with it stays there
