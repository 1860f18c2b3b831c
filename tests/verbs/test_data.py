from __future__ import annotations

import pytest

from frog_cli.cli import main


def test_data_that_are_there_are_read_and_told(mnist_root, capsys):
    assert main(["data", "mnist"]) == 0
    assert capsys.readouterr().out == f"mnist: 60000 training and 10000 test images in {mnist_root}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "frog data: needs names of data sets: cifar10, cifar100, mnist, fashion_mnist, svhn"),
        (["mnist", "imagenet"], "imagenet: must be one of cifar10, cifar100, mnist, fashion_mnist, svhn"),
    ],
)
def test_wrong_requests_are_refused(words, message, capsys):
    assert main(["data", *words]) == 2
    assert capsys.readouterr().err == f"frog: {message}\n"
