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

from frog_cli.errors import RequestError


def propulate() -> Any:
    """Return Propulate.

    Raises:
        RequestError: if it is not installed.
    """
    stand_in = importlib.util.find_spec("GPy") is None and "GPy" not in sys.modules
    if stand_in:
        sys.modules["GPy"] = ModuleType("GPy")
    try:
        import mpi4py

        if "mpi4py.MPI" not in sys.modules:
            mpi4py.rc.initialize = False  # Propulate imports MPI, which must not start without a launcher
        import propulate
    except (ImportError, RuntimeError) as error:  # the latter if there is no MPI library
        raise RequestError("frog search", f"needs Propulate and an MPI library (README, Searches): {error}") from None
    finally:
        if stand_in:
            del sys.modules["GPy"]
    return propulate
