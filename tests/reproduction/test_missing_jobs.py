from __future__ import annotations

from frog_cli.reproduction import missing_jobs, targets
from frog_cli.reproduction.jobs import Order


def test_a_search_that_several_targets_want_is_made_once_and_before_all_runs():
    """Two processes that make it at the same time would stand in each other's way."""
    loaded = [targets.load(name) for name in ("fig6", "learning_rates")]
    orders = [Order(target, job, only_done=False) for target in loaded for job in targets.jobs(target, "laptop")]
    searches, runs = missing_jobs.phases(orders)
    words = [order.job.words for order in searches]
    assert len(words) == len({*words}) < sum(order.job.kind == "search" for order in orders)
    assert {*words} == {order.job.words for order in orders if order.job.kind == "search"}
    assert runs == [order for order in orders if order.job.kind == "train"]
    assert missing_jobs.phases(runs) == [runs]
    assert missing_jobs.phases([]) == []
