"""Train without backpropagation: forward gradients, their experiments and their tables."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frog_cli.objectives.forward_optimizer import ForwardOptimizer
    from frog_cli.runs.trained import load

__all__ = ["ForwardOptimizer", "load"]

_MODULES = {"ForwardOptimizer": "frog_cli.objectives.forward_optimizer", "load": "frog_cli.runs.trained"}


def __getattr__(name: str) -> Any:
    """Import what stands here under another name only when it is asked for: torch takes a second."""
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
