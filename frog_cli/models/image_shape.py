"""The shape of the images that a network is for."""

from __future__ import annotations

from frog_cli.errors import RequestError


def channels_height_width(image: tuple[int, ...], model: str, least: int = 1) -> tuple[int, int, int]:
    """Return the shape of an image by its parts.

    Raises:
        RequestError: if it has others, or is of fewer than `least` pixels in height or width.
    """
    shape = ", ".join(map(str, image))
    if len(image) != 3 or min(image[1:]) < least:
        size = f" of at least {least} x {least} pixels" if least > 1 else ""
        raise RequestError(f"model={model}", f"needs images [N, channels, height, width]{size}, not [N, {shape}]")
    return image
