"""The one place through which frog imports torchvision.

The wheel of torchvision on PyPI has a compiled part for CUDA. Beside a CPU build of torch that part does not load,
and importing torchvision then fails because two of its operators, which frog does not use, are unknown. Declaring
their signatures is enough for everything written in Python. Where torchvision loads by itself nothing is declared.
"""

from __future__ import annotations

import sys
from typing import Any

import torch


def torchvision() -> Any:
    """Return torchvision, with `datasets` and `models`."""
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for operator in ("nms", "qnms"):
            torch.library.define(f"torchvision::{operator}", "(Tensor dets, Tensor scores, float threshold) -> Tensor")
        for module in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[module]  # half imported
        import torchvision
    return torchvision
