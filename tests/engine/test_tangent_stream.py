from __future__ import annotations

import pytest
import torch

from frog_cli.engine import tangent_stream
from frog_cli.engine.tangent_stream import TangentStream
from frog_cli.gradients import TANGENTS


def stream_of(seeds, after=0):
    return TangentStream(TANGENTS["normal"], seeds, torch.zeros(len(seeds), 4).double(), 4, after)


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4, 6, 7])
def test_the_stream_goes_on_after_any_step(after, monkeypatch):
    monkeypatch.setattr(tangent_stream, "_SAMPLED_AHEAD", 50)  # blocks of 3 steps
    whole, later = stream_of([0, 1]), stream_of([0, 1], after)
    taken = [next(whole).clone() for _ in range(10)]
    for expected in taken[after:]:
        assert torch.equal(next(later), expected)


def test_the_stream_depends_on_the_seed_alone_and_does_not_repeat(monkeypatch):
    monkeypatch.setattr(tangent_stream, "_SAMPLED_AHEAD", 50)  # blocks of 3 steps
    streams = [stream_of(seeds) for seeds in ([0, 1], [1])]
    taken = [[next(stream).clone() for _ in range(8)] for stream in streams]
    for both, alone in zip(*taken, strict=True):
        assert torch.equal(both[1], alone[0])
    assert len({V[1].sum().item() for V in taken[0]}) == 8


def test_peeking_takes_nothing():
    stream = stream_of([0])
    peeked = stream.peek().clone()
    assert torch.equal(next(stream), peeked)
    assert not torch.equal(next(stream), peeked)
