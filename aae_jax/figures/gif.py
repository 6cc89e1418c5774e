"""Pictures of few known colours as one GIF: a single palette, and no dithering.

Programs that choose colours frame by frame make still parts flicker.
"""

import io
import itertools
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.colors import to_rgb
from PIL import Image
from scipy.spatial import KDTree

from aae_jax.figures.over_prior import ALPHA, SHADES
from aae_jax.figures.page import FRAME, INK, PALE

_TRANSPARENT = 255
_GREYS = 24
_BITS = 6  # of a channel by which a colour is looked up

Pixels = UInt8[np.ndarray, "height width 3"]


def encode_gif(
    pictures: Iterable[Pixels], colours: Sequence[str], *, milliseconds: int, held: int
) -> bytes:
    """Pictures of one size, one after the other; it begins again after the last.

    Args:
      pictures: one or more.
      colours: of the dots in them, hexadecimal; at most eleven.
      milliseconds: of each picture.
      held: milliseconds of the last.
    """
    palette = _palette(colours)
    nearest = _nearest(palette)
    frames, before = [], None
    for pixels in pictures:
        shown = nearest[tuple(np.moveaxis(pixels >> (8 - _BITS), -1, 0))]
        # What stays is left out, and packs to nearly nothing.
        same = False if before is None else shown == before
        frames.append(Image.fromarray(np.where(same, np.uint8(_TRANSPARENT), shown)))
        before = shown
        frames[-1].putpalette(palette.tobytes())
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=[milliseconds] * (len(frames) - 1) + [held],
        loop=0,
        disposal=1,
        optimize=False,
        transparency=_TRANSPARENT,
    )
    return buffer.getvalue()


def _palette(colours: Sequence[str]) -> UInt8[np.ndarray, "256 3"]:
    """Greys; dots over paper, shades and each other; their edges. Unused ones black."""
    white, ink = np.ones(3), _rgb(INK)
    inks = list(np.linspace(ink, white, _GREYS))
    inks += [_rgb(each) for each in (*SHADES, FRAME, PALE)]
    found = [*inks, white]
    dots = [_rgb(colour) for colour in dict.fromkeys(colours)]
    for dot in dots:
        edges = (_over(dot, white, ALPHA * part) for part in (0.25, 0.5, 0.75))
        found += [dot, *edges, _over(dot, _rgb(SHADES[-1]), ALPHA)]
        found.append(_over(ink, _over(dot, white, ALPHA), 0.5))
    for above, below in itertools.product(dots, dots):
        found.append(_over(above, _over(below, white, ALPHA), ALPHA))
    unique = np.unique(np.rint(255 * np.array(found)).astype(np.uint8), axis=0)
    assert len(unique) <= _TRANSPARENT
    return np.concatenate([unique, np.zeros((256 - len(unique), 3), np.uint8)])


def _nearest(palette: UInt8[np.ndarray, "256 3"]) -> UInt8[np.ndarray, "r g b"]:
    """The colour of the palette for each colour, by its leading bits."""
    step = 1 << (8 - _BITS)
    middles = np.arange(0, 256, step) + step / 2
    cells = np.stack(np.meshgrid(middles, middles, middles, indexing="ij"), axis=-1)
    used = palette[:_TRANSPARENT]
    _, indices = KDTree(used).query(cells)
    nearest = indices.astype(np.uint8)
    # A colour of the palette stays what it is.
    nearest[tuple((used >> (8 - _BITS)).T)] = np.arange(len(used))
    return nearest


def _rgb(colour: str) -> Float[np.ndarray, " 3"]:
    return np.array(to_rgb(colour))


def _over(
    above: Float[np.ndarray, " 3"], below: Float[np.ndarray, " 3"], alpha: float
) -> Float[np.ndarray, " 3"]:
    return alpha * above + (1 - alpha) * below
