from __future__ import annotations

import pytest
import torch

from frog_cli.errors import RequestError
from frog_cli.objectives import devices


def test_device():
    assert devices.device("cpu") == torch.device("cpu")
    if not torch.cuda.is_available():
        with pytest.raises(RequestError, match="device=cuda: is not on this machine, which has cpu"):
            devices.device("cuda")
