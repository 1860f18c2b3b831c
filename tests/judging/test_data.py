from __future__ import annotations

import pytest
import torch

from frog_cli.data.digits import digits
from frog_cli.judging.data import judge_data
from tests.judging.faults import failed, seen

CLASSES = 3


def images(number, seed, shape=(1, 4, 4)):
    return torch.randn(number, *shape, generator=torch.Generator().manual_seed(seed))


def labels(number):
    return torch.arange(number) % CLASSES


def splits(**others):
    """Return a faultless data set but for the splits that are given."""
    sound = {
        "training": (images(30, 0), labels(30)),
        "validation": (images(10, 1), labels(10)),
        "test": (images(12, 2), labels(12)),
        "classes": CLASSES,
    }
    return tuple({**sound, **others}.values())


def overlapping():
    return splits(test=(torch.cat([images(10, 2), images(30, 0)[:2]]), labels(12)))


def not_repeatable():
    return splits(training=(torch.randn(30, 1, 4, 4), labels(30)))


FAULTY = [
    (lambda: None, ["form"]),
    (lambda: splits()[1:3], ["form"]),
    (lambda: splits(classes=3.0), ["form"]),
    (lambda: splits(test=images(12, 2)), ["form"]),
    (lambda: splits(test=(images(12, 2).flatten(1), labels(12))), ["form"]),
    (lambda: splits(test=(images(12, 2, (1, 4, 5)), labels(12))), ["form"]),
    (lambda: splits(validation=(images(0, 1), labels(0))), ["form"]),
    (lambda: splits(training=(images(30, 0) / 0, labels(30))), ["images"]),
    (lambda: splits(test=(images(12, 2).to(torch.int32), labels(12))), ["images"]),
    (lambda: splits(test=(images(12, 2).double(), labels(12))), ["images"]),
    (lambda: splits(test=(images(12, 2), labels(11))), ["as many labels as images"]),
    (lambda: splits(test=(images(12, 2), labels(12) + 1)), ["labels"]),
    (lambda: splits(test=(images(12, 2), labels(12) - 1)), ["labels"]),
    (lambda: splits(test=(images(12, 2), labels(12).float())), ["labels"]),
    (lambda: splits(training=(images(30, 0), labels(30) % 2)), ["classes in training"]),
    (overlapping, ["splits are disjoint"]),
    (not_repeatable, ["same images each time"]),
]


@pytest.mark.parametrize(("read", "checks"), FAULTY)
def test_a_fault_is_found_by_the_check_that_names_it(read, checks):
    findings = judge_data(read)
    assert failed(findings) == checks, findings


def test_how_many_images_two_splits_share_is_told():
    assert "saw 2 of the test split in the training split" in seen(judge_data(overlapping), "splits are disjoint").seen


@pytest.mark.parametrize("read", [splits, lambda: (splits()[0], *splits()[2:])])
def test_sound_data_have_no_fault(read):
    assert {finding.ok for finding in judge_data(read)} == {True}


def test_the_digits_have_no_fault():
    assert {finding.ok for finding in judge_data(digits)} == {True}


def test_data_that_move_the_global_random_numbers_are_told():
    def read():
        torch.manual_seed(0)
        return splits()

    finding = seen(judge_data(read), "global random numbers")
    assert finding.ok is None
    assert "torch" in finding.seen
