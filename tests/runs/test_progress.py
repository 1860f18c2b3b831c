from __future__ import annotations

import io

from frog_cli.runs.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_lines_are_thinned_out_and_the_last_is_kept():
    stream = io.StringIO()
    with Progress(100, "epoch", stream) as progress:
        for done in range(78):
            progress.show(done, f"line {done}", last=done == 77)
    lines = stream.getvalue().splitlines()
    assert lines == [f"line {done}" for done in range(0, 78, 5)] + ["line 77"]


def test_a_terminal_gets_a_bar():
    stream = Terminal()
    with Progress(10, "epoch", stream) as progress:
        progress.show(4, "loss 0.5")
    assert "4/10" in stream.getvalue()
    assert "loss 0.5" in stream.getvalue()
