from __future__ import annotations

import pytest

from frog_cli.errors import RequestError
from frog_cli.settings.composing import sweep


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
