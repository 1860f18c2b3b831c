"""Findings as text: a line for each check, and a verdict."""

from __future__ import annotations

from collections.abc import Sequence

from frog_cli.judging.findings import Finding

_SIGNS = {True: "ok", False: "FAILED", None: "-"}


def table(findings: Sequence[Finding]) -> str:
    """Return a line for each finding: ok, FAILED, or - where a check only informs or does not apply."""
    width = max((len(finding.check) for finding in findings), default=0)
    return "\n".join(f"{_SIGNS[ok]:6}  {check:{width}}  {seen}" for check, ok, seen in findings)


def verdict(findings: Sequence[Finding]) -> str:
    """Return in one sentence how many checks are passed, and which failed."""
    failed = [finding.check for finding in findings if finding.ok is False]
    passed = sum(finding.ok is True for finding in findings)
    if failed:
        return f"{len(failed)} of {len(findings)} checks failed: {', '.join(failed)}"
    return f"no check failed: {passed} passed, {len(findings) - passed} inform"
