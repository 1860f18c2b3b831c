"""Operations that are constant or linear."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from frog_cli.gradients.measurement import forward
from frog_cli.jets.jet import measure_second_order
from tests.jets.oracles import K, X, by_reverse_mode, check_case, randn, weigh

CASES = {
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
    "where": lambda x: torch.where(x > 0, x * x, x),
    "masked fill": lambda x: x.masked_fill(x > 1, 0.5),
    "trained bias": (lambda x, b: F.conv2d(randn(2, 3, 5, 5), randn(4, 3, 3, 3), b) * x, (1,), (4,)),
    "embedding": (lambda w: F.embedding(torch.tensor([[0, 2], [2, 1]]), w), (4, 6)),
    "average pooling": (lambda x: F.avg_pool2d(x, 3, padding=1), (2, 3, 6, 6)),
    "adaptive average pooling": (lambda x: F.adaptive_avg_pool2d(x, 3), (2, 3, 6, 6)),
    # MORE
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
