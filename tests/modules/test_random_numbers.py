"""Sources of random numbers, on devices that this machine may not have as well."""

from __future__ import annotations

import torch

from frog_cli.modules.random_numbers import random_state, set_or_seed, set_random_state, set_states, states


def as_if_with_a_card(monkeypatch) -> list[torch.Tensor]:
    """Let torch seem to have a card; return a list of the states that its generator is given."""
    given: list[torch.Tensor] = [torch.arange(16, dtype=torch.uint8)]
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: given[-1])
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, device: given.append(state))
    monkeypatch.setattr(
        torch.cuda, "manual_seed", lambda seed: given.append(torch.tensor([seed % 251] * 16, dtype=torch.uint8))
    )
    return given


def test_models_on_a_card_draw_from_the_host_as_well(monkeypatch):
    given = as_if_with_a_card(monkeypatch)
    cuda = torch.device("cuda")
    before = random_state(cuda)
    drawn = torch.rand(3)
    set_random_state(cuda, before)
    assert torch.equal(torch.rand(3), drawn)
    assert torch.equal(given[-1], before[1])


def test_states_go_from_the_host_to_a_card_and_back(monkeypatch):
    given = as_if_with_a_card(monkeypatch)
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    of_host, of_card = states(cpu), states(cuda)
    drawn = torch.rand(3)
    set_states(cuda, of_host)
    seeded = given[-1]
    assert torch.equal(torch.rand(3), drawn)
    torch.rand(5)
    set_states(cuda, of_host)
    assert torch.equal(given[-1], seeded)  # by what the state was
    set_states(cpu, of_card)
    assert torch.equal(torch.rand(3), drawn)


def test_a_generator_is_seeded_by_a_state_of_another_kind():
    one, other, same = (torch.Generator() for _ in range(3))
    set_or_seed(one, torch.arange(16, dtype=torch.uint8))
    set_or_seed(other, torch.ones(16, dtype=torch.uint8))
    set_or_seed(same, one.get_state())
    assert torch.equal(torch.rand(3, generator=one), torch.rand(3, generator=same))
    assert not torch.equal(torch.rand(3, generator=one), torch.rand(3, generator=other))
