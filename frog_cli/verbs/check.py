"""frog check: whether ideas keep the contract of their kind, with what was expected and seen."""

from __future__ import annotations

from collections.abc import Sequence

from frog_cli.errors import RequestError
from frog_cli.ideas import sources

HELP = """usage: frog check [FILE.py | MODULE ...]

Judge ideas: each kind of them by its contract, such as that a sampler draws from the given generator alone, or that the
derivative of a function agrees with finite differences. What fails says what was expected and seen. Without files or
modules frog judges its own ideas. Examples:
  frog check my_ideas.py
  frog check
"""


def help_text() -> str:
    """Return the usage."""
    return HELP


def main(arguments: Sequence[str]) -> int:
    """Carry out `frog check` and return its exit status: 1 if a check failed."""
    named = sources.named(arguments)
    wanted = named if arguments else sources.own()
    chosen = [(source, one) for source, one in list(sources.declarations(named)) if source in wanted]

    if not chosen:
        where = " and ".join(str(source.path) for source in wanted)
        raise RequestError(
            where,
            "has no idea: those are functions at its top level with a decorator of frog_cli.ideas, as in "
            "@ideas.tangents above def my_tangents(shape, generator, dtype)",
        )

    from frog_cli.judging.ideas import judge  # imports torch
    from frog_cli.judging.table import table, verdict

    failed = untold = 0
    for source, one in chosen:
        findings = judge(sources.load(source, one), one)
        failed += any(finding.ok is False for finding in findings)
        untold += all(finding.ok is None for finding in findings)
        kind = one.kind.replace("_", " ")
        print(f"{kind} {one.name}: {verdict(findings)}\n{source.path}, line {one.line}\n{table(findings)}\n")
    kept = f"{len(chosen) - failed - untold} of {len(chosen)} ideas keep the contract of their kind"
    print(f"{kept}; {untold} cannot be judged here" if untold else kept)
    return 1 if failed else 0
