"""What `pip install .` gives, used from another folder."""

from __future__ import annotations

import pytest


@pytest.mark.slow
def test_the_wheel_carries_configuration_and_learning_rates(installed):
    where = installed.python("import frog_cli; print(frog_cli.__file__)")
    assert where.startswith(str(installed.environment))
    assert "learning_rate: 0.0018423636305031" in installed.frog("train", "--cfg", "objective=rosenbrock").stdout
    assert "completed" in installed.frog("train", "epochs=1").stdout
    assert "index.html" in installed.frog("table", "--html").stdout  # whose style and script are files of the package
