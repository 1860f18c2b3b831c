"""Batch jobs of Slurm: the text of a script, from settings alone, and its submission."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from frog_cli.errors import RequestError
from frog_cli.settings.verb_options import Slurm

UNWRITABLE = frozenset("%#\\'\"\n\r\t")
"""Characters that a path must not have which stands in the head of a batch script."""

SAVED = 138
"""The exit status of a run that has saved its state after SIGUSR1."""


def script(
    settings: Slurm,
    name: str,
    python: str,
    commands: Sequence[Sequence[str]],
    folder: str,
    logs: str,
    environment: Mapping[str, str],
) -> str:
    """Return a script for sbatch that runs each command as a job, several of them as an array.

    Before its time is over a job is sent SIGUSR1, on which frog saves its state; the script then puts the job back into
    the queue. When it is cancelled or preempted, SIGTERM makes frog save its state as well.

    Args:
        settings: what the job asks for.
        name: of the job.
        python: the interpreter that has frog.
        commands: the words after `frog` of each job.
        folder: the working directory.
        logs: the folder of the jobs' output.
        environment: variables to set.
    """
    several = len(commands) > 1
    options = {
        "job-name": name,
        "time": settings.time,
        "ntasks": settings.tasks,
        "cpus-per-task": settings.cpus,
        "gpus": settings.gpus,
        "mem": settings.memory,
        "partition": settings.partition,
        "account": settings.account,
        "qos": settings.qos,
        "output": f"{logs}/%x-{'%A_%a' if several else '%j'}.log",
        "open-mode": "append",
        "signal": f"B:USR1@{settings.notice}",
        "array": f"0-{len(commands) - 1}" + (f"%{settings.at_once}" if settings.at_once else "") if several else None,
    }
    lines = [
        "#!/bin/bash",
        *(f"#SBATCH --{option}={_quoted(value)}" for option, value in options.items() if value is not None),
    ]
    lines += ["#SBATCH --requeue", *(f"#SBATCH {option}" for option in settings.options)]
    lines += ["# made by frog submit, which leaves out what is done", "", f"cd {shlex.quote(folder)} || exit 1"]
    lines += [f"export {variable}={shlex.quote(value)}" for variable, value in environment.items()]
    lines += settings.setup
    lines += ["", 'case "${SLURM_ARRAY_TASK_ID:-0}" in']
    lines += [f"{index}) words=({shlex.join(words)}) ;;" for index, words in enumerate(commands)]
    launcher = ""
    if settings.tasks > 1:
        launcher = "srun --kill-on-bad-exit=1 " + (f"--mpi={settings.mpi} " if settings.mpi else "")
    lines += ["esac", f'{launcher}{shlex.quote(python)} -m frog_cli "${{words[@]}}" &', _REST]
    return "\n".join(lines)


def submit(script: Path) -> str:
    """Submit a script and return the number of its job.

    Raises:
        RequestError: if there is no Slurm here, or it refuses the script.
    """
    try:
        submitted = subprocess.run(["sbatch", "--parsable", str(script)], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        raise RequestError("frog submit", "there is no sbatch here; --dry-run prints the script") from None
    except subprocess.CalledProcessError as error:
        raise RequestError("sbatch", f"refuses {script}: {error.stderr.strip()}") from None
    return submitted.stdout.strip().partition(";")[0]


def seconds(time: str) -> int:
    """Return how long a time limit of Slurm is: minutes, minutes:seconds, hours:.., days-hours, days-hours:.."""
    days, dash, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if dash:
        hours, minutes, seconds = [*parts, 0, 0][:3]
    else:
        hours, minutes, seconds = [[0, *parts, 0], [0, *parts], parts][len(parts) - 1]
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


def _quoted(value: object) -> str:
    return shlex.quote(str(value)) if " " in str(value) else str(value)


_REST = f"""child=$!
trap 'kill -USR1 "$child"' USR1 # the time is nearly over
trap 'kill -TERM "$child"' TERM # cancelled or preempted
while kill -0 "$child" 2>/dev/null; do wait "$child"; done
wait "$child"
status=$?
if [ "$status" -eq {SAVED} ]; then
  echo "frog: saved its state, job $SLURM_JOB_ID goes back into the queue"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$status"
"""
