"""Fig. 3 of arXiv 2410.17764: how well gradients are approximated, against k."""

from __future__ import annotations

from matplotlib.figure import Figure

from frog_cli.reproduction.frames import Frames
from frog_cli.studies import quality_pictures


def draw(frames: Frames) -> Figure:
    """Draw cosine similarity and norm ratio of estimates against k."""
    return quality_pictures.draw(frames["quality"])
