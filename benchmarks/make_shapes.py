"""Draw a small set of coloured shapes, a folder for each class, to train on.

    python benchmarks/make_shapes.py path/to/folder

See docs/images.md.
"""

import argparse
import colorsys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SIDE, FINER = 32, 4
"""Pixels of an image, and how much finer it is drawn before it is made that small."""
CORNERS = {"triangle": 3, "square": 4, "star": 10, "disc": 60}


def draw_shape(rng: np.random.Generator, name: str) -> Image.Image:
    """One shape of any hue, place, size and turn, on a dark ground of another hue."""
    hue, ground, level = rng.random(3)
    image = Image.new("RGB", (SIDE * FINER,) * 2, _rgb(ground, 0.6, 0.1 + 0.2 * level))
    radius = rng.uniform(7, 12)
    centre = rng.uniform(radius + 1, SIDE - radius - 1, 2)
    n = CORNERS[name]
    angles = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(n) / n
    reach = radius * np.where(np.arange(n) % 2, 0.45 if name == "star" else 1, 1)
    corners = centre + reach[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
    ImageDraw.Draw(image).polygon(
        [tuple(corner) for corner in FINER * corners], fill=_rgb(hue, 0.8, 0.95)
    )
    return image.resize((SIDE, SIDE), Image.Resampling.BOX)


def _rgb(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def main() -> None:
    """Write `--each` images of each class as PNG."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", type=int, default=1500, help="images of a class")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    for name in CORNERS:
        folder = arguments.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(arguments.each):
            draw_shape(rng, name).save(folder / f"{index:04}.png")


if __name__ == "__main__":
    main()
