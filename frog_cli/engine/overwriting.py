"""Recordings that overwrite what nobody reads any more, which spares a large operation new memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import GraphModule, Interpreter, Node
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten

COMMUTATIVE = aten.add.Tensor, aten.mul.Tensor
MAKERS = "aten", "mkldnn", "frog"
"""Libraries whose results are in new memory, or in that of an argument; others might keep what they return."""


def overwriting(recording: GraphModule, examples: Sequence[Tensor]) -> GraphModule:
    """Let elementwise operations write over one of their operands, if it was made in the recording and is used up.

    Args:
        recording: whose nodes carry their results' shapes and strides.
        examples: arguments to run it with, which shows what shares its memory.
    """
    observer = _MemoryObserver(recording)
    observer.run(*examples)
    owners: dict[Node, frozenset[Node]] = {}  # the node itself and all in whose memory its result is
    last_use: dict[Node, Node] = {}  # the last node that reads a result or anything in its memory
    for node in recording.graph.nodes:
        for used in node.all_input_nodes:
            last_use.update(dict.fromkeys(owners[used], node))
        owners[node] = frozenset({node}).union(*(owners[argument] for argument in observer.shared[node]))
    for node in recording.graph.nodes:
        in_place = _in_place(node)
        for operand, *others in _orders(node) if in_place is not None else []:
            if not isinstance(operand, Node) or not _same_layout(operand, node):
                continue
            used_up = all(_is_made_here(owner) and last_use[owner] is node for owner in owners[operand])
            if used_up and all(owners[operand].isdisjoint(owners[one]) for one in others if isinstance(one, Node)):
                node.target, node.args = in_place, (operand, *others)
                break
    recording.recompile()
    return recording


class _MemoryObserver(Interpreter):
    """Runs a recording and notes in the memory of which of their arguments results are; schemas do not always say."""

    def __init__(self, recording: GraphModule) -> None:
        super().__init__(recording)
        self.shared: dict[Node, list[Node]] = {}

    def run_node(self, n: Node) -> Any:
        result = super().run_node(n)
        self.shared[n] = [one for one in n.all_input_nodes if _may_share_memory(result, self.env[one])]
        return result


def _may_share_memory(result: Any, argument: Any) -> bool:
    """Return whether any tensor of a result is in the memory of any of an argument's, or that is not known."""
    try:
        places, others = (
            {leaf.untyped_storage().data_ptr() for leaf in tree_leaves(either) if isinstance(leaf, Tensor)}
            for either in (result, argument)
        )
    except NotImplementedError:  # of sparse tensors
        return True
    return not places.isdisjoint(others)


def _in_place(node: Node) -> OpOverload | None:
    """Return the operation that does the same elementwise, in place."""
    operation = node.target
    if not isinstance(operation, OpOverload) or torch.Tag.pointwise not in operation.tags:
        return None
    packet = getattr(aten, f"{operation._schema.name.removeprefix('aten::')}_", None)
    found = getattr(packet, operation._overloadname, None)
    if found is None or torch.Tag.nondeterministic_seeded in operation.tags:
        return None
    given, wanted = ([(one.name, one.type) for one in each._schema.arguments] for each in (operation, found))
    return found if given == wanted else None


def _orders(node: Node) -> list[tuple[object, ...]]:
    """Return the arguments, in the orders in which they mean the same."""
    swaps = node.target in COMMUTATIVE and not node.kwargs
    return [node.args, node.args[::-1]] if swaps else [node.args]


def _is_made_here(owner: Node) -> bool:
    """Return whether a result is in memory that the recording fetched, unless in that of another node."""
    if isinstance(owner.target, OpOverload):
        return owner.target.namespace in MAKERS
    return owner.op == "call_function"  # parts of a result and such, whose owners count as well


def _same_layout(operand: Node, result: Node) -> bool:
    """Return whether an operand has the places in memory that the result, a dense tensor, would have."""
    one, other = operand.meta.get("val"), result.meta.get("val")
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return False
    if one.is_complex():  # whose division rounds otherwise in place
        return False
    return (one.shape, one.stride(), one.dtype) == (other.shape, other.stride(), other.dtype)
