"""A hundred malformed requests, each as a process of its own: status 2, one line, no traceback, at once."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.settings.test_requests import QUALITY_REFUSED, REFUSED

MORE = {
    "train": [
        "gradient.k=1e400",
        "gradient.k=0x10",
        "gradient.k=[1]",
        "gradient.k={a:1}",
        "gradient.k=''",
        'gradient.k="4"',
        "gradient.k=4.0",
        "gradient.k=99999999999999999999x",
        "gradient=../mean",
        "gradient=/etc/passwd",
        "gradient=mean/../sum",
        "model=..%2fmlp",
        "data=image_folder/../mnist",
        "tangents=None",
        "experiment=../../conf/train",
        "experiment=x",
        "objective=base/function",
        "batch_size=0",
        "batch_size=-1",
        "batch_size=nan",
        "batch_size=1_000x",
        "epochs=0",
        "epochs=inf",
        "epochs=two",
        "evaluation_batch_size=0",
        "seed=1.0",
        "seed=one",
        "seed=99999999999999999999",
        "seeds=[]",
        "seeds=[a]",
        "seeds=1.5",
        "seeds=-1",
        "learning_rate=1e999",
        "learning_rate=[0.1]",
        "learning_rate=yes",
        "learning_rate=publish",
        "early_stopping.patience=0",
        "early_stopping.patience=x",
        "schedule.name=cosine",
        "schedule.epochs=0",
        "checkpoint.minutes=0",
        "checkpoint.rows=0",
        "checkpoint.minutes=nan",
        "diverged_above=0",
        "diverged_above=nan",
        "tf32=maybe",
        "fail_fast=2",
        "device=cuda:x",
        "device=tpu",
        "optimizer.name=../SGD",
        "_target_=os.system",
        "model._target_=os.system",
        "gradient._target_=builtins.eval",
        "hydra.sweep.dir=/",
        "~gradient",
        "++a=1",
        "@x=1",
        "a=b=c=d",
        "model.width=256abc",
        "data.root=",
        "data.validation=2.5",
        "data.validation=-1",
        "data.limit=1.5",
        "=3",
        "==",
    ],
    "search": [
        "search.low=1",
        "search.evaluations=x",
        "search.also=3",
        "search.also={epochs:{low:1}}",
        "search.patience=0",
        "search.x=1",
        "learning_rate=1",
        "search.seed=-1",
        "search.margin=0",
        "search.population=0",
    ],
    "submit": [
        "train|slurm.time=1x",
        "train|slurm.cpus=0",
        "train|slurm.partition=a/b",
        "fly",
        "train|slurm.options=[-x]",
    ],
    "reproduce": ["fig99", "fig3|scale=x", "fig3|workers=x", "fig3|gradient.k=3", "--all"],
    "table": ["x", "runs|a|b", "../runs", "--htm", "fig3|--list", "runs|--html"],
}
REQUESTS = [
    *(("train", *words.split()) for words in REFUSED),
    *(("quality", *words.split()) for words in QUALITY_REFUSED),
    *((verb, *words.split("|")) for verb, many in MORE.items() for words in many),
]


def test_there_are_a_hundred():
    assert len(set(REQUESTS)) >= 100


@pytest.mark.slow
def test_malformed_requests_are_refused_at_once(tmp_path):
    wrong = []
    for request in REQUESTS:
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "frog_cli", *request], capture_output=True, text=True, cwd=tmp_path, check=False
        )
        seconds = time.perf_counter() - start
        lines = done.stderr.splitlines()
        right = done.returncode == 2 and len(lines) == 1 and lines[0].startswith("frog: ") and seconds < 1.5
        if not right or "Traceback" in done.stderr:
            wrong.append((request, done.returncode, round(seconds, 2), done.stderr[-300:]))
    assert wrong == []
    assert list(tmp_path.iterdir()) == []  # nothing was made anywhere
