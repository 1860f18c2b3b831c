from __future__ import annotations

import os
from functools import partial

import pytest

from frog_cli.errors import RequestError
from frog_cli.reproduction import stored_rows, targets
from tests.processes import Process
from tests.reproduction.made_up_rows import row

FIG4 = targets.load("fig4")


def add_many(process: int) -> None:
    words = targets.jobs(FIG4, "paper")[process].words
    for seed in range(5):
        stored_rows.add(FIG4, "paper", "runs", [row(words, seed, "best_value", -float(seed))])


def test_rows_are_kept_in_the_order_of_the_target_and_replaced_by_the_same(place):
    first, second = (job.words for job in targets.jobs(FIG4, "paper")[:2])
    stored_rows.add(FIG4, "paper", "runs", [row(second, 1, "best_value", -1.5), row(second, 0, "best_value", 2.0)])
    stored_rows.add(FIG4, "paper", "runs", [row(first, 0, "best_value", 3.0), row(second, 0, "best_value", 4.0)])
    found = stored_rows.read(FIG4, place, "runs")
    assert [(one["request"], one["seed"]) for one in found] == [(first, "0"), (second, "0"), (second, "1")]
    assert [one["best_value"] for one in found] == ["3.0", "4.0", "-1.5"]  # a negative number is no formula


def test_processes_that_add_at_the_same_time_lose_nothing(place):
    code = "from tests.reproduction.test_stored_rows import add_many; add_many({})"
    adding = [Process(["-c", code.format(number)], os.environ) for number in range(4)]
    assert [process.wait(60) for process in adding] == [0] * 4
    found = stored_rows.read(FIG4, place, "runs")
    assert len({(one["request"], one["seed"]) for one in found}) == len(found) == 20


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (b"<<<<<<< HEAD\n", "row 2: is damaged"),
        (b"garbage,line\n", "row 2: is damaged"),
        (b"a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z," + b"1," * 50 + b"\n", "row 2: is damaged"),
        (b"\xff\xfe\n", ": is no text in UTF-8"),
    ],
)
def test_damaged_rows_are_told(damage, told, place):
    stored_rows.add(FIG4, "paper", "runs", [row(targets.jobs(FIG4, "paper")[0].words, 0, "best_value", 1.0)])
    path = place / "fig4" / "runs.csv"
    path.write_bytes(path.read_bytes() + damage)
    for read in (partial(stored_rows.read, FIG4, place, "runs"), partial(stored_rows.missing, FIG4, "paper")):
        with pytest.raises(RequestError, match=told):
            read()


@pytest.mark.usefixtures("place")
def test_what_has_no_row_is_missing_seed_by_seed():
    job, *others = targets.jobs(FIG4, "paper")
    stored_rows.add(FIG4, "paper", "runs", [row(job.words, seed, "best_value", 1.0) for seed in (0, 3)])
    assert stored_rows.missing(FIG4, "paper") == [job._replace(seeds=(1, 2, 4)), *others]


def test_a_curve_of_a_run_that_is_made_again_is_replaced_as_a_whole(place):
    first, second = (job.words for job in targets.jobs(FIG4, "paper")[:2])

    def curve(words: str, seed: int, steps: int, value: float) -> list[dict]:
        return [{"request": words, "seed": seed, "step": step, "best_value": value} for step in range(steps)]

    stored_rows.add(FIG4, "paper", "curves", [*curve(first, 0, 5, 1.0), *curve(first, 1, 5, 1.0)])
    stored_rows.add(FIG4, "paper", "curves", [*curve(first, 0, 3, 2.0), *curve(second, 0, 2, 3.0)])
    found = stored_rows.read(FIG4, place, "curves")
    values = [(one["request"] == first, one["seed"], one["step"], one["best_value"]) for one in found]
    assert values == [
        *((True, "0", f"{step}", "2.0") for step in range(3)),
        *((True, "1", f"{step}", "1.0") for step in range(5)),
        *((False, "0", f"{step}", "3.0") for step in range(2)),
    ]
