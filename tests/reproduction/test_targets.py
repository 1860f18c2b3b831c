from __future__ import annotations

import pytest

from frog_cli.data import locations
from frog_cli.errors import RequestError
from frog_cli.files.shipped import folder
from frog_cli.reproduction import targets
from frog_cli.reproduction.figures.by_target import FIGURES
from frog_cli.search import tables
from frog_cli.search.record import Evaluation
from frog_cli.settings import learning_rates
from frog_cli.settings.composing import sweep
from frog_cli.settings.requests import quality_request, search_request, train_request

NUMBERS = {"fig3": 1, "fig4": 3 * 11 * 8 * 5, "fig5": 1 + 4 * 6 * 5, "fig6": 3 * 8 * 3, "table1": 4 * 8 * 3,
           "fomoh_step": 5 * 200, "fomoh_rosenbrock_2d": 6 * 10, "fomoh_rosenbrock_10d": 10 * (9 * 5 + 1),
           "fomoh_logistic_regression": 9 * 5, "fomoh_cnn": 9 * 3,
           "step_lengths": 2 * 2 * 5 * 3 * 5 + 2 * 5 * 2 * 5 + 5 * 10 * 3 + 2 * 10 * 3 + 4 * 9 * 3}  # fmt: skip


def test_every_target_has_a_file_a_place_in_the_order_and_a_figure():
    files = {path.stem for path in (folder("conf") / "targets").glob("*.yaml")} - {"order"}
    assert files == set(targets.names()) == set(FIGURES)


@pytest.mark.parametrize("name", NUMBERS)
def test_targets_have_the_papers_runs(name):
    assert targets.count(targets.jobs(targets.load(name), "paper")) == NUMBERS[name]


@pytest.mark.parametrize("name", ["fig6", "table1", "fomoh_logistic_regression", "fomoh_cnn"])
def test_a_laptop_compares_what_the_papers_compare(name):
    """The same methods on as many problems, with as many seeds each; only their size differs."""
    of_paper, of_laptop = (
        [
            (job.options["gradient"], job.options.get("gradient.k"), "schedule.name" in job.options, job.seeds)
            for job in targets.jobs(targets.load(name), scale)
            if job.kind == "train" and job.options.get("schedule.name") != "none"
        ]
        for scale in ("paper", "laptop")
    )
    without_schedule = [
        (job.options["gradient"], job.options.get("gradient.k"), False, job.seeds)
        for job in targets.jobs(targets.load(name), "paper")
        if job.options.get("schedule.name") == "none"
    ]
    assert sorted(of_laptop, key=str) == sorted([*of_paper, *without_schedule], key=str)


@pytest.mark.parametrize("scale", ["paper", "laptop", "smoke"])
@pytest.mark.parametrize("name", targets.names())
def test_jobs_compose(name, scale):
    jobs = targets.jobs(targets.load(name), scale)
    assert len({(job.kind, job.words) for job in jobs}) == len(jobs)
    for job in [*jobs[:1], *jobs[len(jobs) // 2 :: max(1, len(jobs) // 3)]]:
        words = job.words.replace("learning_rate=searched", "learning_rate=1").split()  # found only after a search
        if job.kind == "quality":
            quality_request(words)
        elif job.kind == "search":
            search_request(words)
        else:
            assert train_request(words).runs


@pytest.mark.parametrize("name", targets.names())
def test_searched_rates_that_a_target_does_not_search_itself_are_found(name):
    """Frog comes with them; their runs are like those of the target."""
    target = targets.load(name)
    if targets.searches(target, "paper"):
        pytest.skip("it searches what it needs")
    for job in targets.jobs(target, "paper"):
        if job.kind == "train" and "learning_rate=searched" in job.words.split():
            assert train_request(job.arguments).runs[0].learning_rate > 0


def test_a_job_takes_its_words_apart():
    job = targets.Job("train", "objective=sphere objective.n=2 optimizer.options={a=b}", (0, 3))
    assert job.options == {"objective": "sphere", "objective.n": "2", "optimizer.options": "{a=b}"}
    assert job.arguments == ["objective=sphere", "objective.n=2", "optimizer.options={a=b}", "seeds=[0,3]"]
    assert job.runs == [(job.words, 0), (job.words, 3)]
    study = targets.Job("quality", "n=8 k=[1,2] seeds=20", ())
    assert (study.arguments, study.runs) == (["n=8", "k=[1,2]", "seeds=20"], [])


@pytest.mark.parametrize("name", targets.names())
def test_no_job_gives_an_option_twice(name):
    for job in targets.jobs(targets.load(name), "paper"):
        assert len(job.options) == len(job.words.split())


def test_targets_are_chosen_once_each_in_the_order_given():
    chosen = [target.name for target in targets.chosen(["fig5", "fig3", "fig5"])]
    assert chosen == ["fig5", "fig3"]
    assert [target.name for target in targets.chosen(["all"])] == targets.names()
    with pytest.raises(RequestError, match="fig9: must be one of fig3, fig4"):
        targets.chosen(["fig9"])


def test_jobs_that_differ_in_a_pooled_option_alone_are_taken_together():
    target = targets.load("fomoh_rosenbrock_10d")
    jobs = targets.jobs(target, "paper")
    groups = targets.pooled(target, jobs)
    assert [len(group) for group in groups.values()] == [10] * 10
    assert [job for group in groups.values() for job in group] == list(jobs)
    for words, group in groups.items():
        assert [" ".join(one) for one in sweep(words.split())] == [job.words for job in group]
    target = targets.load("fig4")
    assert list(targets.pooled(target, targets.jobs(target, "paper"))) == [
        job.words for job in targets.jobs(target, "paper")
    ]


@pytest.mark.parametrize("name", ["fig6", "table1", "fomoh_logistic_regression", "fomoh_cnn"])
def test_what_is_run_on_a_laptop_is_complete_and_looks_up_what_it_searches(name, tmp_path, monkeypatch):
    """Each run, with the rate that one of the searches found, is as long as the runs of that search."""
    monkeypatch.setenv("FROG_SWEEPS", str(tmp_path))
    monkeypatch.setattr(locations, "content", lambda data: {})  # there need not be any here
    monkeypatch.setattr(learning_rates, "folder", lambda name: tmp_path / "shipped" / name)  # frog comes with none
    jobs = targets.jobs(targets.load(name), "laptop")
    plans = [search_request(job.arguments) for job in jobs if job.kind == "search"]
    (tmp_path / "searched").mkdir()
    for number, plan in enumerate(plans):
        run = plan.request.runs[0]
        best = Evaluation(0, {plan.searched: 0.001 * (number + 1)}, 0.0, "completed", [0.0], 0.0, 0)
        tables.write(tmp_path / "searched", plan, run, best, [best] * plan.search.evaluations)
    found = []
    for job in jobs:
        if job.kind == "train":
            runs = train_request(job.arguments).runs
            found += [round(runs[0].learning_rate / 0.001) - 1]
            searched = plans[found[-1]].request.runs[0]
            assert runs[0].model_copy(update={"learning_rate": searched.learning_rate}) == searched
    assert sorted(found) == list(range(len(plans)))
