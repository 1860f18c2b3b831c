"""The rule of each operation. One without an entry raises NoRuleError; where a kind of rule suits it, add a line."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn.functional import softplus as torch_softplus

from frog_cli.jets.attention import attention
from frog_cli.jets.cells import gru_cell, lstm_cell
from frog_cli.jets.elementwise import elementwise, gelu, general_power, log_sigmoid, power, relu, softplus
from frog_cli.jets.jet import RULES, Rule
from frog_cli.jets.linear import (
    add,
    clone,
    constant,
    convert,
    dropout,
    embedding,
    fill,
    linear,
    masked_fill,
    pad,
    pool,
    reduce_all,
    reduce_dimensions,
    where,
)
from frog_cli.jets.losses import binary_cross_entropy_with_logits, huber_loss, mse_loss, smooth_l1_loss
from frog_cli.jets.mutation import as_strided_in_place, form_in_place, in_place, transpose_in_place
from frog_cli.jets.norms import batch_norm, deviation, group_norm, layer_norm, rms_norm, variance, vector_norm
from frog_cli.jets.pieces import (
    celu,
    clamp,
    elu,
    hard_shrink,
    hard_sigmoid,
    hard_swish,
    hard_tanh,
    leaky_relu,
    soft_shrink,
    threshold,
)
from frog_cli.jets.products import MATRIX_PRODUCTS, add_product, affine, convolution, divide, matrix_products, multiply
from frog_cli.jets.selections import extreme, extreme_with_index, max_pool2d, of_two, ordered
from frog_cli.jets.shapes import (
    along_dimensions,
    cat,
    diagonal,
    each_term,
    expand,
    gather,
    permute,
    reshape,
    slice_of,
    split,
    squeeze,
    stack,
    unbind,
    unsqueeze,
)
from frog_cli.jets.softmax import log_softmax, logsumexp, nll_loss, safe_softmax, softmax
from frog_cli.jets.terms import jointly_linear, with_value_of

aten = torch.ops.aten

LOG2, LOG10 = math.log(2), math.log(10)

OF_ITSELF = {
    constant: (
        aten.eq.Scalar,
        aten.eq.Tensor,
        aten.ne.Scalar,
        aten.ne.Tensor,
        aten.gt.Scalar,
        aten.gt.Tensor,
        aten.ge.Scalar,
        aten.ge.Tensor,
        aten.lt.Scalar,
        aten.lt.Tensor,
        aten.le.Scalar,
        aten.le.Tensor,
        aten.argmax.default,
        aten.argmin.default,
        aten.sign.default,
        aten.isfinite.default,
        aten.isnan.default,
        aten.zeros_like.default,
        aten.ones_like.default,
        aten.new_zeros.default,
        aten.new_ones.default,
        aten.new_empty.default,
        aten.empty_like.default,
        aten.full_like.default,
        aten.floor.default,
        aten.round.default,
        aten.detach.default,
    ),
    linear: (
        aten.neg.default,
        aten.alias.default,
        aten.lift_fresh.default,
        aten.mul.Scalar,
        aten.div.Scalar,
        aten.triu.default,
        aten.tril.default,
        aten.zero.default,
    ),
    pool: (
        aten.avg_pool2d.default,
        aten._adaptive_avg_pool2d.default,
        aten.upsample_nearest2d.default,
        aten.upsample_bilinear2d.default,
        aten.pixel_shuffle.default,
    ),
    reduce_dimensions: (aten.sum.dim_IntList, aten.mean.dim),
    reshape: (aten.view.default, aten._unsafe_view.default, aten.reshape.default),
    along_dimensions: (
        aten.squeeze.dim,
        aten.squeeze.dims,
        aten.select.int,
        aten.index_select.default,
        aten.unfold.default,
        aten.flip.default,
        aten.cumsum.default,
    ),
    each_term: (aten.index.Tensor, aten.roll.default, aten.repeat.default),
    split: (aten.split.Tensor, aten.unsafe_split.Tensor, aten.split_with_sizes.default),
    extreme: (aten.amax.default, aten.amin.default),
    extreme_with_index: (aten.max.dim, aten.min.dim),
    of_two: (aten.maximum.default, aten.minimum.default),
    ordered: (aten.sort.default, aten.topk.default),
    softmax: (aten._softmax.default,),
    nll_loss: (aten.nll_loss_forward.default, aten.nll_loss2d_forward.default),
    batch_norm: (aten.native_batch_norm.default, aten._native_batch_norm_legit.default, aten.cudnn_batch_norm.default),
    general_power: (aten.pow.Tensor_Tensor, aten.pow.Scalar),
}
"""Kinds of rules that are made of the operation alone, and the operations of each kind."""

RULES.update({operation: kind(operation) for kind, operations in OF_ITSELF.items() for operation in operations})

RULES.update(
    {
        # linear
        aten.clone.default: clone,
        aten._to_copy.default: convert,
        aten.constant_pad_nd.default: pad,
        aten.masked_fill.Scalar: masked_fill,
        aten.where.self: where,
        aten.fill.Scalar: fill,
        aten.fill.Tensor: lambda x, number: jointly_linear(aten.copy.default, x, number),
        aten.copy.default: lambda x, source, non_blocking=False: jointly_linear(aten.copy.default, x, source),
        aten.add.Tensor: add(aten.add.Tensor, lambda alpha: (1, alpha)),
        aten.add.Scalar: add(aten.add.Scalar, lambda alpha: (1, alpha)),
        aten.sub.Tensor: add(aten.sub.Tensor, lambda alpha: (1, -alpha)),
        aten.sub.Scalar: add(aten.sub.Scalar, lambda alpha: (1, -alpha)),
        aten.rsub.Tensor: add(aten.rsub.Tensor, lambda alpha: (-alpha, 1)),
        aten.rsub.Scalar: add(aten.rsub.Scalar, lambda alpha: (-alpha, 1)),
        aten.sum.default: reduce_all(aten.sum.default, aten.sum.dim_IntList),
        aten.mean.default: reduce_all(aten.mean.default, aten.mean.dim),
        aten.embedding.default: embedding,
        aten.native_dropout.default: dropout,
        # shapes
        aten.expand.default: expand,
        aten.t.default: permute,
        aten.permute.default: permute,
        aten.transpose.int: along_dimensions(aten.transpose.int, named=2),
        aten.unsqueeze.default: unsqueeze,
        aten.squeeze.default: squeeze,
        aten.slice.Tensor: slice_of,
        aten.gather.default: gather,
        aten.diagonal.default: diagonal,
        aten.trace.default: lambda x: x.diagonal().sum(),
        aten.unbind.int: unbind,
        aten.cat.default: cat,
        aten.stack.default: stack,
        # products
        **dict.fromkeys(MATRIX_PRODUCTS, matrix_products(torch.matmul)),
        aten.linear.default: affine,
        aten.addmm.default: add_product,
        aten.baddbmm.default: add_product,
        aten.convolution.default: convolution,
        aten.mul.Tensor: multiply,
        aten.div.Tensor: divide,
        # functions of each entry: value, slope, curvature
        aten.exp.default: elementwise(lambda x: (value := x.exp(), value, value)),
        aten.log.default: elementwise(lambda x: (x.log(), inverse := x.reciprocal(), -inverse.square())),
        aten.log1p.default: elementwise(lambda x: (x.log1p(), inverse := (1 + x).reciprocal(), -inverse.square())),
        aten.exp2.default: elementwise(lambda x: (value := x.exp2(), slope := LOG2 * value, LOG2 * slope)),
        aten.log2.default: elementwise(lambda x: (x.log2(), slope := x.reciprocal() / LOG2, -slope / x)),
        aten.log10.default: elementwise(lambda x: (x.log10(), slope := x.reciprocal() / LOG10, -slope / x)),
        aten.tan.default: elementwise(lambda x: (value := x.tan(), slope := 1 + value.square(), 2 * value * slope)),
        aten.sinh.default: elementwise(lambda x: (value := x.sinh(), x.cosh(), value)),
        aten.cosh.default: elementwise(lambda x: (value := x.cosh(), x.sinh(), value)),
        aten.sin.default: elementwise(lambda x: (value := x.sin(), x.cos(), -value)),
        aten.cos.default: elementwise(lambda x: (value := x.cos(), -x.sin(), -value)),
        aten.tanh.default: elementwise(lambda x: (value := x.tanh(), slope := 1 - value.square(), -2 * value * slope)),
        aten.sigmoid.default: elementwise(
            lambda x: (value := x.sigmoid(), slope := value * (1 - value), slope * (1 - 2 * value))
        ),
        aten.sqrt.default: elementwise(lambda x: (value := x.sqrt(), slope := 0.5 / value, -0.5 * slope / x)),
        aten.rsqrt.default: elementwise(lambda x: (value := x.rsqrt(), slope := -0.5 * value / x, -1.5 * slope / x)),
        aten.reciprocal.default: elementwise(
            lambda x: (value := x.reciprocal(), slope := -value.square(), -2 * slope * value)
        ),
        aten.square.default: elementwise(lambda x: (x.square(), 2 * x, torch.full_like(x, 2))),
        aten.abs.default: elementwise(lambda x: (x.abs(), x.sign(), None)),
        aten.erf.default: elementwise(
            lambda x: (x.erf(), slope := 2 / math.sqrt(math.pi) * (-x.square()).exp(), -2 * x * slope)
        ),
        aten.erfc.default: elementwise(
            lambda x: (x.erfc(), slope := -2 / math.sqrt(math.pi) * (-x.square()).exp(), -2 * x * slope)
        ),
        aten.expm1.default: elementwise(lambda x: (x.expm1(), slope := x.exp(), slope)),
        aten.atan.default: elementwise(lambda x: (x.atan(), slope := 1 / (1 + x.square()), -2 * x * slope.square())),
        aten.softplus.default: elementwise(softplus),
        aten.pow.Tensor_Scalar: power,
        aten.relu.default: relu,
        aten.gelu.default: gelu,
        aten.silu.default: lambda x: x * x.sigmoid(),
        aten.mish.default: lambda x: x * torch_softplus(x).tanh(),
        aten.glu.default: lambda x, dim=-1: (halves := x.split(x.shape[dim] // 2, dim))[0] * halves[1].sigmoid(),
        # functions of each entry that are made of pieces
        aten.leaky_relu.default: elementwise(leaky_relu),
        aten.threshold.default: elementwise(threshold),
        aten.hardtanh.default: elementwise(hard_tanh),
        aten.hardsigmoid.default: elementwise(hard_sigmoid),
        aten.hardswish.default: elementwise(hard_swish),
        aten.hardshrink.default: elementwise(hard_shrink),
        aten.softshrink.default: elementwise(soft_shrink),
        aten.elu.default: elementwise(elu),
        aten.celu.default: elementwise(celu),
        aten.clamp.default: elementwise(clamp),
        aten.clamp_min.default: lambda x, low: x.clamp(min=low),
        aten.clamp_max.default: lambda x, high: x.clamp(max=high),
        aten._prelu_kernel.default: lambda x, slope: torch.where(x > 0, x, slope * x),
        aten.log_sigmoid_forward.default: log_sigmoid,
        # largest and smallest entries
        aten.max_pool2d_with_indices.default: max_pool2d,
        aten.max.default: lambda x: x.amax(),
        aten.min.default: lambda x: x.amin(),
        # softmax and losses
        aten._safe_softmax.default: safe_softmax,
        aten._log_softmax.default: log_softmax,
        aten.logsumexp.default: logsumexp,
        aten.mse_loss.default: mse_loss,
        aten.huber_loss.default: huber_loss,
        aten.smooth_l1_loss.default: smooth_l1_loss,
        aten.binary_cross_entropy_with_logits.default: binary_cross_entropy_with_logits,
        # norms
        aten.native_layer_norm.default: layer_norm,
        aten.native_group_norm.default: group_norm,
        aten.var.correction: variance,
        aten.std.correction: deviation,
        aten._fused_rms_norm.default: rms_norm,
        aten.linalg_vector_norm.default: vector_norm,
        aten.norm.ScalarOpt_dim: vector_norm,
        # recurrence
        aten._thnn_fused_lstm_cell.default: lstm_cell,
        aten._thnn_fused_gru_cell.default: gru_cell,
        # attention
        aten._scaled_dot_product_flash_attention_for_cpu.default: attention,
        # in place, of the tensor's shape and memory
        aten.as_strided_.default: as_strided_in_place,
        aten.transpose_.default: transpose_in_place,
    }
)

WITH_OWN_VALUE: dict[Any, Rule] = {
    aten.addcmul.default: lambda x, a, b, value=1: x + value * (a * b),
    aten.addcdiv.default: lambda x, a, b, value=1: x + value * (a / b),
    aten.lerp.Scalar: lambda x, y, weight: x + weight * (y - x),
    aten.lerp.Tensor: lambda x, y, weight: x + weight * (y - x),
    aten.clamp_min.Tensor: lambda x, low: torch.where(x >= low, x, low),
    aten.logaddexp.default: lambda x, y: y + torch_softplus(x - y, 1, 40),
}
"""Operations whose derivatives are those of a formula, whose value would round or overflow otherwise."""

RULES.update({operation: with_value_of(operation, formula) for operation, formula in WITH_OWN_VALUE.items()})

IN_PLACE = (
    aten.add.Tensor,
    aten.add.Scalar,
    aten.sub.Tensor,
    aten.mul.Tensor,
    aten.div.Tensor,
    aten.copy.default,
    aten.zero.default,
    aten.fill.Scalar,
    aten.fill.Tensor,
    aten.masked_fill.Scalar,
    aten.clamp.default,
    aten.clamp_min.default,
    aten.clamp_min.Tensor,
    aten.clamp_max.default,
    aten.relu.default,
    aten.leaky_relu.default,
    aten.threshold.default,
    aten.hardtanh.default,
    aten.hardsigmoid.default,
    aten.hardswish.default,
    aten.sigmoid.default,
    aten.tanh.default,
    aten.silu.default,
    aten.mish.default,
    aten.elu.default,
    aten.celu.default,
)
"""Operations whose forms in place have rules, too: arithmetic, what sets entries, and layers with `inplace=True`."""

RULES.update({form_in_place(operation): in_place(operation) for operation in IN_PLACE})
