"""Recordings that overwrite what nobody reads any more, which spares a large operation new memory."""

from __future__ import annotations

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.fx import GraphModule, Node

aten = torch.ops.aten

COMMUTATIVE = aten.add.Tensor, aten.mul.Tensor
SHARES_UNSAID = aten._unsafe_view.default, aten.native_dropout.default
"""Operations whose results can be in the memory of an argument although their schemas do not say so."""


def overwriting(recording: GraphModule) -> GraphModule:
    """Let elementwise operations write over an operand of their own that was made in the recording and is used up."""
    nodes = list(recording.graph.nodes)
    owners: dict[Node, frozenset[Node]] = {}  # the nodes whose memory a result may be in
    last_use: dict[Node, Node] = {}
    for node in nodes:
        for used in node.all_input_nodes:
            last_use.update(dict.fromkeys(owners[used], node))
        owners[node] = frozenset({node}).union(*(owners[argument] for argument in _shares_memory_with(node)))
    for node in nodes:
        in_place = _in_place(node)
        for operand, *others in _orders(node) if in_place is not None else []:
            others_owners = [owners[other] for other in others if isinstance(other, Node)]
            if (
                isinstance(operand, Node)
                and _same_layout(operand, node)
                and all(last_use[owner] is node and _is_made_here(owner) for owner in owners[operand])
                and owners[operand].isdisjoint(frozenset().union(*others_owners))
            ):
                node.target, node.args = in_place, (operand, *others)
                break
    recording.recompile()
    return recording


def _shares_memory_with(node: Node) -> list[Node]:
    """Return the arguments that a result may share its memory with; of what has no schema, all of them."""
    if not isinstance(node.target, OpOverload) or node.target in SHARES_UNSAID:
        return node.all_input_nodes
    arguments = node.target._schema.arguments
    given = {**dict(zip((argument.name for argument in arguments), node.args, strict=False)), **node.kwargs}
    shared = [given.get(argument.name) for argument in arguments if argument.alias_info is not None]
    listed = [one for entry in shared for one in (entry if isinstance(entry, (list, tuple)) else [entry])]
    return [one for one in listed if isinstance(one, Node)]


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
    return owner.op == "call_function"


def _same_layout(operand: Node, result: Node) -> bool:
    """Return whether an operand has the places in memory that the result, a dense tensor, would have."""
    one, other = operand.meta.get("val"), result.meta.get("val")
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return False
    return (one.shape, one.stride(), one.dtype) == (other.shape, other.stride(), other.dtype)
