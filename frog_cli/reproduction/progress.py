"""What is done of targets, what is missing, and what it costs."""

from __future__ import annotations

from frog_cli.reproduction import stored_rows, targets
from frog_cli.reproduction.targets import Scale, Target


def describe(target: Target, scale: Scale) -> str:
    """Return how much of a target is done."""
    total, left = _numbers(target, scale)
    return "done" if not left else f"{total - left} of {total} done"


def table(scale: Scale) -> str:
    """Return the state of all targets; a run that is missing is taken to cost as much as one that is done."""
    lines = [f"{'target':<26} {'done':>5} {'missing':>8}  {'hours so far':>12} {'hours left':>10}  title"]
    for name in targets.names():
        target = targets.load(name)
        total, left = _numbers(target, scale)
        found = stored_rows.read(target, stored_rows.results_folder(targets.own_scale(target, scale)), "runs")
        seconds = [float(row["seconds"]) for row in found if row.get("seconds")]
        spent = f"{sum(seconds) / 3600:.2f}" if seconds else "-"
        rest = f"{sum(seconds) / len(seconds) * left / 3600:.2f}" if seconds and left else "-" if left else "0"
        lines.append(f"{name:<26} {total - left:>5} {left:>8}  {spent:>12} {rest:>10}  {target.title}")
    return "\n".join(lines)


def _numbers(target: Target, scale: Scale) -> tuple[int, int]:
    """Return how many runs, studies and searches a target has, and how many of them are missing."""
    return targets.count(targets.jobs(target, scale)), targets.count(stored_rows.missing(target, scale))
