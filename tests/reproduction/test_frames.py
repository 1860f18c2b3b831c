from __future__ import annotations

from frog_cli.reproduction.frames import describe_starts
from tests.reproduction.made_up_rows import searches


def test_runs_that_start_from_their_own_seeds_are_starts():
    runs, _ = searches()
    assert describe_starts(runs.drop(columns="start_seed")) == "3 starts"
    assert describe_starts(runs[runs["gradient"] == "newton"]) == "2 starts"
