"""Recordings as machine code, by torch's own compiler: for small problems, where calling an operation costs most."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from frog_cli.engine.fast_products import for_compilers

Tensors = tuple[Tensor, ...]


def compiled_recording(
    recording: GraphModule, examples: Sequence[Tensor], expected: Sequence[Tensor]
) -> Callable[..., Tensors]:
    """Return a recording as machine code, after comparing its results on the examples with those that are expected.

    Raises:
        RuntimeError: if it cannot be compiled, or its results are others.
    """
    captured = _as_arguments(recording)
    try:
        code = compile_graph(for_compilers(recording), [*examples, *captured])
    except Exception as error:
        raise RuntimeError(f"compile=true: a step cannot be compiled here: {error}") from error
    for ours, theirs in zip(code(*examples, *captured), expected, strict=True):
        tolerance = 0.0
        if theirs.is_floating_point():
            tolerance = 100 * torch.finfo(theirs.dtype).eps ** 0.75 * theirs.nan_to_num().abs().amax().item()
        if not torch.allclose(ours, theirs, rtol=0, atol=tolerance, equal_nan=True):
            raise RuntimeError("compile=true: a compiled step differs from the same step without compilation")
    return lambda *arguments: code(*arguments, *captured)


def _as_arguments(recording: GraphModule) -> list[Tensor]:
    """Turn the tensors that a recording holds, such as weights, into further arguments, and return them.

    A compiler may write what a recording holds into its code, where no optimiser can change it.
    """
    held: dict[str, Node] = {}
    last = [node for node in recording.graph.nodes if node.op == "placeholder"][-1]
    for node in [node for node in recording.graph.nodes if node.op == "get_attr"]:
        name = str(node.target)
        if name not in held:
            with recording.graph.inserting_after(last):
                held[name] = last = recording.graph.placeholder(f"held_{len(held)}")
            last.meta = dict(node.meta)
        node.replace_all_uses_with(held[name])
        recording.graph.erase_node(node)
    recording.recompile()
    return [getattr(recording, name).detach() for name in held]


def compile_graph(recording: GraphModule, examples: Sequence[Tensor]) -> Callable[..., Tensors]:
    """Compile a recording for arguments like the examples."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about itself
        from torch._inductor import compile as compile_by_inductor  # whose import takes a second or two

        return compile_by_inductor(recording, list(examples))
