"""The contact sheet of images in the order of a score."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from aae_jax.figures.images import mosaic, mosaic_page, show
from aae_jax.figures.page import INK, PALE, WIDTH, style

_COLUMNS = 10
_SIDE = 1.0  # inches of a page's width beside the images
_TEXT = 0.2  # inches of height that a line of text takes


class Ranked(NamedTuple):
    """Images in order, with a heading of their own.

    Attributes:
      name: what they are.
      strips: the images, and what came back of them in one way and another; each
        `[n, height, width, channels]` in [0, 1], 1 or 3 channels.
      texts: n short texts, one under each.
    """

    name: str
    strips: Sequence[Float[np.ndarray, "n height width channels"]]
    texts: Sequence[str]


def ranked_figure(
    blocks: Sequence[Ranked], *, n_images: int, n_ordinary: int, title: str
) -> Figure:
    """Images in the order of their scores, each above what came back.

    Args:
      blocks: the most novel, the least novel.
      n_images: how many were scored.
      n_ordinary: with how many they were compared.
      title: the run's name.
    """
    caption = (
        f"Of {n_images:,} images, beside {n_ordinary:,} that the run held out. Above "
        "the image; below it what came back, what came back from the nearest codes of "
        "images that the run knows, and the score in nats: of e^score ordinary images "
        "one is as novel."
    )
    bands, headings, texts = [], [], []
    for block in blocks:
        like = block.strips[0]
        width = like.shape[2]
        line = _blank(_pixels_of_a_line(width), like)
        bands.append(line)
        headings.append((_height(bands) - len(line) / 2, block.name))
        for first in range(0, len(like), _COLUMNS):
            rows = slice(first, first + _COLUMNS)
            strips = [_row(strip[rows]) for strip in block.strips]
            bands += [mosaic(np.stack(strips)), line]
            middle = _height(bands) - len(line) / 2
            texts += [
                ((column + 0.5) * width - 0.5, middle, text)
                for column, text in enumerate(block.texts[rows])
            ]
    picture = np.concatenate(bands)[None, None]
    figure, axes = mosaic_page("The odd ones out", title, caption, picture)
    show(axes, picture)
    for y, name in headings:
        axes.text(-0.5, y, name, va="center", size=10, color=INK)
    for x, y, text in texts:
        axes.text(x, y, text, ha="center", va="center", size=8.5, color=PALE)
    axes.set(xticks=[], yticks=[])
    style(axes, frame=False)
    return figure


def _pixels_of_a_line(width: int) -> int:
    """How many pixels of a picture are as high as a line of text on the page."""
    return max(1, round(_TEXT * _COLUMNS * width / (WIDTH - _SIDE)))


def _height(bands: Sequence[np.ndarray]) -> int:
    return sum(map(len, bands))


def _row(images: np.ndarray) -> np.ndarray:
    """Ten images, white where there are fewer."""
    missing = _COLUMNS - len(images)
    return np.pad(images, [(0, missing)] + [(0, 0)] * 3, constant_values=1.0)


def _blank(height: int, like: np.ndarray) -> np.ndarray:
    return np.ones((height, _COLUMNS * like.shape[2], like.shape[3]), np.float32)
