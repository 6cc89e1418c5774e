"""Losses over the run, beside the values that they should come to."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from aae_jax.errors import UserError
from aae_jax.figures.page import CODES, EXPECTED, INK, page, style
from aae_jax.losses import DISCRIMINATOR_EQUILIBRIUM, GENERATOR_EQUILIBRIUM

_COLOURS = {"training": CODES, "held out": "#ff7800"}

_FEW = 30  # points are marked where they are fewer


_Curves = dict[str, tuple[list[int], list[float]]]


@dataclass(frozen=True)
class _Panel:
    heading: str
    unit: str
    curves: Mapping[str, tuple[str, ...]]
    """Label and place in a row of the log."""
    expected: float | None = None
    meaning: str = ""
    logarithmic: bool = False


_PANELS = (
    _Panel(
        "Reconstruction",
        "squared error per pixel",
        {
            "training": ("losses", "reconstruction"),
            "held out": ("validation", "reconstruction_mse"),
        },
    ),
    _Panel(
        "Discriminator",
        "loss, nats",
        {"training": ("losses", "discriminator")},
        DISCRIMINATOR_EQUILIBRIUM,
        "2 ln 2 = 1.386",
    ),
    _Panel(
        "Generator",
        "loss, nats",
        {"training": ("losses", "generator")},
        GENERATOR_EQUILIBRIUM,
        "ln 2 = 0.693",
    ),
    _Panel(
        "Latent ratio",
        "distance to prior / floor",
        {"held out": ("validation", "latent", "ratio")},
        1.0,
        "1 = a perfect match",
        logarithmic=True,
    ),
    _Panel(
        "Label discriminator",
        "loss, nats",
        {"training": ("losses", "label_discriminator")},
        DISCRIMINATOR_EQUILIBRIUM,
        "2 ln 2 = 1.386",
    ),
    _Panel(
        "Label generator",
        "loss, nats",
        {"training": ("losses", "label_generator")},
        GENERATOR_EQUILIBRIUM,
        "ln 2 = 0.693",
    ),
    _Panel(
        "Label generator",
        "divergence, nats",
        {"training": ("losses", "label_divergence")},
        0.0,
        "0 = all come equally often",
    ),
    _Panel(
        "Classification of labelled images",
        "loss, nats",
        {"training": ("losses", "classification")},
        logarithmic=True,
    ),
    _Panel("Classes", "error", {"held out": ("validation", "error")}, logarithmic=True),
    _Panel("Clusters", "error", {"held out": ("validation", "cluster_error")}),
    _Panel("Codes on their part", "share", {"held out": ("validation", "part_share")}),
)
_GOOD_NEWS = (
    " Dashed: where discriminators have nothing left to tell apart. A discriminator "
    "loss that rises towards it is the good news: the codes come to look like the "
    "prior."
)


def losses_figure(log: Iterable[Mapping[str, Any]], *, title: str) -> Figure:
    """Losses and latent match over the steps of a run, a panel each.

    Args:
      log: rows of metrics.jsonl, one an epoch; any key but `step` may be missing, and
        a panel without numbers is left out.
      title: the run's name.

    Raises:
      UserError: the log has no losses yet.
    """
    n_epochs, panels = _filled(log)
    if not panels:
        raise UserError("the log holds no losses yet; train for an epoch or more")
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    caption = f"A point an epoch, {n_epochs:,} in all."
    if any(panel.heading == "Discriminator" for panel, _ in panels):
        caption += _GOOD_NEWS
    figure = page("Losses", title, caption=caption, height=2.6 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.remove()
    for axes, (panel, curves) in zip(grid.flat, panels, strict=False):
        _draw(axes, panel, curves)
    for axes in grid.flat[: len(panels)][-columns:]:
        axes.set_xlabel("step")
    return figure


def _filled(
    log: Iterable[Mapping[str, Any]],
) -> tuple[int, list[tuple[_Panel, _Curves]]]:
    """How many rows there are; the panels, with the curves that have any points."""
    n_rows, found = 0, defaultdict(lambda: ([], []))
    for row in log:
        n_rows += 1
        for place in (place for panel in _PANELS for place in panel.curves.values()):
            if (value := _at(row, place)) is not None:
                steps, values = found[place]
                steps.append(row["step"])
                values.append(value)
    panels = []
    for panel in _PANELS:
        pairs = panel.curves.items()
        curves = {label: found[place] for label, place in pairs if place in found}
        panels += [(panel, curves)] if curves else []
    return n_rows, panels


def _at(row: Mapping[str, Any], place: tuple[str, ...]) -> float | None:
    """The number at a place in a row of the log, None where there is none."""
    value: Any = row
    for name in place:
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return value if isinstance(value, int | float) else None


def _draw(axes: Axes, panel: _Panel, curves: _Curves) -> None:
    for label, (steps, values) in curves.items():
        axes.plot(
            steps,
            values,
            color=_COLOURS[label],
            linewidth=1.4,
            marker="o" if len(steps) < _FEW else "",
            markersize=3.5,
            label=label,
        )
    axes.set_title(panel.heading, size=10.5, weight="bold", color=INK, loc="left")
    axes.set_ylabel(panel.unit)
    if panel.expected is not None:
        line = {"color": EXPECTED, "linewidth": 1.2, "linestyle": (0, (5, 3))}
        axes.axhline(panel.expected, **line)
        axes.set_title(panel.meaning, size=9, color=EXPECTED, loc="right")
    if panel.logarithmic:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.margins(y=0.12)
    axes.grid(color="#eeeeee", linewidth=0.8)
    axes.set_axisbelow(True)
    style(axes)
    axes.legend(fontsize=8.5, labelcolor=INK, frameon=False)
