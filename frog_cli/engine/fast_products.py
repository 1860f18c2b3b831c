"""Matrix products in float32 by oneDNN, where it is faster than the MKL of torch's wheels: on AMD's cores with AVX-512.

MKL keeps processors that are not Intel's from its AVX-512 kernels; oneDNN, also in those wheels, does not. Measured for
[8192, 784] by [784, 256] on EPYCs: 193 and 445 GFLOP/s with AVX-512 on two cores; without it 80 and 79 on one core, and
smaller ones are slower by up to a third. With it, too, those do not earn the 12 us of a call of oneDNN. Both sum in
float32, in different orders.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

aten = torch.ops.aten

AVAILABLE = torch.backends.mkldnn.is_available() and torch.backends.mkl.is_available()
FASTER_HERE = AVAILABLE and torch.backends.cpu.get_cpu_capability() == "AVX512"
SMALLEST = 2**20
"""Products with fewer multiplications stay with torch's own choice."""
LONG = 2048
"""Sums over at least so many rows are taken as weight gradients of convolutions, for which nothing is transposed."""


def matrix_product(left: Tensor, right: Tensor) -> Tensor:
    """Return `left @ right`, without gradients; one of two batches of matrices may have a further leading dimension."""
    if right.ndim == 2 and _worthwhile(left, right):
        return torch.ops.mkldnn._linear_pointwise(left, right.mT, None, "none", [], "")
    if left.ndim == 2 and right.ndim == 3:  # all of them as one product
        joined = right.mT.flatten(0, 1).mT
        if _worthwhile(left, joined):
            return matrix_product(left, joined).unflatten(1, (len(right), -1)).transpose(0, 1).contiguous()
    if {left.ndim, right.ndim} == {3, 4}:  # where torch would repeat the smaller factor in memory
        count = max(left, right, key=Tensor.dim).shape[0]
        product = left.new_empty(count, left.shape[-3], left.shape[-2], right.shape[-1])
        for index, result in enumerate(product):
            factors = (factor[index] if factor.ndim == 4 else factor for factor in (left, right))
            torch.bmm(*factors, out=result)
        return product
    if left.ndim == 3 and right.ndim == 2 and left.is_contiguous():  # one product, where torch may take a batch of them
        return torch.mm(left.flatten(0, 1), right).unflatten(0, left.shape[:2])
    return left @ right


def with_fast_products(recording: GraphModule) -> GraphModule:
    """Replace the large matrix products of a recording, whose nodes carry their results' shapes."""
    replaced = False
    for node in list(recording.graph.nodes):
        if node.target is aten.mm.default:
            bias, (left, right) = None, node.args
        elif node.target is aten.addmm.default and not node.kwargs and _result(node.args[0]).ndim == 1:
            bias, left, right = node.args
        else:
            continue
        if _worthwhile(_result(left), _result(right)):
            call = recording.graph.call_function
            with recording.graph.inserting_before(node):
                if bias is None and _is_long_sum(_result(left), _result(right)):
                    product = call(sum_of_outer_products, (call(aten.t.default, (left,)), right))
                else:
                    arguments: tuple[Any, ...] = left, call(aten.t.default, (right,)), bias, "none", [], ""
                    product = call(torch.ops.mkldnn._linear_pointwise.default, arguments)
            product.meta = dict(node.meta)  # of the next product's factor
            node.replace_all_uses_with(product)
            replaced = True
    if replaced:
        recording.graph.eliminate_dead_code()
        recording.recompile()
    return recording


def for_compilers(recording: GraphModule) -> GraphModule:
    """Hide the fast products of a recording, which torch's compiler knows for constant weights only."""
    for node in recording.graph.nodes:
        if node.target is torch.ops.mkldnn._linear_pointwise.default:
            node.target, node.args = torch.ops.frog.fast_product.default, node.args[:3]
    recording.recompile()
    return recording


@torch.library.custom_op("frog::fast_product", mutates_args=())
def _fast_product(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return `inputs @ weight.T + bias`."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
    return product


@_fast_product.register_fake
def _(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return inputs.new_empty(*inputs.shape[:-1], len(weight))


def sum_of_outer_products(left: Tensor, right: Tensor) -> Tensor:
    """Return `left.T @ right` for `left` `[n, a]` and `right` `[n, b]`: a convolution of single pixels backward."""
    pixels = math.gcd(len(left), 8), -1, 1  # images, height, width
    images = (factor.unflatten(0, pixels).permute(0, 3, 1, 2) for factor in (left, right))
    kernel = left.new_empty(left.shape[1], right.shape[1], 1, 1)
    which = [False, True, False]
    product = aten.convolution_backward(*images, kernel, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, which)[1]
    return product.flatten(1)


def _is_long_sum(left: Tensor, right: Tensor) -> bool:
    """Return whether a product sums over many rows of two matrices, as that of the local gradient of a layer does."""
    return len(right) >= LONG and left.mT.is_contiguous() and right.is_contiguous()


def _worthwhile(left: Tensor, right: Tensor) -> bool:
    """Return whether oneDNN is faster, which it is by no means for operands with gaps or repetitions."""
    on_cpu = FASTER_HERE and left.device.type == "cpu" and left.dtype == right.dtype == torch.float32
    return on_cpu and left.numel() * right.shape[-1] >= SMALLEST and all(map(_dense, (left, right)))


def _dense(matrix: Tensor) -> bool:
    return matrix.is_contiguous() or (matrix.ndim == 2 and matrix.mT.is_contiguous())


def _result(node: Node) -> Tensor:
    """Return what stands for a node's result: its data type, device and shape."""
    return node.meta["val"]
