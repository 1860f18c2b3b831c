"""What a run ran on."""

from __future__ import annotations

import platform

import torch

from frog_cli.runs.environment import environment


def test_a_run_on_the_cpu_of_a_machine_with_a_card_did_not_run_on_the_card(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device=None: f"card of {device}")
    assert environment("cpu")["processor"] == (platform.processor() or platform.machine())
    assert environment("cuda:1")["processor"] == "card of cuda:1"
