"""Each dimension of the codes beside the prior."""

import math

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aae_jax.figures.page import CODES, INK, PALE, outside_note, page, style
from aae_jax.latent_plane import visible_range

_PANELS = 16


def histogram_figure(
    z: Float[np.ndarray, "n z_dim"],
    z_prior: Float[np.ndarray, "m z_dim"],
    *,
    title: str,
) -> Figure:
    """Each dimension of the codes beside the prior, with mean and deviation of both.

    Args:
      z: `[n, z_dim]`, codes; the first 16 dimensions are drawn.
      z_prior: `[m, z_dim]`, samples of the prior.
      title: the run's name.
    """
    z_dim = z.shape[1]
    z, z_prior = z[:, :_PANELS], z_prior[:, :_PANELS]
    shown = z.shape[1]
    columns = min(shown, 2 if shown <= 4 else 4)
    rows = math.ceil(shown / columns)
    low, high = visible_range(z, z_prior)
    low, high = np.full_like(low, low.min()), np.full_like(high, high.max())
    notes = [
        f"Filled: {len(z):,} codes. Outline: the prior. Numbers: mean \u00b1 standard "
        "deviation.",
        f"{z_dim - shown:,} more dimensions are not shown." if shown < z_dim else "",
        outside_note(z, low, high),
    ]
    caption = " ".join(filter(None, notes))
    height = 3.2 if rows == 1 else 1.9 * rows + 0.3
    figure = page("Codes beside the prior", title, caption=caption, height=height)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[shown:]:
        axes.remove()
    edges = np.linspace(low[0], high[0], 61 if columns <= 2 else 41)
    for index, axes in enumerate(panels.flat[:shown]):
        _draw_dimension(axes, z[:, index], z_prior[:, index], edges)
        axes.set_title(f"dimension {index + 1}", size=9, color=INK, loc="left")
        if index % columns == 0:
            axes.set_ylabel("density")
        if index + columns >= shown:
            axes.set_xlabel("coordinate")
            axes.tick_params(labelbottom=True)
        style(axes)
    return figure


def _draw_dimension(
    axes: Axes,
    z: Float[np.ndarray, " n"],
    z_prior: Float[np.ndarray, " m"],
    edges: Float[np.ndarray, " k"],
) -> None:
    width = edges[1] - edges[0]
    # Shares of all, not of those inside: what lies outside must not lift the rest.
    codes, prior = (
        np.histogram(each, edges)[0] / (len(each) * width) for each in (z, z_prior)
    )
    axes.stairs(codes, edges, fill=True, color=CODES, alpha=0.75)
    axes.stairs(prior, edges, color=INK, linewidth=1.2)
    digits = max(0, 2 - math.floor(math.log10(z_prior.std())))
    lines = (
        f"{name} {each.mean():.{digits}f} \u00b1 {each.std():.{digits}f}"
        for name, each in (("codes", z), ("prior", z_prior))
    )
    moments = "\n".join(lines).replace("-", "\u2212")
    place = {"transform": axes.transAxes, "va": "top"}
    axes.text(0.025, 0.96, moments, size=8, color=PALE, **place)
    axes.margins(y=0.3)  # room for the numbers above the bars
