"""Batch scripts: as text, run by bash with a stand-in for frog, and (make test-slurm) by a real Slurm."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest

from frog_cli.cli import main
from frog_cli.cluster.slurm import script, seconds
from frog_cli.runs.identity import identity
from frog_cli.settings.requests import slurm_settings, train_request

EVIL = "data.variant='$(touch /tmp/no); `no` \"no\" ; &'"


def written(*settings: str, commands=(("train", "seed=0"),), python="python", folder="/tmp", logs="/logs") -> str:
    return script(slurm_settings(settings), "frog-train", python, commands, folder, logs, {"FROG_RUNS": "/my runs"})


def test_the_script_asks_for_what_is_set_and_nothing_else():
    text = written("slurm.time=02:00:00", "slurm.gpus=2", "slurm.memory=16G", "slurm.options=['--constraint=a100']")
    asked = [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH ")]
    assert asked == [
        "--job-name=frog-train", "--time=02:00:00", "--ntasks=1", "--cpus-per-task=1", "--gpus=2", "--mem=16G",
        "--output=/logs/%x-%j.log", "--open-mode=append", "--signal=B:USR1@120", "--requeue", "--constraint=a100",
    ]  # fmt: skip
    assert "srun" not in text


def test_a_sweep_is_an_array_with_one_task_for_each_command():
    text = written("slurm.at_once=2", commands=[["train", "seed=0"], ["train", "seed=1"], ["train", "seed=2"]])
    assert "#SBATCH --array=0-2%2\n" in text
    assert "#SBATCH --output=/logs/%x-%A_%a.log\n" in text
    assert "\n1) words=(train seed=1) ;;\n" in text


def test_several_processes_are_started_by_srun_which_ends_all_if_one_fails():
    text = written("slurm.tasks=4", "slurm.mpi=pmi2", "slurm.setup=[module load mpi]")
    assert "\nsrun --kill-on-bad-exit=1 --mpi=pmi2 python -m frog_cli" in text
    assert text.index("\nmodule load mpi\n") < text.index("\nsrun ")


@pytest.mark.parametrize("words", [["train", EVIL], ["train", "a=\n"], ["train", "it's"], ["train", "* ?"]])
def test_every_word_reaches_frog_as_it_was_given(words, tmp_path):
    echo = tmp_path / "echo words"
    echo.write_text('#!/bin/bash\nprintf "%s\\0" "$@"\n')
    echo.chmod(0o755)
    text = written(commands=[words], python=str(echo), folder=str(tmp_path))
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout.split("\0")[:-1] == ["-m", "frog_cli", *words]


@pytest.mark.parametrize(
    ("time_", "expected"),
    [("90", 5400), ("2:30", 150), ("01:00:00", 3600), ("1-0", 86400), ("1-02", 93600), ("1-02:03", 93780),
     ("2-00:00:01", 172801)],
)  # fmt: skip
def test_limits_of_time_are_read_as_slurm_does(time_, expected):
    assert seconds(time_) == expected


@pytest.mark.parametrize(
    ("sent", "status", "requeued"),
    [(signal.SIGUSR1, 138, True), (signal.SIGTERM, 143, False), (None, 0, False), (None, 1, False)],
)
def test_a_job_goes_back_into_the_queue_after_its_time_and_only_then(sent, status, requeued, tmp_path):
    program = tmp_path / "frog"  # saves its state on a signal, as frog does, and takes its time
    program.write_text(
        "#!/bin/bash\ntrap 'sleep 0.3; exit 138' USR1; trap 'sleep 0.3; exit 143' TERM\n"
        f"touch started; for i in {{1..{200 if sent else 1}}}; do sleep 0.05; done; exit {status}\n"
    )
    (tmp_path / "scontrol").write_text(f'#!/bin/bash\necho "$@" > {tmp_path}/requeued\n')
    for path in (program, tmp_path / "scontrol"):
        path.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "17"}
    text = written(python=str(program), folder=str(tmp_path))
    process = subprocess.Popen(["bash", "-c", text], env=environment, stdout=subprocess.DEVNULL)
    while not (tmp_path / "started").exists():
        time.sleep(0.02)
    if sent:
        process.send_signal(sent)
    assert process.wait(timeout=20) == status
    assert (tmp_path / "requeued").exists() is requeued
    if requeued:
        assert (tmp_path / "requeued").read_text() == "requeue 17\n"


SWEEP = ["train", "-m", "objective=sphere", "objective.n=4", "gradient.k=2", "steps=5", "seed=0,1"]


@pytest.mark.parametrize("name", ["100%j", "it's", "a#b", 'a"b', "a\\b", "a\nb", "a\tb"])
def test_a_path_that_slurm_cannot_write_to_is_refused(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FROG_RUNS", str(tmp_path / name))
    assert main(["submit", "--dry-run", *SWEEP]) == 2
    assert "which Slurm cannot take" in capsys.readouterr().err


def test_a_job_finds_the_folders_of_here(tmp_path, monkeypatch, capsys):
    for variable in ("FROG_RUNS", "FROG_RESULTS", "FROG_SWEEPS", "FROG_DATA"):
        monkeypatch.setenv(variable, str(tmp_path / f"of {variable}"))
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert main(["submit", "--dry-run", "reproduce", "fig5", "scale=smoke"]) == 0
    text = capsys.readouterr().out
    for variable in ("FROG_RUNS", "FROG_RESULTS", "FROG_SWEEPS", "FROG_DATA"):
        assert f"export {variable}='{tmp_path}/of {variable}'\n" in text
    assert "export OMP_NUM_THREADS=3\n" in text


def test_dry_run_prints_a_script_that_bash_can_read(runs, capsys):
    assert main(["submit", "--dry-run", "slurm.time=60", *SWEEP]) == 0
    text = capsys.readouterr().out
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
    assert "#SBATCH --array=0-1\n" in text
    assert f"export FROG_RUNS={shlex.quote(str(runs))}\n" in text
    assert not runs.exists() or not any(runs.iterdir())


def test_what_is_done_is_not_submitted_again(capsys):
    assert main(["train", *SWEEP[2:-1], "seed=1"]) == 0
    capsys.readouterr()
    assert main(["submit", "--dry-run", *SWEEP]) == 0
    told = capsys.readouterr()
    assert "1 of 2 jobs are done already" in told.err
    assert "seed=0" in told.out
    assert "seed=1" not in told.out
    assert main(["train", *SWEEP[2:-1], "seed=0"]) == 0
    assert main(["submit", "--dry-run", *SWEEP]) == 0
    assert capsys.readouterr().out.endswith("nothing to submit\n")
    assert main(["submit", "--dry-run", *SWEEP, "device=cpu,auto", "overwrite=true"]) == 0
    assert "2 more would make the runs of others" in capsys.readouterr().err
    assert main(["submit", "--dry-run", *SWEEP, "overwrite=true"]) == 0
    assert "#SBATCH --array=0-1\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "frog submit: needs one of the verbs train, search, reproduce"),
        ("tran", "frog submit tran: needs one of the verbs train, search, reproduce"),
        ("slurm.time=abc train", "slurm.time=abc: must be a limit of Slurm: minutes, HH:MM:SS or D-HH:MM:SS"),
        ("slurm.time=1 train", "slurm.notice=120: must be shorter than slurm.time=1"),
        ("slurm.tim=1 train", "slurm.tim=1: unknown option, did you mean slurm.time?; see frog submit --help"),
        ("slurm.tasks=0 train", "slurm.tasks=0: must be a whole number, at least 1"),
        (
            "slurm.tasks=2 train",
            "2 processes: share the training of a network with parallel=tangents or parallel=batch",
        ),
        ("slurm.tasks=2 reproduce", "slurm.tasks=2: train and search run as several processes, not reproduce"),
        ("slurm.partition='a;b' train", "slurm.partition='a;b': must be letters, digits and . , : + - only, or null"),
        ("slurm.options=[rm] train", "slurm.options.0: must be a list of options"),
        ("train gradient.k=0", "gradient.k=0: must be a whole number, at least 1"),
        ("search search.low=1", "search.low=1: must be below search.high=0"),
    ],
)
def test_wrong_requests_are_refused(words, message, capsys):
    assert main(["submit", "--dry-run", *words.split()]) == 2
    assert message.removeprefix("slurm.options.0: ") in capsys.readouterr().err


def test_without_slurm_the_way_out_is_told(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["submit", *SWEEP]) == 2
    assert "there is no sbatch here; --dry-run prints the script" in capsys.readouterr().err


SAMPLER = '''
import torch
from frog_cli import ideas

@ideas.tangents
def laplace(shape, generator, dtype, *, scale: float = 1.0):
    """Sample entries of the Laplace distribution."""
    exponential = -(1 - torch.rand((2, *shape), generator=generator, device=generator.device, dtype=dtype)).log()
    return scale * (exponential[0] - exponential[1])
'''


@pytest.mark.parametrize("folder", ["ideas", 'it\'s "one", [2]'])
def test_a_job_has_the_whole_paths_of_ideas(folder, tmp_path, monkeypatch, capsys):
    """So that it finds them also if its setup leaves the folder it was submitted in."""
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "my_ideas.py").write_text(SAMPLER)
    monkeypatch.chdir(tmp_path)
    words = [f"ideas={json.dumps([f'{folder}/my_ideas.py'])}", "tangents=laplace", "learning_rate=0.1", *SWEEP[2:-1]]
    wanted = identity(train_request(words).runs[0])
    echo = tmp_path / "echo"
    echo.write_text('#!/bin/bash\nprintf "%s\\0" "$@" "$FROG_IDEAS"\n')
    echo.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(echo))
    monkeypatch.setenv("FROG_IDEAS", "ideas.py,json")
    (tmp_path / "ideas.py").touch()
    assert main(["submit", "--dry-run", "slurm.setup=[cd /]", "train", *words]) == 0
    text = capsys.readouterr().out
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, timeout=20, check=False)
    *words, always, _ = done.stdout.split("\0")
    assert always == f"{tmp_path}/ideas.py,json"
    monkeypatch.delenv("FROG_IDEAS")
    monkeypatch.chdir("/")
    assert identity(train_request(words[3:]).runs[0]) == wanted


@pytest.fixture
def slurm() -> None:
    if shutil.which("sinfo") is None or subprocess.run(["sinfo"], capture_output=True, check=False).returncode:
        pytest.skip("needs a running Slurm")


def ended(job: str, limit: float) -> list[str]:
    """Wait until a job has left the queue; return the states of all its tasks."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        shown = subprocess.run(
            ["scontrol", "-o", "show", "job", job], capture_output=True, text=True, check=True
        ).stdout
        states = [word.removeprefix("JobState=") for word in shown.split() if word.startswith("JobState=")]
        if not {"PENDING", "RUNNING", "COMPLETING", "REQUEUED", "CONFIGURING", "SIGNALING"} & set(states):
            return states
        time.sleep(1)
    raise TimeoutError(shown)


def submit(capsys, *words: str) -> str:
    assert main(["submit", *words]) == 0
    told = capsys.readouterr().out
    assert told.startswith("job ")
    return told.split()[1].rstrip(",")


@pytest.mark.slurm
def test_a_sweep_runs_as_an_array_and_is_not_repeated(slurm, runs, capsys):
    assert set(ended(submit(capsys, *SWEEP), 180)) == {"COMPLETED"}
    summaries = {path: path.stat().st_mtime_ns for path in runs.glob("sphere-*/summary.json")}
    assert len(summaries) == 2
    assert main(["submit", *SWEEP]) == 0
    assert capsys.readouterr().out == "nothing to submit\n"


@pytest.mark.slurm
def test_a_search_runs_with_two_processes(slurm, runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FROG_SWEEPS", str(tmp_path / "sweeps"))
    search = ["search", *SWEEP[2:-1], "search.evaluations=10"]
    assert ended(submit(capsys, "slurm.tasks=2", *search), 180) == ["COMPLETED"]
    assert len(list((tmp_path / "sweeps" / "searched").glob("learning_rates_*.csv"))) == 1
    found = [json.loads(path.read_text())["rank"] for path in runs.glob("search-*/[0-9][0-9][0-9][0-9][0-9].json")]
    assert len(found) == 10
    assert set(found) == {0, 1}


@pytest.mark.slurm
def test_a_job_that_reaches_its_limit_goes_on_and_ends_as_without_interruption(slurm, runs, capsys):
    run = ["train", "objective=rosenbrock", "objective.n=512", "gradient.k=16", "record_every=50", "learning_rate=1e-5",
           "early_stopping.patience=null", "steps=60000"]  # fmt: skip
    job = submit(capsys, "slurm.time=1", "slurm.notice=30", *run)
    assert ended(job, 1500) == ["COMPLETED"]
    log = next(runs.glob(f"slurm/*{job}*.log")).read_text()
    assert "goes back into the queue" in log
    assert "frog: going on after step" in log
    (summary,) = runs.glob("rosenbrock-*/summary.json")
    interrupted = {name: (summary.parent / name).read_bytes() for name in ("metrics.csv", "summary.json")}
    assert subprocess.run([sys.executable, "-m", "frog_cli", *run, "overwrite=true"], check=False).returncode == 0
    assert {name: (summary.parent / name).read_bytes() for name in interrupted} == interrupted


@pytest.mark.slurm
def test_ranks_of_a_job_that_reaches_its_limit_go_on_and_end_as_one_process(slurm, runs, monkeypatch, capsys):
    run = ["train", "gradient.k=16", "gradient.chunk_size=8", "epochs=250", "early_stopping.patience=null",
           "model.width=64", "parallel=tangents"]  # fmt: skip
    job = submit(capsys, "slurm.tasks=2", "slurm.time=1", "slurm.notice=30", *run)
    assert ended(job, 1500) == ["COMPLETED"]
    log = next(runs.glob(f"slurm/*{job}*.log")).read_text()
    assert "goes back into the queue" in log
    assert "frog: going on after step" in log
    (summary,) = runs.glob("mlp64-*/summary.json")
    assert json.loads((summary.parent / "run.json").read_text())["ranks"] == 2
    interrupted = {name: (summary.parent / name).read_bytes() for name in ("metrics.csv", "summary.json")}
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone = [sys.executable, "-m", "frog_cli", *run, "overwrite=true"]
    assert subprocess.run(alone, check=False).returncode == 0
    assert {name: (summary.parent / name).read_bytes() for name in interrupted} == interrupted


@pytest.mark.slurm
@pytest.mark.parametrize("named", ["by an option", "by FROG_IDEAS"])
def test_a_job_finds_ideas_whatever_its_folder(named, slurm, runs, tmp_path, monkeypatch, capsys):
    """Its file is given by a relative path, and the setup of the job leaves the folder."""
    here, ideas, scratch = (tmp_path / name for name in ("here", "my ideas", "scratch/of/a/job"))
    for folder in (here, ideas, scratch):
        folder.mkdir(parents=True)
    (ideas / "my_ideas.py").write_text(SAMPLER)
    monkeypatch.chdir(here)
    words = ["tangents=laplace", "gradient=mean", "learning_rate=0.01", *SWEEP[2:-1]]
    if named == "by an option":
        words.insert(0, "ideas=['../my ideas/my_ideas.py']")
    else:
        monkeypatch.setenv("FROG_IDEAS", "../my ideas/my_ideas.py")
    job = submit(capsys, f"slurm.setup=[cd {scratch}]", "train", "-m", *words, "seed=0,1")
    assert set(ended(job, 180)) == {"COMPLETED"}, next(runs.glob(f"slurm/*{job}*.log")).read_text()
    assert len(list(runs.glob("sphere-*-laplace-*/summary.json"))) == 2
    assert main(["submit", "train", *words, "seed=0"]) == 0
    assert capsys.readouterr().out == "nothing to submit\n"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["reproduce", "nonsense"], "nonsense: must be one of fig3"),
        (["reproduce", "fig3", "epochs=3"], "epochs=3: would make other runs"),
        (
            ["slurm.tasks=4", "search", *SWEEP[2:3], "search.evaluations=2"],
            "must be at least one for each of 4 processes",
        ),
    ],
)
def test_what_would_fail_in_the_queue_is_refused_before_it(words, told, capsys, runs):
    assert main(["submit", "--dry-run", *words]) == 2
    assert told in capsys.readouterr().err


def test_the_same_runs_are_one_job(capsys, runs):
    same = ["gradient.chunk_size=1,2", "objective=sphere", "seed=0,1"]
    assert main(["submit", "--dry-run", "train", "-m", *same]) == 0
    assert "#SBATCH --array=0-1\n" in capsys.readouterr().out
