"""The handwritten digits of scikit-learn, shipped with frog.

E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998
(doi 10.24432/C50P49, CC BY 4.0); 1 797 images of 8 x 8 pixels with 17 grey levels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from frog_cli import ideas
from frog_cli.data.dataset import Split

_TEST_IMAGES = 300
_SPLIT_SEED = 0  # the file is ordered by writer; its own end would be a test set of other handwriting


@ideas.data(validation=297)
def digits() -> tuple[Split, Split, int]:
    """1 797 handwritten digits of 8 x 8 pixels, shipped with frog (UCI's).

    300 of them are for the test.
    """
    table = torch.from_numpy(np.loadtxt(Path(__file__).with_name("digits.csv.gz"), delimiter=",", dtype=np.uint8))
    table = table[torch.randperm(len(table), generator=torch.Generator().manual_seed(_SPLIT_SEED))]
    images, labels = table[:, :64].reshape(-1, 1, 8, 8), table[:, 64].to(torch.int64)
    return Split(images[_TEST_IMAGES:], labels[_TEST_IMAGES:]), Split(images[:_TEST_IMAGES], labels[:_TEST_IMAGES]), 10
