"""Operations that are constant or linear."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from frog_cli.gradients.measurement import forward
from frog_cli.jets.jet import measure_second_order
from tests.jets.oracles import K, X, by_reverse_mode, check_case, randn, weigh, whole

aten = torch.ops.aten


def dropped(x: Tensor, train: bool) -> Tensor:
    torch.manual_seed(0)
    return torch.native_dropout(x, 0.5, train)[0]


def seeded(function):
    """Let a function draw the same numbers each time."""

    def with_seed(x: Tensor) -> Tensor:
        torch.manual_seed(0)
        return function(x)

    return with_seed


def thrown(p: Tensor) -> Tensor:
    torch.manual_seed(0)
    return torch.bernoulli(p)


CASES = {
    "made like another": lambda x: x * torch.zeros_like(x).add_(2) + torch.ones_like(x),
    "shuffled pixels of one image": (lambda x: F.pixel_shuffle(x * x, 2), (4, 3, 3)),
    "average of one image": (lambda x: F.avg_pool2d(x * x, 2), (3, 4, 4)),
    "average pooling of volumes": (lambda x: F.avg_pool3d(x * x, 2), (2, 3, 4, 4, 4)),
    "adaptive average pooling of volumes": (lambda x: F.adaptive_avg_pool3d(x * x, 2), (2, 3, 5, 5, 4)),
    "reflected signals": (lambda x: F.pad(x * x, (2, 1), mode="reflect"), (2, 3, 5)),
    "reflected images": (lambda x: F.pad(x * x, (2, 1, 0, 1), mode="reflect"), (2, 3, 5, 4)),
    "reflected volumes": (lambda x: F.pad(x * x, (1, 1, 0, 1, 1, 0), mode="reflect"), (1, 2, 3, 4, 3)),
    "signals with repeated ends": (lambda x: F.pad(x * x, (2, 1), mode="replicate"), (2, 3, 5)),
    "images with repeated edges": (lambda x: F.pad(x * x, (2, 1, 0, 1), mode="replicate"), (3, 5, 4)),
    "volumes with repeated faces": (lambda x: F.pad(x * x, (1, 1, 0, 1, 1, 0), mode="replicate"), (1, 2, 3, 4, 3)),
    "images that go round": (lambda x: F.pad(x * x, (2, 1, 0, 1), mode="circular"), (2, 3, 5, 4)),
    "nearest of signals": (lambda x: F.interpolate(x * x, scale_factor=2), (2, 3, 4)),
    "between signals": (lambda x: F.interpolate(x * x, size=7, mode="linear"), (2, 3, 4)),
    "cubic between pixels": (lambda x: F.interpolate(x * x, size=(5, 7), mode="bicubic"), (2, 3, 4, 4)),
    "nearest of volumes": (lambda x: F.interpolate(x * x, scale_factor=2), (1, 2, 2, 3, 2)),
    "between volumes": (lambda x: F.interpolate(x * x, size=(3, 4, 3), mode="trilinear"), (1, 2, 2, 3, 2)),
    "patches": (lambda x: F.unfold(x * x, 2, stride=2), (2, 3, 4, 4)),
    "sum of patches": (lambda x: F.fold(x * x, (4, 5), 2), (2, 12, 12)),
    "pixels into channels": (lambda x: F.pixel_unshuffle(x * x, 2), (2, 3, 4, 4)),
    "shuffled channels": (lambda x: F.channel_shuffle(x * x, 2), (2, 4, 3, 3)),
    "pooled and put back": (lambda x: F.max_unpool2d(*F.max_pool2d(x.sin(), 2, return_indices=True), 2), (2, 3, 4, 4)),
    "volumes pooled and put back": (
        lambda x: F.max_unpool3d(*F.max_pool3d(x.sin(), 2, return_indices=True), 2),
        (2, 3, 4, 4, 2),
    ),
    "turned": lambda x: whole(torch.rot90, x * x, 1, [0, 1]),
    "on a diagonal": lambda x: torch.diag_embed(x * x),
    "selected": lambda x: (x * x).masked_select(X > 0),
    "taken": lambda x: whole(torch.take, x * x, torch.tensor([3, 3, 17])),
    "masked fill by a tensor": lambda x: x.masked_fill(X > 0, torch.tensor(0.5).double()) * x,
    "rounded up and off": lambda x: x.sin() * (x.ceil() + x.trunc() * 2),
    "difference": lambda x: 1 - x + x.sin() - 2 * x,
    "constant": lambda x: x * torch.ones(6).double() + randn(4, 1),
    "sum": lambda x: x.sum(),
    "sum of rows": lambda x: x.sum(1, keepdim=True) * x,
    "mean": lambda x: x.mean((0, 1)),
    "masked fill of a row": lambda x: x[0].masked_fill(X[:3] > 0, 0.5),
    "channels last": lambda x: x.view(1, 2, 3, 4).contiguous(memory_format=torch.channels_last),
    "masked mean": lambda x: (x * (X > 0)).sum() / (X > 0).sum(),
    "pad": lambda x: F.pad(x, (1, 2), value=2.0) * 3,
    "to integers": lambda x: x * (10 * x).long(),
    "one where": lambda x: torch.where(x > 0, x.sin(), 0.5),
    "noise": lambda x: x * seeded(torch.rand_like)(x) + x.sin() * seeded(torch.randn_like)(x),
    "dropout in its parts": lambda x: seeded(lambda x: F.dropout(x * x, 0.3))(x),
    "whole samples dropped": lambda x: x * seeded(lambda x: x.new_empty(4, 1).bernoulli_(0.5).div_(0.5))(x),
    "thrown": lambda x: x * thrown(x.sigmoid()),
    "where": lambda x: torch.where(x > 0, x * x, x),
    "masked fill": lambda x: x.masked_fill(x > 1, 0.5),
    "trained bias": (lambda x, b: F.conv2d(randn(2, 3, 5, 5), randn(4, 3, 3, 3), b) * x, (1,), (4,)),
    "embedding": (lambda w: F.embedding(torch.tensor([[0, 2], [2, 1]]), w), (4, 6)),
    "average pooling": (lambda x: F.avg_pool2d(x, 3, padding=1), (2, 3, 6, 6)),
    "nearest pixels": (lambda x: F.interpolate(x * x, scale_factor=2), (2, 3, 4, 4)),
    "between pixels": (lambda x: F.interpolate(x * x, size=(5, 7), mode="bilinear"), (2, 3, 4, 4)),
    "shuffled pixels": (lambda x: F.pixel_shuffle(x * x, 2), (2, 8, 3, 3)),
    "adaptive average pooling": (lambda x: F.adaptive_avg_pool2d(x, 3), (2, 3, 6, 6)),
    "equal to a number": lambda x: x.sin() * (x.relu() == 0),
    "equal": lambda x: x.sin() * (x == x.relu()),
    "not equal to a number": lambda x: x.sin() * (x.relu() != 0),
    "not equal": lambda x: x.sin() * (x != x.relu()),
    "greater than a number": lambda x: x * (x > 0.5),
    "greater": lambda x: x * (x > x.mT.reshape(4, 6)),
    "at least a number": lambda x: x * (x >= 0.5),
    "at least": lambda x: x * (x >= x.mT.reshape(4, 6)),
    "less than a number": lambda x: x * (x < 0.5),
    "less": lambda x: x * (x < x.mT.reshape(4, 6)),
    "at most a number": lambda x: x * (x <= 0.5),
    "at most": lambda x: x * (x <= x.mT.reshape(4, 6)),
    "place of the largest": lambda x: x.sin() * x.argmax(1, keepdim=True),
    "place of the smallest": lambda x: x.sin() * x.argmin(),
    "sign": lambda x: x.sin() * x.sign(),
    "finite": lambda x: x.sin() * whole(torch.isfinite, x),
    "not a number": lambda x: x.sin() * ~x.isnan(),
    "floor": lambda x: x * x.floor(),
    "round": lambda x: x * x.round(),
    "zeros alike": lambda x: x.sin() + torch.zeros_like(x),
    "ones alike": lambda x: x.sin() + torch.ones_like(x),
    "twos alike": lambda x: x.sin() * torch.full_like(x, 2),
    "empty alike": lambda x: x.sin() * torch.empty_like(x).fill_(2),
    "new zeros": lambda x: x.sin() + x.new_zeros(4, 1),
    "new ones": lambda x: x.sin() + x.new_ones(4, 1),
    "new empty": lambda x: x.sin() * x.new_empty(6).fill_(2),
    "detached": lambda x: x.sin() + 0 * x.detach(),
    "negative": lambda x: -x.sin(),
    "alias": lambda x: aten.alias(x) * x,
    "lifted": lambda x: aten.lift_fresh(x) * x,
    "times a number": lambda x: aten.mul.Scalar(x.sin(), 3.0),
    "by a number": lambda x: aten.div.Scalar(x.sin(), 3.0),
    "upper triangle": lambda x: x.sin().triu(1),
    "lower triangle": lambda x: x.sin().tril(-1),
    "copy": lambda x: x.sin().clone(),
    "copy in channels last": lambda x: x.sin().view(1, 2, 3, 4).clone(memory_format=torch.channels_last),
    "sum over no dimension": lambda x: x.sin().sum(()),
    "mean over no dimension": lambda x: x.sin().mean(()),
    "mean of columns": lambda x: x.sin().mean(0),
    "mean of all": lambda x: x.sin().mean(),
    "where, or a number": lambda x: torch.where(X > 0, x.sin(), 2.0),
    "plus a number": lambda x: aten.add.Scalar(x.sin(), 2.0, 3.0),
    "minus a number": lambda x: aten.sub.Scalar(x.sin(), 2.0, 3.0),
    "multiples added": lambda x: torch.add(x.sin(), x, alpha=-2),
    "multiple of given numbers added": lambda x: torch.add(x.sin(), X, alpha=-2),
    "multiple added to given numbers": lambda x: torch.add(X, x.sin(), alpha=-2),
    "multiple subtracted": lambda x: torch.sub(x.sin(), x, alpha=3),
    "multiple subtracted from given numbers": lambda x: torch.sub(X, x.sin(), alpha=3),
    "multiple subtracted the other way round": lambda x: aten.rsub.Tensor(x.sin(), x, alpha=3),
    "from given numbers": lambda x: aten.rsub.Tensor(x.sin(), X, alpha=3),
    "from a number": lambda x: aten.rsub.Scalar(x.sin(), 2.0, 3.0),
    "dropout": lambda x: dropped(x.sin(), True),
    "dropout of an evaluation": lambda x: dropped(x.sin(), False),
    "average pooling in channels last": (
        lambda x: F.avg_pool2d(x.to(memory_format=torch.channels_last), 2),
        (2, 3, 6, 6),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_operation(name):
    check_case(CASES[name])


def test_padding_of_an_embedding_is_not_trained():
    indices, w, tangents = torch.tensor([[0, 2], [2, 1]]), randn(4, 6), [randn(K, 4, 6, seed=1)]
    expected = by_reverse_mode(lambda w: weigh(F.embedding(indices, w, padding_idx=2)), [w], tangents)
    found = measure_second_order(lambda w: weigh(F.embedding(indices, w, padding_idx=2)), [w], tangents)
    torch.testing.assert_close(found, expected)


def test_an_embedding_scaled_by_frequency_has_the_slopes_of_the_reverse_mode():
    indices, w, tangents = torch.tensor([[0, 2, 2], [2, 1, 1]]), randn(4, 6), [randn(K, 4, 6, seed=1)]

    def function(w):
        return weigh(F.embedding(indices, w, padding_idx=1, scale_grad_by_freq=True))

    value, slopes, _ = forward(lambda w: (function(w), ()), (w,), tuple(tangents))
    torch.testing.assert_close((value, slopes), _first_order(function, w, tangents[0]))
    with pytest.raises(NotImplementedError, match="no forward-mode rule of second order for embeddings with scale_"):
        measure_second_order(function, [w], tangents)


def _first_order(function, point, tangents):
    point = point.clone().requires_grad_()
    value = function(point)
    return value.detach(), torch.einsum("kij,ij->k", tangents, torch.autograd.grad(value, point)[0])
