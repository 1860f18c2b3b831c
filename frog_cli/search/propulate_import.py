"""The one place through which frog imports Propulate.

Importing anything of Propulate 1.2 imports its surrogate models as well, and with them GPy, which needs numpy below 2
(https://github.com/Helmholtz-AI-Energy/propulate/issues/131). frog does not use them: where GPy is missing, an empty
module takes its place while Propulate is imported.
"""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

from frog_cli.errors import RequestError, first_line


def propulate() -> Any:
    """Return Propulate.

    Raises:
        RequestError: if something is not installed, with the command that installs it.
    """
    stand_in = "GPy" not in sys.modules and importlib.util.find_spec("GPy") is None
    if stand_in:
        sys.modules["GPy"] = ModuleType("GPy")
    try:
        import mpi4py

        if "mpi4py.MPI" not in sys.modules:
            mpi4py.rc.initialize = False  # Propulate imports MPI, which must not start without a launcher
        import propulate
    except (ImportError, RuntimeError) as error:
        raise RequestError("frog search", f"needs {_remedy(error)} ({first_line(error)})") from None
    finally:
        if stand_in:
            del sys.modules["GPy"]
    return propulate


def _remedy(error: Exception) -> str:
    """Return what a search lacks, and the command for it."""
    if isinstance(error, ModuleNotFoundError) and error.name == "propulate":
        return "Propulate: pip install --no-deps propulate"  # with its own it asks for GPy, which does not install
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name}: pip install 'frog-cli[search]'"
    return "an MPI library: pip install mpich, or your cluster's module"
