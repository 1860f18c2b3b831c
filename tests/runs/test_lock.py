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
