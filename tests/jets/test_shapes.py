"""Operations that rearrange entries."""

from __future__ import annotations

import pytest
import torch

from tests.jets.oracles import LABELS, X, check_case

CASES = {
    "trace": lambda x: (x @ x.T).trace(),
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
    "reversed dimensions": lambda x: x.sin().t(),
    "unsqueeze": lambda x: x.sin().unsqueeze(-1) * x.unsqueeze(1),
    "squeeze of a dimension": lambda x: x.sin()[None].squeeze(0),
    "squeeze of dimensions": lambda x: x.sin()[None, :, None].squeeze((0, -2)),
    "expand by dimensions": lambda x: x.sin().expand(2, 4, 6),
    "part of the last dimension": lambda x: x.sin()[..., -2:],
    "rows": lambda x: x.sin().index_select(0, torch.tensor([1, 1, 3])),
    "diagonal": lambda x: x.sin().diagonal(),
    "diagonal beside": lambda x: x.sin().diagonal(1),
    "diagonal of other dimensions": lambda x: x.sin().view(2, 2, 6).diagonal(0, -1, 1),
    "windows": lambda x: x.sin().unfold(1, 3, 2),
    "flip": lambda x: x.sin().flip(-1),
    "roll": lambda x: x.sin().roll(1, 0),
    "repeat": lambda x: x.sin().repeat(2, 3),
    "split by sizes": lambda x: x.sin().split([1, 3])[1],
    "split along columns": lambda x: x.sin().split(4, -1)[1],
    "unsafe split": lambda x: torch.unsafe_split(x.sin(), 2)[1],
    "unbind columns": lambda x: x.sin().unbind(-1)[2],
    "cat with an empty one": lambda x: torch.cat([torch.empty(0).double(), x.sin(), x]),
    "stack with given numbers": lambda x: torch.stack([x.sin(), X], -1),
}


@pytest.mark.parametrize("name", CASES)
def test_operation(name):
    check_case(CASES[name])
