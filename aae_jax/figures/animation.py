"""Codes over the prior, a frame an epoch: axes, range and prior stand still."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from aae_jax.figures.classes import CodeClass, classes_of
from aae_jax.figures.gif import Pixels, encode_gif
from aae_jax.figures.over_prior import (
    draw_contours,
    draw_legend,
    draw_scatter,
    lines_note,
    shown_range,
)
from aae_jax.figures.page import INK, WIDTH, fix_layout, page, style
from aae_jax.latent_plane import Plane, latent_plane, prior_density
from aae_jax.priors import Prior

_PIXELS = 640  # across
_MILLISECONDS, _HELD = 120, 3_000  # GIF counts in hundredths of a second
_BARS = 80
_ROOM = 1.3  # above the highest bar


@dataclass(frozen=True)
class Frame:
    """What one frame shows.

    Attributes:
      z: `[n, z_dim]`, codes.
      y: `[n]`, their classes, -1 where unlabelled; None without labels.
      status: when that was.
    """

    z: Float[np.ndarray, "n z_dim"]
    y: Int[np.ndarray, " n"] | None
    status: str


@dataclass(frozen=True)
class _Scene:
    """What moves on a page that stands still.

    Attributes:
      put: adds codes `[n, p]` of classes, for one frame.
      above: what is drawn over them, the same in all frames.
    """

    put: Callable[[np.ndarray, list[CodeClass]], list[Artist]]
    above: list[Artist]


def animation(
    frames: Sequence[Frame],
    *,
    prior: Prior,
    z_prior: Float[np.ndarray, "m z_dim"],
    title: str,
    class_names: Sequence[str] | None = None,
) -> bytes:
    """A GIF of codes that move over the prior; the last frame is held.

    The plane, where codes have more than two dimensions, and the range are those of the
    last frame. Codes outside of it are drawn at its edge.

    Args:
      frames: in their order, one or more.
      prior: what the codes should follow.
      z_prior: `[m, z_dim]`, samples of it; 100,000 give smooth contours.
      title: the run's name.
      class_names: by class; numbers by default.
    """
    last = frames[-1]
    plane = latent_plane(last.z)
    points, spread = plane.project(last.z), plane.project(z_prior)
    limits = shown_range(plane, points, spread)
    classes = classes_of(last.y, len(last.z), class_names=class_names)
    note = lines_note(plane, prior)
    caption = f"{len(last.z):,} held-out images. {note} Codes outside lie at the edge."
    figure = page("Codes over the prior", title, caption=caption, height=5.9)
    figure.set_dpi(_PIXELS / WIDTH)
    axes = figure.add_subplot()
    if len(plane.axes) == 1:
        scene, entries = _strip(axes, points, spread, limits), []
    else:
        density = prior_density(prior, plane, z_prior)
        contours, entries = draw_contours(axes, density)
        contours.set_animated(True)
        scene = _Scene(lambda z, each: [draw_scatter(axes, z, each)], [contours])
        axes.set(aspect="equal", ylim=(limits[0][1], limits[1][1]))
        axes.set_ylabel(plane.axis_names[1])
    axes.set(xlim=(limits[0][0], limits[1][0]), xlabel=plane.axis_names[0])
    style(axes)
    draw_legend(axes, classes, entries)
    colours = [each.colour for each in classes]
    pictures = _pictures(figure, scene, frames, plane, limits)
    return encode_gif(pictures, colours, milliseconds=_MILLISECONDS, held=_HELD)


def _strip(
    axes: Axes, points: np.ndarray, spread: np.ndarray, limits: tuple[np.ndarray, ...]
) -> _Scene:
    """Codes of one dimension: bars of classes, one on another, under the prior."""
    edges = np.linspace(limits[0][0], limits[1][0], _BARS + 1)
    expected = np.histogram(spread, edges)[0] * (len(points) / len(spread))
    outline = axes.stairs(expected, edges, color=INK, linewidth=1.3, animated=True)
    highest = max(expected.max(), np.histogram(points, edges)[0].max())
    axes.set(ylim=(0, _ROOM * highest), ylabel="codes per bar")

    def put(points: np.ndarray, classes: list[CodeClass]) -> list[Artist]:
        bars, base = [], np.zeros(_BARS)
        for each in classes:
            top = base + np.histogram(points[each.rows, 0], edges)[0]
            bars.append(
                axes.stairs(top, edges, baseline=base, fill=True, color=each.colour)
            )
            base = top
        return bars

    return _Scene(put, [outline])


def _pictures(
    figure: Figure,
    scene: _Scene,
    frames: Sequence[Frame],
    plane: Plane,
    limits: tuple[np.ndarray, ...],
) -> Iterator[Pixels]:
    """The frames as pixels; what stands still is drawn once."""
    margin = 0.12 / WIDTH
    status = figure.text(
        1 - margin, 0.985, "", size=11, color=INK, ha="right", va="top", animated=True
    )
    fix_layout(figure)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    still = canvas.copy_from_bbox(figure.bbox)
    for frame in frames:
        canvas.restore_region(still)
        points = np.clip(plane.project(frame.z), *limits)
        moving = scene.put(points, classes_of(frame.y, len(frame.z)))
        status.set_text(frame.status)
        for artist in (*moving, *scene.above, status):
            figure.draw_artist(artist)
        yield np.array(canvas.buffer_rgba())[..., :3]
        for artist in moving:
            artist.remove()
