from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

from frog_cli.errors import InProgressError
from frog_cli.runs.lock import locked

HOLD = """
import sys, time, pathlib
from frog_cli.runs.lock import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Yield a process that holds the lock of a folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_second_process_is_refused_with_the_holder(tmp_path, holder):
    with pytest.raises(InProgressError) as refused, locked(tmp_path):
        pass
    message = str(refused.value)
    assert f"process {holder.pid} on {socket.gethostname()} since 20" in message
    assert f"delete {tmp_path / 'lock'}" in message


def test_the_lock_of_a_dead_process_is_broken(tmp_path, holder):
    holder.kill()
    holder.wait()
    with locked(tmp_path):
        assert json.loads((tmp_path / "lock").read_text())["process"] == os.getpid()
    assert not (tmp_path / "lock").exists()


def test_a_process_that_has_the_number_of_a_dead_one_does_not_hold_its_lock(tmp_path):
    held = {"host": socket.gethostname(), "process": os.getpid(), "started": "1", "since": "long ago"}
    (tmp_path / "lock").write_text(json.dumps(held))
    with locked(tmp_path):
        pass


@pytest.mark.parametrize("content", ["", "[]", json.dumps({"host": "another", "process": 1, "since": "then"})])
def test_the_lock_of_another_host_or_program_is_not_broken(tmp_path, content):
    (tmp_path / "lock").write_text(content)
    with pytest.raises(InProgressError, match="in progress"), locked(tmp_path):
        pass
    assert (tmp_path / "lock").read_text() == content


def test_one_of_many_processes_gets_the_lock(tmp_path):
    (tmp_path / "lock").write_text(
        json.dumps({"host": socket.gethostname(), "process": 2**22 + 1, "started": "1", "since": "then"})
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(6)
    ]
    refused = 0
    while refused < 5:
        refused = sum(process.poll() is not None for process in processes)
    held = json.loads((tmp_path / "lock").read_text())["process"]
    assert [process.pid for process in processes if process.poll() is None] == [held]
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def as_if_elsewhere(folder, **more):
    """Leave the lock of a process of another host."""
    (folder / "lock").write_text(json.dumps({"host": "node7", "process": 1, "started": "5", "since": "then", **more}))


@pytest.mark.parametrize(
    ("status", "told", "error", "broken"),
    [
        (0, "", "", True),
        (0, "PENDING", "", True),
        (1, "", "slurm_load_jobs error: Invalid job id specified", True),
        (0, "RUNNING", "", False),
        (0, "COMPLETING", "", False),
        (1, "", "slurm_load_jobs error: Unable to contact slurm controller", False),
    ],
)
def test_the_lock_of_a_job_that_is_over_is_broken(status, told, error, broken, tmp_path, monkeypatch):
    (tmp_path / "squeue").write_text(f"#!/bin/sh\necho '{told}'\necho '{error}' >&2\nexit {status}\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    as_if_elsewhere(tmp_path, slurm_job="12", slurm_attempt="0")
    if broken:
        with locked(tmp_path):
            pass
    else:
        with pytest.raises(InProgressError, match="process 1 on node7"), locked(tmp_path):
            pass


@pytest.mark.parametrize(
    ("cluster", "told", "error", "own", "broken"),
    [
        ("here", "", "slurm_load_jobs error: Invalid job id specified", True, True),
        ("there", "", "slurm_load_jobs error: Invalid job id specified", True, False),
        ("here", "", "slurm_load_jobs error: Invalid job id specified", False, False),
        ("here", "", "", True, True),
        ("here", "", "", False, False),
        ("here", "PENDING", "", False, True),
    ],
)
@pytest.mark.parametrize("within_a_job", [True, False])
def test_jobs_of_other_clusters_and_those_that_slurm_may_hide_are_not_taken_for_over(
    within_a_job, cluster, told, error, own, broken, tmp_path, monkeypatch
):
    for name, script in {
        "squeue": f"echo '{told}'\necho '{error}' >&2\nexit {1 if error else 0}",
        "scontrol": "echo 'CheckpointType = none'\necho 'ClusterName             = here'",
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    if within_a_job:
        monkeypatch.setenv("SLURM_JOB_ID", "13")
        monkeypatch.setenv("SLURM_CLUSTER_NAME", "here")
    else:
        monkeypatch.delenv("SLURM_JOB_ID", raising=False)
        monkeypatch.delenv("SLURM_CLUSTER_NAME", raising=False)
    as_if_elsewhere(tmp_path, slurm_job="12", slurm_attempt="0", slurm_cluster=cluster)
    if not own:
        monkeypatch.setattr(os, "getuid", lambda: 12345)
    if broken:
        with locked(tmp_path):
            assert json.loads((tmp_path / "lock").read_text()).get("slurm_cluster") == (
                "here" if within_a_job else None
            )
    else:
        with pytest.raises(InProgressError, match="process 1 on node7"), locked(tmp_path):
            pass


def test_a_job_of_the_same_number_on_another_cluster_holds_its_lock(tmp_path, monkeypatch):
    for name, value in {"JOB_ID": "12", "RESTART_COUNT": "1", "CLUSTER_NAME": "here"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    as_if_elsewhere(tmp_path, slurm_job="12", slurm_attempt="0", slurm_cluster="there")
    with pytest.raises(InProgressError), locked(tmp_path):
        pass


@pytest.mark.parametrize(("attempt", "broken"), [("0", True), ("1", False)])
def test_an_earlier_attempt_of_the_same_job_holds_nothing(attempt, broken, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    as_if_elsewhere(tmp_path, slurm_job="12", slurm_attempt=attempt)
    if broken:
        with locked(tmp_path):
            assert json.loads((tmp_path / "lock").read_text())["slurm_attempt"] == "1"
    else:
        with pytest.raises(InProgressError), locked(tmp_path):
            pass


@pytest.mark.parametrize("more", [{"processes": "pid:[1]"}, {"process": None}, {"process": "7"}])
def test_a_process_that_cannot_be_looked_up_is_not_taken_for_dead(more, tmp_path):
    """Another container of this host has other numbers of processes."""
    as_if_elsewhere(tmp_path, host=socket.gethostname(), **{"process": 2**22 + 1, **more})
    with pytest.raises(InProgressError), locked(tmp_path):
        pass
