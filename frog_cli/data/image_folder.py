"""Any images in root/train/CLASS/* and root/test/CLASS/*."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from frog_cli.errors import RequestError
from frog_cli.schema import ImageFolder
from frog_cli.torchvision_import import torchvision


def read_image_folder(data: ImageFolder) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the images of both splits as RGB `[N, 3, H, W]` with the indices of their classes, sorted by name.

    Raises:
        RequestError: if an image cannot be decoded, or sizes differ and none is given to scale to.
    """
    training, test = (_read(f"{data.root}/{split}", data) for split in ("train", "test"))
    if training[0].shape[1:] != test[0].shape[1:]:
        raise RequestError("data.size=null", "must be [height,width], because training and test images differ in size")
    return *training, *test


def _read(folder: str, data: ImageFolder) -> tuple[Tensor, Tensor]:
    found = torchvision().datasets.ImageFolder(folder)
    images = []
    for path, _ in found.samples:
        try:
            image = found.loader(path)
        except (OSError, SyntaxError, ValueError) as error:
            raise RequestError(f"data.root={data.root}", f"{path} cannot be decoded: {error}") from error
        if data.size is not None:
            image = image.resize((data.size[1], data.size[0]))
        images.append(torch.from_numpy(np.array(image)).permute(2, 0, 1))
        if images[-1].shape != images[0].shape:
            raise RequestError("data.size=null", f"must be [height,width], because {path} has another size")
    return torch.stack(images), torch.tensor(found.targets)
