"""Step costs as a table of text."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.ticker import EngFormatter

from frog_cli.files.csv import Row
from frog_cli.studies.step_cost_rows import name_of


def as_text(rows: Sequence[Row]) -> str:
    """Return the rows as aligned columns, below a title for each network."""
    size = EngFormatter(unit="B", places=1)
    head = f"{'':<44} {'k':>4} {'ms':>9} {'plain passes':>23} {'backprops':>10}"
    head += f" {'peak memory':>12} {'inference':>9}" if "peak_bytes" in rows[0] else ""
    head += f" {'exchanged':>10}" if any("exchanged_bytes" in row for row in rows) else ""
    lines, network = [], ""
    for row in rows:
        options = ("width", "depth", "grouping")
        words = [row["model"], *(f"{name}={row[name]}" for name in options if row.get(name) is not None)]
        now = f"{' '.join(words)}, images {row['image']}, batch size {row['batch_size']}"
        if now != network:
            lines += [now, head]
            network = now
        spread = f"{row['plain_passes']:.2f} ({row['plain_passes_low']:.2f} - {row['plain_passes_high']:.2f})"
        line = f"{name_of(row):<44} {row.get('k') or '':>4} {row['milliseconds']:>9.2f} {spread:>23}"
        line += f" {row['backprop_steps']:>10.2f}"
        if "peak_bytes" in row:
            line += f" {size(row['peak_bytes']):>12} {row['inference_peaks']:>9.2f}"
        line += f" {size(row['exchanged_bytes']):>10}" if "exchanged_bytes" in row else ""
        lines.append(line)
    return "\n".join(lines)
