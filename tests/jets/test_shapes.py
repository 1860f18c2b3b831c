"""Operations that rearrange entries."""

from __future__ import annotations

import pytest
import torch

from tests.jets.oracles import LABELS, check_case

CASES = {
    "cumsum": lambda x: x.cumsum(0),
    "view": lambda x: x.view(2, 12),
    "flatten": lambda x: x.flatten(),
    "permute": lambda x: x.reshape(2, 2, 6).permute(2, 0, 1),
    "transpose": lambda x: x.transpose(0, -1),
    "expand": lambda x: x[:1].expand(3, 6),
    "squeeze": lambda x: x[None].squeeze(),
    "slice": lambda x: x[:, 1:5:2],
    "index": lambda x: x[:, [0, 0, 2]],
    "select": lambda x: x[..., 1],
    "gather": lambda x: x.gather(1, LABELS[:, None]),
    "cat": lambda x: torch.cat([x, x * x, torch.ones(1, 6).double()]),
    "cat columns": lambda x: torch.cat([x.exp(), x], 1),
    "stack": lambda x: torch.stack([x, x.sin()], 1),
    "split": lambda x: x.split(2, 1)[1] * x.chunk(3, 1)[0],
    "unbind": lambda x: x.unbind(0)[2],
    # MORE
}


@pytest.mark.parametrize("name", CASES)
def test_operation(name):
    check_case(CASES[name])
