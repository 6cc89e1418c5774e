"""Codes over the prior: what a picture and an animation of them have in common."""

from typing import Literal

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.contour import QuadContourSet
from matplotlib.lines import Line2D

from aae_jax.figures.classes import UNLABELLED, CodeClass
from aae_jax.figures.page import INK
from aae_jax.latent_plane import Density, Plane, visible_range
from aae_jax.priors import Prior

NAMED = 24
"""Classes that a page has room for."""
ALPHA = 0.75
"""Of the dots."""
SHADES = ("#f7f7f7", "#f0f0f0", "#e8e8e8")
"""Where the prior is, from the rim to the core."""

_STROKES: tuple[Literal["-", "--", ":"], ...] = ("-", "--", ":")


def shown_range(
    plane: Plane, points: Float[np.ndarray, "n p"], spread: Float[np.ndarray, "m p"]
) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """`visible_range` of codes and prior; in a plane both axes are of one length."""
    low, high = visible_range(points, spread)
    if len(plane.axes) == 2:
        middle, half = (low + high) / 2, np.max(high - low) / 2
        low, high = middle - half, middle + half
    return low, high


def lines_note(plane: Plane, prior: Prior) -> str:
    """What the lines in a picture are."""
    if len(plane.axes) == 1:
        return f"Outline: what the prior ({prior.name}) expects."
    what = f"Lines: regions that hold the stated share of the prior ({prior.name})"
    return what + (", projected like the codes." if plane.shares is not None else ".")


def draw_scatter(
    axes: Axes, points: Float[np.ndarray, "n 2"], classes: list[CodeClass]
) -> PathCollection:
    """A dot for each code, in the colour of its class."""
    colours = np.empty(len(points), "U7")
    for each in classes:
        colours[each.rows] = each.colour
    # Mixed, so that no class covers another just because it was drawn later.
    order = np.random.default_rng(0).permutation(len(points))
    # But the unlabelled lie below: there may be far more of them.
    order = order[np.argsort(colours[order] != UNLABELLED, kind="stable")]
    size = float(np.clip(40_000 / len(points), 3.5, 30))
    return axes.scatter(
        *points[order].T, s=size, c=colours[order], alpha=ALPHA, linewidths=0, zorder=2
    )


def draw_contours(axes: Axes, density: Density) -> tuple[QuadContourSet, list[Line2D]]:
    """The prior's contours over its shades; returns them, and entries of a legend."""
    # From the rim, dotted, to the core, solid and a shade darker.
    strokes = _STROKES[: len(density.levels)][::-1]
    surface = (density.first, density.second, density.log_density)
    levels = [*density.levels, np.inf]
    axes.contourf(*surface, levels, colors=SHADES[-len(strokes) :], zorder=1)
    contours = axes.contour(
        *surface,
        density.levels,
        colors=INK,
        linewidths=1.1,
        linestyles=strokes,
        zorder=3,
    )
    entries = [
        Line2D([], [], color=INK, linewidth=1.1, linestyle=stroke, label=f"{mass:.0%}")
        for stroke, mass in zip(strokes, density.masses, strict=True)
    ]
    return contours, entries[::-1]


def draw_legend(axes: Axes, classes: list[CodeClass], lines: list[Line2D]) -> None:
    """The classes, as many as there is room for, and the prior's contours."""
    dots = [
        Line2D([], [], marker="o", linestyle="", markersize=8, color=each.colour)
        for each in classes[:NAMED]
    ]
    names = [each.name for each in classes[:NAMED]]
    text = {"fontsize": 9, "labelcolor": INK, "frameon": False, "borderaxespad": 0}
    legend = axes.legend(
        dots, names, loc="upper left", bbox_to_anchor=(1.02, 1), **text
    )
    for label in legend.get_texts():
        label.set_parse_math(False)
    if not lines:
        return
    axes.add_artist(legend)
    legend = axes.legend(
        handles=lines,
        title="prior",
        loc="lower left",
        bbox_to_anchor=(1.02, 0),
        title_fontsize=9,
        alignment="left",
        **text,
    )
    legend.get_title().set_color(INK)
