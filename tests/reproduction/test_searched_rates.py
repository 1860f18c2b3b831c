from __future__ import annotations

from frog_cli.reproduction import targets
from frog_cli.reproduction.searched_rates import rates_beside_published


def test_searches_of_what_multiplies_lengths_have_no_rate_to_compare(searches):
    searches.mkdir(parents=True)
    head = "function,n,gradient,step.factor,search_request,search_method,search_low,search_high"
    (searches / "learning_rates_factor.csv").write_text(f"{head}\nsphere,4,backprop,0.5,some words,evolution,-2,0\n")
    table = rates_beside_published(targets.load("learning_rates"), "paper")
    assert "some words" not in {row["request"] for row in table}
    assert all(row["searched"] is None for row in table)
