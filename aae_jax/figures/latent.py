"""The codes over the prior's contours."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from aae_jax.figures.classes import UNLABELLED, CodeClass, class_colour, classes_of
from aae_jax.figures.over_prior import (
    NAMED,
    draw_contours,
    draw_legend,
    draw_scatter,
    lines_note,
    shown_range,
)
from aae_jax.figures.page import INK, outside_note, page, style
from aae_jax.latent_plane import (
    latent_plane,
    prior_density,
    smoothed_histogram,
)
from aae_jax.priors import Prior

_WORTH_A_NAME = 0.3  # of the density of the class at its best spot


def latent_figure(
    z: Float[np.ndarray, "n z_dim"],
    y: Int[np.ndarray, " n"] | None = None,
    *,
    prior: Prior,
    z_prior: Float[np.ndarray, "m z_dim"],
    title: str,
    class_names: Sequence[str] | None = None,
    parts: Float[np.ndarray, "parts places 2"] | None = None,
) -> Figure:
    """Codes, coloured by class, over the contours of the prior.

    Codes of more than two dimensions are seen in the plane of their first two principal
    components; those of one dimension as a histogram.

    Args:
      z: `[n, z_dim]`, codes.
      y: `[n]`, classes; -1 where unlabelled, grey in the picture.
      prior: what the codes should follow.
      z_prior: `[m, z_dim]`, samples of it; 100,000 give smooth contours.
      title: the run's name.
      class_names: by class; numbers by default.
      parts: `[parts, places, 2]`, where labels choose parts of the prior: points along
        the middle of each, drawn in the colour of its class.
    """
    plane = latent_plane(z)
    points, spread = plane.project(z), plane.project(z_prior)
    low, high = shown_range(plane, points, spread)
    classes = classes_of(y, len(z), class_names=class_names)
    notes = [
        f"{len(z):,} codes.",
        lines_note(plane, prior),
        outside_note(points, low, high),
    ]
    if len(classes) > NAMED:
        notes.append(f"{NAMED} of {len(classes):,} classes are named.")
    if parts is not None:
        notes.append("Thick: where the codes of a class should lie.")
    caption = " ".join(filter(None, notes))
    if len(plane.axes) == 1:
        figure = page("Codes and the prior", title, caption=caption, height=4.0)
        axes = figure.add_subplot()
        _draw_strip(axes, points[:, 0], spread[:, 0], classes, (low[0], high[0]))
        entries = []
    else:
        figure = page("Codes over the prior", title, caption=caption, height=6.3)
        axes = figure.add_subplot(aspect="equal")
        density = prior_density(prior, plane, z_prior)
        draw_scatter(axes, points, classes)
        if parts is not None:
            _draw_parts(axes, parts)
        _draw_class_names(axes, points, classes[:NAMED], low, high)
        _, entries = draw_contours(axes, density)
        axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        axes.set_ylabel(plane.axis_names[1])
    axes.set_xlabel(plane.axis_names[0])
    style(axes)
    draw_legend(axes, classes, entries)
    return figure


def _draw_parts(axes: Axes, parts: np.ndarray) -> None:
    """The middle of each part of the prior, in the colour of its class."""
    for label, points in enumerate(parts):
        axes.plot(
            *points.T,
            color=class_colour(label),
            linewidth=3,
            solid_capstyle="butt",
            zorder=4,
            path_effects=[withStroke(linewidth=5, foreground="white")],
        )


def _draw_class_names(
    axes: Axes,
    points: np.ndarray,
    classes: list[CodeClass],
    low: np.ndarray,
    high: np.ndarray,
) -> None:
    """Each class's name where its codes lie densest, if no other name is there."""
    taken: list[tuple[int, int]] = []
    inside = np.all((points >= low) & (points <= high), axis=1)
    densities = [
        inside[each.rows].sum()
        * smoothed_histogram(points[each.rows][inside[each.rows]], low, high)
        for each in classes
    ]
    total = np.maximum(sum(densities), np.finfo(float).tiny)
    for each, density in zip(classes, densities, strict=True):
        score = density**2 / total  # dense, and mostly of this class
        best = score.max()
        for row, column in taken:
            score[_around(row), _around(column)] = 0
        if each.colour == UNLABELLED or score.max() < _WORTH_A_NAME * best or not best:
            continue
        row, column = map(int, np.unravel_index(score.argmax(), score.shape))
        taken.append((row, column))
        share = np.array([column, row]) / (len(score) - 1)
        across, above = low + share * (high - low)
        axes.text(
            across,
            above,
            each.name,
            size=13,
            weight="bold",
            color=INK,
            ha="center",
            va="center",
            zorder=5,
            parse_math=False,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )


def _draw_strip(
    axes: Axes,
    points: np.ndarray,
    spread: np.ndarray,
    classes: list[CodeClass],
    limits: tuple[float, float],
) -> None:
    """Codes of one dimension: bars of classes, one on another, under the prior."""
    edges = np.linspace(*limits, 81)
    axes.hist(
        [points[each.rows] for each in classes],
        edges.tolist(),
        stacked=True,
        color=[each.colour for each in classes],
    )
    expected, _ = np.histogram(spread, edges)
    axes.stairs(expected * (len(points) / len(spread)), edges, color=INK, linewidth=1.3)
    axes.set(xlim=limits, ylabel="codes per bar")


def _around(node: int) -> slice:
    """The nodes of the lattice that a name at `node` covers."""
    return slice(max(node - 9, 0), node + 10)
