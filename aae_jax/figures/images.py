"""Mosaics: the grid of decoded codes, reconstructions, decoded prior samples."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aae_jax.figures.page import WIDTH, page, shortened, style

_PAIR_COLUMNS = 10
_FRAME = 1.0  # inches of a page's width that ticks and labels take
_POINTS = 72  # an inch
_LETTER = 0.7  # width of a digit and what parts it from the next name, in sizes
_TALLEST = 7.4
_NAME_LETTERS = 8


def grid_figure(
    images: Float[np.ndarray, "rows columns height width channels"],
    *,
    first: Float[np.ndarray, " columns"],
    second: Float[np.ndarray, " rows"],
    title: str,
    axis_names: tuple[str, ...] = ("first coordinate", "second coordinate"),
) -> Figure:
    """Decoded codes of a lattice as one mosaic; the second coordinate points upward.

    Args:
      images: `[rows, columns, height, width, channels]` in [0, 1], 1 or 3 channels;
        row i has the second coordinate `second[i]`.
      first: `[columns]`, evenly spaced, ascending.
      second: `[rows]`, evenly spaced, ascending.
      title: the run's name.
      axis_names: what the coordinates are; `Plane.axis_names`.
    """
    rows, columns, height, width = images.shape[:4]
    caption = (
        f"{rows} x {columns} codes, decoded; each image is centred on its code. They "
        "cover the middle of the plane on which the scatter shows the codes."
    )
    figure, axes = mosaic_page("Decoded codes", title, caption, images[::-1])
    (left, right), step = _edges(first)
    (bottom, top), rise = _edges(second)
    show(axes, images[::-1], extent=(left, right, bottom, top))
    axes.set_aspect((step / width) / (rise / height))
    axes.set(xlabel=axis_names[0], ylabel=axis_names[-1])
    ticks = {"nbins": 9, "steps": (1, 2, 5, 10)}
    axes.xaxis.set_major_locator(MaxNLocator(**ticks))
    axes.yaxis.set_major_locator(MaxNLocator(**ticks))
    if rows == 1:
        axes.set(yticks=[], ylabel="")
    style(axes)
    return figure


def take_turns(y: Int[np.ndarray, " n"], n_shown: int) -> Int[np.ndarray, " shown"]:
    """Up to `n_shown` rows: the first of each class, then the second, and so on.

    Args:
      y: `[n]`, classes, in any order; -1 where unlabelled is one more class.
      n_shown: how many rows at most.
    """
    order = np.argsort(y, kind="stable")
    _, starts, counts = np.unique(y[order], return_index=True, return_counts=True)
    turn = np.arange(len(y)) - np.repeat(starts, counts)
    return order[np.argsort(turn, kind="stable")][:n_shown]


def reconstructions_figure(
    x: Float[np.ndarray, "n height width channels"],
    x_hat: Float[np.ndarray, "n height width channels"],
    *,
    title: str,
) -> Figure:
    """Images, each above its reconstruction, ten in a row; an unfinished row is cut.

    Args:
      x: `[n, height, width, channels]` in [0, 1], 1 or 3 channels.
      x_hat: the same shape.
      title: the run's name.
    """
    columns = min(len(x), _PAIR_COLUMNS)
    rows = len(x) // columns
    x, x_hat = x[: rows * columns], x_hat[: rows * columns]
    error = float(np.mean((x - x_hat) ** 2))
    caption = (
        "Above the image, below its reconstruction. Mean squared error of these "
        f"{len(x)}: {error:.4f}, pixels from 0 to 1."
    )
    pairs = np.stack([x, x_hat], axis=1)
    pairs = pairs.reshape(rows, columns, 2, *x.shape[1:]).swapaxes(1, 2)
    gap = max(1, x.shape[1] // 7)
    bands = [
        np.pad(mosaic(band), ((0, gap), (0, 0), (0, 0)), constant_values=1.0)
        for band in pairs
    ]
    picture = np.concatenate(bands)[:-gap]
    figure, axes = mosaic_page(
        "Images and reconstructions", title, caption, picture[None, None]
    )
    show(axes, picture[None, None])
    axes.set(xticks=[], yticks=[])
    style(axes, frame=False)
    return figure


def table_figure(
    images: Float[np.ndarray, "rows columns height width channels"],
    *,
    heading: str,
    caption: str,
    title: str,
    row_names: Sequence[str] = (),
    column_names: Sequence[str] = (),
    column_counts: Sequence[int] = (),
) -> Figure:
    """Images in rows and columns that mean something.

    Args:
      images: `[rows, columns, height, width, channels]` in [0, 1], 1 or 3 channels.
      heading: what the picture shows.
      caption: what a row and a column are.
      title: the run's name.
      row_names, column_names: beside each row and above each column, where given.
      column_counts: numbers under the names of the columns, where given.
    """
    figure, axes = mosaic_page(heading, title, caption, images)
    show(axes, images)
    height, width = images.shape[2:4]
    axes.xaxis.tick_top()
    names = [shortened(name, _NAME_LETTERS) for name in column_names]
    if column_counts:
        pairs = zip(names, column_counts, strict=True)
        names = [f"{name}\n{count:,}" for name, count in pairs]
    axes.set_xticks(width * (np.arange(len(names)) + 0.5) - 0.5, names)
    letters = max((len(line) for name in names for line in name.split("\n")), default=1)
    names = [shortened(name, _NAME_LETTERS) for name in row_names]
    axes.set_yticks(height * (np.arange(len(names)) + 0.5) - 0.5, names)
    style(axes, frame=False)
    axes.tick_params(length=0)
    room = _POINTS * (WIDTH - _FRAME) / images.shape[1]
    axes.tick_params(axis="x", labelsize=min(9, room / (_LETTER * letters)))
    for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        label.set_parse_math(False)
    return figure


def samples_figure(
    x_hat: Float[np.ndarray, "n height width channels"], *, title: str
) -> Figure:
    """Decoded samples of the prior as a square mosaic.

    Args:
      x_hat: `[n, height, width, channels]` in [0, 1], 1 or 3 channels; the first
        k squared are shown, for the largest k.
      title: the run's name.
    """
    side = math.isqrt(len(x_hat))
    images = x_hat[: side * side].reshape(side, side, *x_hat.shape[1:])
    caption = f"{side * side} samples of the prior, decoded, in no order."
    figure, axes = mosaic_page("Decoded prior samples", title, caption, images)
    show(axes, images)
    axes.set(xticks=[], yticks=[])
    style(axes, frame=False)
    return figure


def mosaic(
    images: Float[np.ndarray, "rows columns height width channels"],
) -> Float[np.ndarray, "H W channels"]:
    """One picture of all images without gaps, row 0 on top."""
    rows, columns, height, width, channels = images.shape
    return images.swapaxes(1, 2).reshape(rows * height, columns * width, channels)


def mosaic_page(
    heading: str, title: str, caption: str, images: np.ndarray
) -> tuple[Figure, Axes]:
    """A page as high as the mosaic needs at full width, within reason."""
    rows, columns, height, width = images.shape[:4]
    needed = (WIDTH - _FRAME) * (rows * height) / (columns * width) + _FRAME / 2
    figure = page(heading, title, caption=caption, height=min(needed, _TALLEST))
    return figure, figure.add_subplot()


def show(
    axes: Axes,
    images: np.ndarray,
    extent: tuple[float, float, float, float] | None = None,
) -> None:
    """Draw the mosaic of images, `[rows, columns, height, width, channels]`."""
    picture = np.clip(mosaic(images), 0, 1)
    if picture.shape[-1] == 1:
        picture = picture[..., 0]
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, extent=extent)


def _edges(places: np.ndarray) -> tuple[tuple[float, float], float]:
    """Outer edges of cells centred on evenly spaced places, and the width of a cell."""
    step = float(places[1] - places[0]) if len(places) > 1 else 1.0
    return (float(places[0]) - step / 2, float(places[-1]) + step / 2), step
