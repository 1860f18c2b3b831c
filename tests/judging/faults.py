"""What the tests of all judges share."""

from __future__ import annotations

from collections.abc import Sequence

from frog_cli.judging.findings import Finding


def failed(findings: Sequence[Finding]) -> list[str]:
    """Return the names of the checks that failed."""
    return [finding.check for finding in findings if finding.ok is False]


def seen(findings: Sequence[Finding], check: str) -> Finding:
    """Return what one check found."""
    return next(finding for finding in findings if finding.check == check)
