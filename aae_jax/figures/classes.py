"""The classes of a set of codes: their names and colours in a picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from aae_jax.figures.page import shortened

# Ten colours that stay apart in small dots on white, found by search: the least
# distance of any two, in OKLab, is largest where the worst of normal, red-blind,
# green-blind and blue-blind sight (Machado et al. 2009) decides. It is twice that of
# the usual sets of ten. Digits whose codes lie side by side (4 and 9, 3 and 5 and 8)
# got the more distant ones.
CLASS_COLOURS = (
    "#696900",
    "#00b487",
    "#b43c87",
    "#e1d20f",
    "#4b0096",
    "#780f00",
    "#c387e1",
    "#5ae1ff",
    "#4b69e1",
    "#ff7800",
)
UNLABELLED = "#8c8c8c"

_LETTERS = 18


@dataclass(frozen=True)
class CodeClass:
    """A class that occurs.

    Attributes:
      name: short enough for a legend.
      colour: hexadecimal.
      rows: `[k]`, which codes are of this class.
    """

    name: str
    colour: str
    rows: Int[np.ndarray, " k"]


def class_colour(label: int) -> str:
    """Of a class from 0; after ten they repeat."""
    return CLASS_COLOURS[label % len(CLASS_COLOURS)]


def classes_of(
    y: Int[np.ndarray, " n"] | None,
    n: int,
    *,
    class_names: Sequence[str] | None = None,
) -> list[CodeClass]:
    """The classes that occur among `n` codes, the unlabelled (-1 or no `y`) first.

    Classes without a name are called by their number; after ten the colours repeat.
    """
    y = np.full(n, -1) if y is None else y
    names = class_names or ()
    classes = []
    for label in np.unique(y).tolist():
        rows = np.flatnonzero(y == label)
        if label < 0:
            classes.append(CodeClass("unlabelled", UNLABELLED, rows))
            continue
        name = names[label] if label < len(names) else str(label)
        colour = class_colour(label)
        classes.append(CodeClass(shortened(name, _LETTERS), colour, rows))
    return classes
