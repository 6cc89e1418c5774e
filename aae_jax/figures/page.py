"""What all pictures share: the page with its heading and caption, colours, the file."""

import io
import textwrap
import warnings
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from aae_jax.messages import printable
from aae_jax.small_files import write_bytes

# Names may be of letters that the font does not have: they are drawn as boxes.
warnings.filterwarnings("ignore", message="Glyph .* missing from font")

INK = "#222222"
PALE = "#666666"
FRAME = "#b0b0b0"
CODES = "#4b69e1"
EXPECTED = "#b03000"

WIDTH = 8.0
"""Inches, as all lengths here; 1000 pixels."""

_DPI = 125
_LARGE = 300_000  # bytes
_MARGIN = 0.12
_HEADER = 0.66
_CAPTION_LINE = 0.17
_CAPTION_LETTERS = 116
_TITLE_LETTERS = 96


def page(heading: str, title: str, *, caption: str, height: float) -> Figure:
    """An empty figure with room for axes of `height` inches between the texts.

    Args:
      heading: what the picture shows.
      title: of which run.
      caption: how to read it; wrapped.
      height: of what lies between, in inches.
    """
    lines = textwrap.wrap(caption, _CAPTION_LETTERS)
    footer = _CAPTION_LINE * len(lines) + 2 * _MARGIN
    total = _HEADER + height + footer
    rect = (0, footer / total, 1, height / total)
    figure = Figure(
        figsize=(WIDTH, total),
        dpi=_DPI,
        facecolor="white",
        layout=ConstrainedLayoutEngine(rect=rect, w_pad=_MARGIN, h_pad=0.06),
    )
    left = _MARGIN / WIDTH
    # Names of runs and classes may hold a dollar sign: no formulas in texts.
    text = {"va": "top", "parse_math": False, "linespacing": 1.35}
    figure.text(
        left, 1 - 0.11 / total, heading, size=13, weight="bold", color=INK, **text
    )
    title = shortened(title, _TITLE_LETTERS)
    figure.text(left, 1 - 0.38 / total, title, size=10, color=PALE, **text)
    top = (footer - _MARGIN) / total
    figure.text(left, top, "\n".join(lines), size=8.5, color=PALE, **text)
    return figure


def style(axes: Axes, *, frame: bool = True) -> None:
    """The look of all axes, whatever the settings of the program around us."""
    axes.set_facecolor("white")
    axes.tick_params(colors=INK, labelsize=9, length=3, color=FRAME, which="both")
    for spine in axes.spines.values():
        spine.set(color=FRAME, linewidth=0.8, visible=frame)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set(color=INK, size=10)


def shortened(text: str, letters: int) -> str:
    """A text of so many letters at most; an ellipsis stands for the rest."""
    text = printable(text)
    return text if len(text) <= letters else text[: letters - 1] + "\u2026"


def outside_note(
    points: Float[np.ndarray, "n p"],
    low: Float[np.ndarray, " p"],
    high: Float[np.ndarray, " p"],
) -> str:
    """A sentence on how many of the codes a picture leaves out, or ''."""
    count = int(np.any((points < low) | (points > high), axis=1).sum())
    if not count:
        return ""
    return f"Outside of the picture: {count:,} {'code' if count == 1 else 'codes'}."


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all; see `as_png`.

    Raises:
      RunError: the folder cannot be written, or the disk is full.
    """
    write_bytes(path, as_png(figure))


def fix_layout(figure: Figure) -> None:
    """Place everything, once: a second time would move things a little."""
    if layout := figure.get_layout_engine():
        layout.execute(figure)
        figure.set_layout_engine("none")


def as_png(figure: Figure) -> bytes:
    """A figure as PNG; equal figures give equal bytes.

    A picture that would be larger than 300 KB is kept in 256 colours, or 64 greys.
    """
    fix_layout(figure)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return _png(np.asarray(canvas.buffer_rgba())[..., :3])


def _png(pixels: np.ndarray) -> bytes:
    """Without a date or a program's name: the file depends on the pixels alone."""
    grey = np.ptp(pixels, axis=-1).max() == 0
    picture = Image.fromarray(pixels[..., 0] if grey else pixels)
    if len(png := _encoded(picture)) <= _LARGE:
        return png
    return _encoded(_in_64_greys(picture) if grey else _in_256_colours(picture))


def _in_64_greys(picture: Image.Image) -> Image.Image:
    return picture.point([level // 4 * 255 // 63 for level in range(256)])


def _in_256_colours(picture: Image.Image) -> Image.Image:
    """The most common colours (paper, shades, legend) exactly, the rest nearly."""
    n_rest = 96
    rest = picture.quantize(n_rest, Image.Quantize.FASTOCTREE)
    codes = np.asarray(picture, np.int64) @ (1 << 16, 1 << 8, 1)
    values, counts = np.unique(codes, return_counts=True)
    common = np.sort(values[np.argsort(-counts, kind="stable")][: 256 - n_rest])
    place = np.searchsorted(common, codes).clip(max=len(common) - 1)
    exact = common[place] == codes
    colours = np.stack([common >> 16, common >> 8 & 255, common & 255], axis=-1)
    palette = ((rest.getpalette() or []) + [0] * 3 * n_rest)[: 3 * n_rest]
    indexed = Image.fromarray(
        np.where(exact, n_rest + place, np.asarray(rest)).astype(np.uint8)
    )
    indexed.putpalette(palette + colours.ravel().tolist())
    return indexed


def _encoded(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="png", optimize=True)
    return buffer.getvalue()
