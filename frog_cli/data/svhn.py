"""SVHN, the street view house numbers, through torchvision, which checks the files' MD5 sums and needs scipy."""

from __future__ import annotations

import torch

from frog_cli import ideas
from frog_cli.data.dataset import Split
from frog_cli.data.torchvision_data import training_and_test
from frog_cli.ideas.types import Download, Root


@ideas.data(validation=10000)
def svhn(*, root: Root = "data", download: Download = False) -> tuple[Split, Split, int]:
    """73 257 + 26 032 digits of house numbers, 32 x 32, in torchvision's layout.

    Reading them needs scipy: pip install 'frog-cli[svhn]'.
    """
    training, test = (
        Split(torch.from_numpy(split.data).contiguous(), torch.from_numpy(split.labels))
        for split in training_and_test("SVHN", root, download)
    )
    return training, test, 10
