from __future__ import annotations

from frog_cli.judging.findings import Finding
from frog_cli.judging.table import table, verdict

FINDINGS = [
    Finding("shape", True, "as asked for"),
    Finding("dtype", False, "expected torch.float32, saw torch.float64"),
    Finding("unbiased for sum and mean", None, "yes (z = 0.5)"),
]


def test_a_line_for_each_check():
    assert table(FINDINGS).splitlines() == [
        "ok      shape                      as asked for",
        "FAILED  dtype                      expected torch.float32, saw torch.float64",
        "-       unbiased for sum and mean  yes (z = 0.5)",
    ]
    assert table([]) == ""


def test_the_verdict_names_what_failed():
    assert verdict(FINDINGS) == "1 of 3 checks failed: dtype"
    assert verdict(FINDINGS[::2]) == "no check failed: 1 passed, 1 inform"
