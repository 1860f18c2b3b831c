"""Cells of recurrent networks that are one operation on a GPU, beside those that are several on the CPU."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.func import functional_call

from frog_cli.jets.jet import Jet, measure_second_order
from tests.jets.oracles import K, check_case, randn

aten = torch.ops.aten


def lstm(x, hidden, cell, of_input, of_hidden, bias):
    """Return what follows a step of an LSTM: by the fused operation for jets, else by torch's cell on the CPU."""
    if not isinstance(x, Jet):
        return torch.cat(torch.lstm_cell(x, (hidden, cell), of_input, of_hidden, bias, 2 * bias), 1)
    products = x @ of_input.t(), hidden @ of_hidden.t()
    return torch.cat(aten._thnn_fused_lstm_cell(*products, cell, bias, 2 * bias)[:2], 1)


def gru(x, hidden, of_input, of_hidden, bias):
    """Return the hidden state after a step of a GRU: by the fused operation for jets, else by torch's cell."""
    if not isinstance(x, Jet):
        return torch.gru_cell(x, hidden, of_input, of_hidden, bias, 2 * bias)
    return aten._thnn_fused_gru_cell(x @ of_input.t(), hidden @ of_hidden.t(), hidden, bias, 2 * bias)[0]


CASES = {
    "lstm": (lstm, (3, 4), (3, 2), (3, 2), (8, 4), (8, 2), (8,)),
    "gru": (gru, (3, 4), (3, 2), (6, 4), (6, 2), (6,)),
}


@pytest.mark.parametrize("name", CASES)
def test_operation(name):
    check_case(CASES[name])


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_whole_sequences_do_not_go_to_a_fused_kernel(kind, monkeypatch):
    """What a GPU would take is asked for by flags, which both are off while a sequence is read."""
    seen = []
    cells = kind(4, 2, batch_first=True).double()
    name = {nn.LSTM: "lstm", nn.GRU: "gru", nn.RNN: "rnn_tanh"}[kind]
    original = getattr(torch, name)

    def watched(*arguments):
        seen.append((torch._C._get_cudnn_enabled(), torch._C._get_mkldnn_enabled()))
        return original(*arguments)

    monkeypatch.setattr(torch, name, watched)
    before = torch._C._get_cudnn_enabled(), torch._C._get_mkldnn_enabled()
    names, weights = zip(*cells.named_parameters(), strict=True)

    def total(*values):
        return functional_call(cells, dict(zip(names, values, strict=True)), (randn(2, 3, 4),))[0].sum()

    points = [weight.detach() for weight in weights]
    measure_second_order(total, points, [randn(K, *point.shape) for point in points])
    assert seen == [(False, False)]
    assert (torch._C._get_cudnn_enabled(), torch._C._get_mkldnn_enabled()) == before
