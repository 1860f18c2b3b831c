"""Largest and smallest entries."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from frog_cli.jets.jet import measure_second_order
from tests.jets.oracles import check_case

CHANCE = torch.rand(2, 3, 2, generator=torch.Generator().manual_seed(0)).double()

CASES = {
    "in order": lambda x: (x * x).sort(1).values,
    "in falling order": lambda x: (x * x).sort(dim=0, descending=True)[0] * x,
    "largest two": lambda x: (x * x).topk(2).values,
    "smallest two of a column": lambda x: x.sin().topk(2, dim=0, largest=False).values,
    "maximum": lambda x: x.max(),
    "maxima": lambda x: x.max(1).values,
    "largest": lambda x: x.amax(0),
    "max pooling": (lambda x: F.max_pool2d(x, 2), (2, 3, 6, 6)),
    "overlapping max pooling": (lambda x: F.max_pool2d(x, 3, 2, 1), (2, 3, 6, 6)),
    "minimum": lambda x: x.sin().min(),
    "minima": lambda x: x.sin().min(1).values,
    "smallest": lambda x: x.sin().amin((0, 1), keepdim=True),
    "largest of all": lambda x: x.sin().amax(),
    "maxima, kept": lambda x: x.sin().max(0, keepdim=True).values,
    "larger": (lambda x, y: torch.maximum(x * x, y), (4, 6), (4, 6)),
    "smaller": (lambda x, y: torch.minimum(x.sin(), y), (4, 6), (6,)),
    "middle": lambda x: x.sin().median(),
    "middles": lambda x: x.sin().median(1).values * x.sin().median(0, keepdim=True).values[:, :4].mean(),
    "third smallest": lambda x: x.sin().kthvalue(3).values,
    "second smallest of a column": lambda x: x.sin().kthvalue(2, 0, keepdim=True).values,
    "largest so far": lambda x: x.sin().cummax(1).values,
    "smallest so far": lambda x: x.sin().cummin(0).values,
    "max pooling of volumes": (lambda x: F.max_pool3d(x.sin(), 2, 1), (2, 3, 3, 4, 4)),
    "adaptive max pooling": (lambda x: F.adaptive_max_pool2d(x.sin(), (2, 3)), (2, 3, 5, 6)),
    "adaptive max pooling of signals": (lambda x: F.adaptive_max_pool1d(x.sin(), 3), (2, 3, 7)),
    "adaptive max pooling of volumes": (lambda x: F.adaptive_max_pool3d(x.sin(), 2), (2, 3, 4, 4)),
    "fractional max pooling": (lambda x: F.fractional_max_pool2d(x.sin(), 2, 3, _random_samples=CHANCE), (2, 3, 7, 7)),
    "fractional max pooling of volumes": (
        lambda x: F.fractional_max_pool3d(x.sin(), 2, 3, _random_samples=torch.cat([CHANCE, CHANCE[..., :1]], -1)),
        (2, 3, 5, 5, 5),
    ),
    "equal": lambda x: torch.maximum(x.sin(), x.sin() * 1) + torch.minimum(x * x, x * x * 1),
    "max pooling in channels last": (lambda x: F.max_pool2d(x.to(memory_format=torch.channels_last), 2), (2, 3, 6, 6)),
}


@pytest.mark.parametrize("name", CASES)
def test_operation(name):
    check_case(CASES[name])


@pytest.mark.parametrize("of_two", [torch.maximum, torch.minimum])
def test_of_two_entries_what_is_no_number_or_large_is_as_in_torch(of_two):
    x = torch.tensor([torch.nan, 1.5e308, 1.0]).double()
    y = torch.tensor([0.0, 1.5e308, torch.nan]).double()
    value, slopes, _ = measure_second_order(of_two, [x, y], [torch.ones(1, 3).double(), torch.zeros(1, 3).double()])
    torch.testing.assert_close(value, of_two(x, y), equal_nan=True)
    assert slopes[1, 0] == 0.5
