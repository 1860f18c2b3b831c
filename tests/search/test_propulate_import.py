from __future__ import annotations

import builtins

import pytest

from frog_cli.errors import RequestError, in_one_line
from frog_cli.search.propulate_import import propulate


@pytest.mark.parametrize(
    ("missing", "error", "command"),
    [
        ("propulate", ModuleNotFoundError("No module", name="propulate"), "Propulate: pip install --no-deps propulate"),
        ("mpi4py", ModuleNotFoundError("No module", name="mpi4py"), "mpi4py: pip install 'frog-cli[search]'"),
        ("propulate", ModuleNotFoundError("No module", name="deepdiff"), "deepdiff: pip install 'frog-cli[search]'"),
        ("propulate", RuntimeError("cannot load MPI library\nlibmpi.so"), "an MPI library: pip install mpich"),
    ],
)
def test_what_is_missing_is_told_with_the_command_that_installs_it(missing, error, command, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments):
        if name == missing:
            raise error
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(RequestError) as caught:
        propulate()
    assert command in str(caught.value)
    assert "\n" not in in_one_line(caught.value)
