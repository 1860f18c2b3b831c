from __future__ import annotations

from frog_cli.studies.step_cost_table import as_text


def test_the_table_shows_small_memories_and_names_networks_without_options():
    row = {"model": "logistic_regression", "image": "1x8x8", "batch_size": 32, "gradient": "backprop"}
    row |= {"milliseconds": 0.7, "backprop_steps": 1.0, "inference_peaks": 1.1, "peak_bytes": 13_640}
    row |= {"plain_passes": 1.44, "plain_passes_low": 1.24, "plain_passes_high": 1.99}
    title, head, line = as_text([row]).splitlines()
    assert title == "logistic_regression, images 1x8x8, batch size 32"
    assert line.endswith("13.6 kB      1.10")
    assert len(head) == len(line)
    del row["peak_bytes"], row["inference_peaks"]
    title, head, line = as_text([row]).splitlines()
    assert "memory" not in head
    assert len(head) == len(line)
