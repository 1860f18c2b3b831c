"""The rule of each operation. One without an entry raises NoRuleError; where a kind of rule suits it, add a line."""

from __future__ import annotations

from functools import partial

import torch
from torch.nn.functional import softplus as torch_softplus

from frog_cli.jets.attention import attention
from frog_cli.jets.cells import gru_cell, lstm_cell
from frog_cli.jets.composed import WITH_OWN_VALUE
from frog_cli.jets.elementwise import (
    elementwise,
    gelu,
    general_power,
    log_sigmoid,
    power,
    randomised_leaky_relu,
    relu,
    softplus,
)
from frog_cli.jets.formulas import FORMULAS
from frog_cli.jets.jet import RULES
from frog_cli.jets.linear import (
    add,
    alike,
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
from frog_cli.jets.losses import (
    binary_cross_entropy_with_logits,
    huber_loss,
    mse_loss,
    multi_margin_loss,
    smooth_l1_loss,
    soft_margin_loss,
)
from frog_cli.jets.matrices import (
    cholesky,
    determinant,
    inverse,
    log_determinant,
    solve,
    solve_triangular,
)
from frog_cli.jets.mutation import IN_PLACE, as_strided_in_place, form_in_place, in_place, transpose_in_place
from frog_cli.jets.norms import (
    batch_norm,
    deviation,
    group_norm,
    layer_norm,
    rms_norm,
    variance,
    vector_norm,
    with_mean,
)
from frog_cli.jets.pieces import PIECES
from frog_cli.jets.placing import filled, part_replaced, placed, put_at_indices
from frog_cli.jets.products import (
    MATRIX_PRODUCTS,
    add_product,
    affine,
    convolution,
    divide,
    matrix_products,
    multiply,
    trilinear,
)
from frog_cli.jets.selections import extreme, extreme_with_index, of_two, ordered, pooled_extreme
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
        aten.new_ones.default,
        aten.new_full.default,
        aten.bernoulli.default,
        aten.rand_like.default,
        aten.randn_like.default,
        aten.full_like.default,
        aten.floor.default,
        aten.ceil.default,
        aten.trunc.default,
        aten.round.default,
        aten.detach.default,
    ),
    alike: (aten.new_zeros.default, aten.new_empty.default, aten.empty_like.default),
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
    each_term: (
        aten.index.Tensor,
        aten.roll.default,
        aten.repeat.default,
        aten.avg_pool3d.default,
        aten._adaptive_avg_pool3d.default,
        aten.reflection_pad1d.default,
        aten.reflection_pad2d.default,
        aten.reflection_pad3d.default,
        aten.replication_pad1d.default,
        aten.replication_pad2d.default,
        aten.replication_pad3d.default,
        aten.upsample_nearest1d.default,
        aten.upsample_linear1d.default,
        aten.upsample_bicubic2d.default,
        aten.upsample_nearest3d.default,
        aten.upsample_trilinear3d.default,
        aten.im2col.default,
        aten.col2im.default,
        aten.pixel_unshuffle.default,
        aten.channel_shuffle.default,
        aten.max_unpool2d.default,
        aten.max_unpool3d.default,
        aten.rot90.default,
        aten.diag_embed.default,
        aten.masked_select.default,
        aten.take.default,
    ),
    placed: (aten.index_add.default, aten.index_copy.default, aten.scatter_add.default, aten.scatter.src),
    filled: (aten.index_fill.int_Scalar, aten.scatter.value),
    part_replaced: (aten.slice_scatter.default, aten.select_scatter.default),
    split: (aten.split.Tensor, aten.unsafe_split.Tensor, aten.split_with_sizes.default),
    extreme: (aten.amax.default, aten.amin.default),
    pooled_extreme: (
        aten.max_pool2d_with_indices.default,
        aten.max_pool3d_with_indices.default,
        aten.adaptive_max_pool2d.default,
        aten.adaptive_max_pool3d.default,
        aten.fractional_max_pool2d.default,
        aten.fractional_max_pool3d.default,
    ),
    extreme_with_index: (aten.max.dim, aten.min.dim, aten.median.dim),
    of_two: (aten.maximum.default, aten.minimum.default),
    ordered: (aten.sort.default, aten.topk.default, aten.cummax.default, aten.cummin.default),
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
        aten.masked_fill.Tensor: lambda x, mask, value: where(mask, value, x),
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
        aten._trilinear.default: trilinear,
        # matrices
        aten.linalg_cholesky_ex.default: cholesky,
        aten._linalg_solve_ex.default: solve,
        aten.linalg_solve_triangular.default: solve_triangular,
        aten.linalg_inv_ex.default: inverse,
        aten._linalg_slogdet.default: log_determinant,
        aten._linalg_det.default: determinant,
        # places
        aten.index_put.default: put_at_indices,
        # functions of each entry
        **{operation: elementwise(formula) for operation, formula in (FORMULAS | PIECES).items()},
        aten.softplus.default: elementwise(softplus),
        aten.pow.Tensor_Scalar: power,
        aten.relu.default: relu,
        aten.rrelu_with_noise.default: randomised_leaky_relu,
        aten.gelu.default: gelu,
        aten.silu.default: lambda x: x * x.sigmoid(),
        aten.mish.default: lambda x: x * torch_softplus(x).tanh(),
        aten.glu.default: lambda x, dim=-1: (halves := x.split(x.shape[dim] // 2, dim))[0] * halves[1].sigmoid(),
        aten.clamp_min.default: lambda x, low: x.clamp(min=low),
        aten.clamp_max.default: lambda x, high: x.clamp(max=high),
        aten._prelu_kernel.default: lambda x, slope: torch.where(x > 0, x, slope * x),
        aten.log_sigmoid_forward.default: log_sigmoid,
        # largest and smallest entries
        aten.kthvalue.default: lambda x, k, *where: extreme_with_index(partial(aten.kthvalue.default, k=k))(x, *where),
        aten.median.default: lambda x: x.flatten().median(0).values,
        aten.max.default: lambda x: x.amax(),
        aten.min.default: lambda x: x.amin(),
        # softmax and losses
        aten._safe_softmax.default: safe_softmax,
        aten._log_softmax.default: log_softmax,
        aten.logsumexp.default: logsumexp,
        aten.mse_loss.default: mse_loss,
        aten.huber_loss.default: huber_loss,
        aten.smooth_l1_loss.default: smooth_l1_loss,
        aten.soft_margin_loss.default: soft_margin_loss,
        aten.multi_margin_loss.default: multi_margin_loss,
        aten.binary_cross_entropy_with_logits.default: binary_cross_entropy_with_logits,
        # norms
        aten.native_layer_norm.default: layer_norm,
        aten.native_group_norm.default: group_norm,
        aten.var.correction: variance,
        aten.std.correction: deviation,
        aten.var_mean.correction: with_mean(variance),
        aten.std_mean.correction: with_mean(deviation),
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

RULES.update({operation: with_value_of(operation, formula) for operation, formula in WITH_OWN_VALUE.items()})

RULES.update({form_in_place(operation): in_place(operation) for operation in IN_PLACE})
