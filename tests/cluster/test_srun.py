"""Which srun --mpi=.. is chosen, with a stand-in for Slurm; tests/test_slurm.py tries it with a real one."""

from __future__ import annotations

import pytest

from frog_cli.cli import main
from frog_cli.cluster import srun
from frog_cli.errors import RequestError

TODAY = """MPI plugin types are...
	pmix
	none
	cray_shasta
	pmi2
specific pmix plugin versions available: pmix_v4
"""
EARLIER = "srun: MPI types are...\nsrun: mpi/none\nsrun: mpi/pmi2\nsrun: mpi/pmix_v2\n"


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Return a function that makes a Slurm which lists some types and has one as its default."""

    def make(types: str, default: str = "none", library: str | None = "MPICH") -> None:
        monkeypatch.setattr(srun, "_library", lambda: library)
        monkeypatch.delenv("SLURM_MPI_TYPE", raising=False)
        answers = {"srun": types, "scontrol": f"MailProg = /bin/mail\nMpiDefault              = {default}\n"}
        for name, answer in answers.items():
            (tmp_path / f"{name}.txt").write_text(answer)
            (tmp_path / name).write_text(f"#!/bin/sh\n/bin/cat {tmp_path}/{name}.txt >&2\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return make


@pytest.mark.parametrize(
    ("types", "default", "library", "chosen"),
    [
        (TODAY, "none", "MPICH", "pmi2"),
        (EARLIER, "none", "MPICH", "pmi2"),
        (TODAY, "pmix", "MPICH", "pmi2"),
        (TODAY, "pmi2", "MPICH", None),
        (TODAY, "cray_shasta", "MPICH", None),
        (TODAY, "none", "Open MPI", "pmix"),
        (TODAY, "pmix_v4", "Open MPI", None),
        (TODAY, "none", "Intel MPI", None),
        (TODAY, "none", None, None),
    ],
)
def test_the_type_is_one_that_the_library_understands_and_the_clusters_default_if_it_does(
    types, default, library, chosen, cluster
):
    cluster(types, default, library)
    assert srun.mpi_type() == chosen


def test_a_type_in_the_environment_is_the_default(cluster, monkeypatch):
    cluster(TODAY)
    monkeypatch.setenv("SLURM_MPI_TYPE", "pmi2")
    assert srun.mpi_type() is None


def test_the_library_is_known_by_its_name():
    pytest.importorskip("mpi4py.MPI")
    assert srun._library() in srun.UNDERSTOOD


def test_without_slurm_there_is_nothing_to_choose(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert srun.mpi_type() is None


def test_a_library_that_srun_cannot_start_is_refused(cluster):
    cluster("MPI plugin types are...\n\tnone\n\tpmi2\n", library="Open MPI")
    with pytest.raises(RequestError) as refusal:
        srun.mpi_type()
    assert refusal.value.given == "slurm.mpi=null"
    assert refusal.value.allowed == "Open MPI needs pmix, which srun does not have; choose one of none, pmi2"


SEARCH = ["search", "objective=sphere", "objective.n=4"]


def test_several_processes_are_started_so_that_they_find_each_other(cluster, capsys):
    cluster(TODAY)
    assert main(["submit", "--dry-run", "slurm.tasks=2", *SEARCH]) == 0
    assert "srun --kill-on-bad-exit=1 --mpi=pmi2 " in capsys.readouterr().out


def test_what_is_given_wins(cluster, capsys):
    cluster(TODAY)
    assert main(["submit", "--dry-run", "slurm.tasks=2", "slurm.mpi=none", *SEARCH]) == 0
    assert "srun --kill-on-bad-exit=1 --mpi=none " in capsys.readouterr().out
