"""Record the tensor operations of a function once and replay them without the transforms' overhead.

`torch.func.vmap` and `jvp` cost far more Python time than arithmetic on small problems. Their operations do not
depend on the values, so frog records them for given shapes and replays the list.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx


def record(function: Callable[..., tuple[Tensor, ...]], *examples: Tensor) -> Callable[..., tuple[Tensor, ...]]:
    """Return a fast equivalent of a pure function of tensors, for arguments of the examples' shapes and strides.

    Args:
        function: of tensors only; its control flow may not depend on their values.
        examples: arguments to record with.

    Returns:
        A callable that runs without gradients and gives the same numbers, bit for bit.

    Raises:
        RuntimeError: if the recording does not reproduce the function on the examples.
    """
    with torch.no_grad():
        recording = make_fx(function)(*examples)
        for node in recording.graph.nodes:
            if node.target is torch.ops.aten.alias.default:  # another name for the same memory
                node.replace_all_uses_with(node.args[0])
        recording.graph.eliminate_dead_code()
        recording.recompile()
        for expected, replayed in zip(function(*examples), recording(*examples), strict=True):
            if not torch.equal(expected.nan_to_num(), replayed.nan_to_num()):
                raise RuntimeError(f"replaying {function.__name__} differs from running it")

    def replay(*arguments: Tensor) -> Any:
        with torch.no_grad():
            return recording(*arguments)

    return replay
