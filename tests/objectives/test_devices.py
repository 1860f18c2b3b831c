from __future__ import annotations

import pytest
import torch

from frog_cli.errors import RequestError
from frog_cli.objectives import devices
from frog_cli.settings.requests import bench_request
from frog_cli.studies import step_costs


def test_device():
    assert devices.device("cpu") == torch.device("cpu")
    if not torch.cuda.is_available():
        with pytest.raises(RequestError, match="device=cuda: is not on this machine, which has cpu"):
            devices.device("cuda")


def test_precision():
    flags = torch.backends.cudnn, torch.backends.cuda.matmul
    before = [one.allow_tf32 for one in flags]
    try:
        for tf32 in (True, False):
            devices.set_precision(tf32)
            assert [one.allow_tf32 for one in flags] == [tf32, tf32]
    finally:
        for one, was in zip(flags, before, strict=True):
            one.allow_tf32 = was


def test_what_is_measured_by_frog_bench_is_not_of_tf32(monkeypatch):
    told = []
    monkeypatch.setattr(devices, "set_precision", told.append)
    words = ["gradient=backprop", "model.width=8", "batch_size=4", "bench.rounds=1", "bench.memory=false"]
    step_costs.measure(bench_request(words))
    step_costs.measure(bench_request([*words, "tf32=true"]))
    assert told == [False, True]
