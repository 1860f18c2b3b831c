from __future__ import annotations

import torch

from frog_cli.engine.memory import peak_memory

CPU = torch.device("cpu")


def test_peak_memory_is_what_is_held_at_once():
    def one_after_the_other():
        for _ in range(3):
            torch.ones(1000)

    def at_once():
        return [torch.ones(1000) for _ in range(3)]

    assert peak_memory(one_after_the_other, CPU) == 4000
    assert peak_memory(at_once, CPU) == 12000


def test_what_was_there_before_does_not_count():
    held = torch.ones(10_000)
    assert peak_memory(lambda: held.sum(), CPU) < 1000
