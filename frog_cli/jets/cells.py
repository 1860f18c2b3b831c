"""Rules for the cells of recurrent networks that are one operation on a GPU."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from frog_cli.jets.jet import value_of


def lstm_cell(
    of_input: Any, of_hidden: Any, cell: Any, input_bias: Any = None, hidden_bias: Any = None
) -> tuple[Any, Any, Tensor]:
    """Return the hidden state and the cell after a step, and an empty tensor for what the reverse mode needs.

    Args:
        of_input: the inputs times their weights, `[B, 4 H]`: for the gates of input and forgetting, the new content
            and the gate of output.
        of_hidden: the hidden state times its weights, alike.
        cell: `[B, H]`.
        input_bias: added to `of_input`.
        hidden_bias: added to `of_hidden`.
    """
    gates = _shifted(of_input, input_bias) + _shifted(of_hidden, hidden_bias)
    take, keep, content, give = gates.split(gates.shape[1] // 4, 1)
    cell = keep.sigmoid() * cell + take.sigmoid() * content.tanh()
    return give.sigmoid() * cell.tanh(), cell, value_of(gates).new_empty(0)


def gru_cell(
    of_input: Any, of_hidden: Any, hidden: Any, input_bias: Any = None, hidden_bias: Any = None
) -> tuple[Any, Tensor]:
    """Return the hidden state after a step, and an empty tensor for what the reverse mode needs.

    Args:
        of_input: the inputs times their weights, `[B, 3 H]`: for the gates of resetting and updating and the content.
        of_hidden: the hidden state times its weights, alike.
        hidden: `[B, H]`.
        input_bias: added to `of_input`.
        hidden_bias: added to `of_hidden`.
    """
    of_input, of_hidden = _shifted(of_input, input_bias), _shifted(of_hidden, hidden_bias)
    size = of_input.shape[1] // 3
    reset, update, content = of_input.split(size, 1)
    reset_by_hidden, update_by_hidden, content_by_hidden = of_hidden.split(size, 1)
    new = (content + (reset + reset_by_hidden).sigmoid() * content_by_hidden).tanh()
    return new + (update + update_by_hidden).sigmoid() * (hidden - new), value_of(new).new_empty(0)


def _shifted(product: Any, bias: Any) -> Any:
    return product if bias is None else product + bias
