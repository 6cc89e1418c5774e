"""Folders of pictures: PNG, JPEG and BMP, a class to a subfolder."""

import os
import struct
import warnings
import zlib
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps

from aae_jax.data.arrays import Parts
from aae_jax.data.conversion import MAX_SIDE, over_black
from aae_jax.data.files import check_memory, file_size, list_folder, open_regular
from aae_jax.errors import UserError
from aae_jax.messages import Say

FORMATS = ("PNG", "JPEG", "BMP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
GREY_MODES = ("1", "L")
COLOUR_MODES = ("RGB", "P", "CMYK", "YCbCr")
ALPHA_MODES = ("LA", "RGBA", "PA")
MAX_PIXELS = 2**27  # more than any camera gives
# Deflate, the densest of them, packs at most 1032 bytes in one, of 8 pixels each.
MAX_PIXELS_PER_BYTE = 8 * 1032
# What pillow raises on damaged files.
UNSOUND = (
    Image.DecompressionBombError,
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    zlib.error,
)


def read_image_folder(
    folder: Path,
    *,
    memory_limit: int,
    image_size: tuple[int, int] | None,
    say: Say,
) -> Parts:
    """Read a folder of images in sorted order, grey if all are grey, else RGB.

    A subfolder is a class, and its name the class's; images that lie in the folder
    itself have no labels. Files other than .png, .jpg, .jpeg, .bmp are passed over, as
    are hidden ones and deeper folders. Turned photographs are set upright, palettes
    converted, transparent images laid over black.

    Args:
      folder: the folder.
      memory_limit: bytes that the images may take.
      image_size: (height, width) to which every image is scaled; the sides'
        proportion is not kept. Without it all images must be of one size.
      say: takes one line for the user.

    Raises:
      UserError: no images, images of mixed sizes, or a file that is no sound image.
    """
    paths, labels, class_names = _find_images(folder, say)
    decoded = ((str(path), read_image(path, size=image_size)) for path in paths)
    images = stack_images(decoded, len(paths), folder, memory_limit=memory_limit)
    return Parts(images, labels, class_names=class_names)


def stack_images(
    decoded: Iterable[tuple[str, np.ndarray]],
    count: int,
    where: object,
    *,
    memory_limit: int,
) -> np.ndarray:
    """One array `[count, height, width, channels]` of named images of one size.

    Raises:
      UserError: images of mixed sizes, or more bytes than `memory_limit`.
    """
    images = np.empty((0, 1, 1, 1), np.uint8)
    first = ""
    with warnings.catch_warnings():
        # Pillow warns of large images; `decode_image` refuses them, by its own bounds.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        for index, (name, image) in enumerate(decoded):
            if index == 0:
                check_memory(count * image.nbytes, where, limit=memory_limit)
                images, first = np.empty((count, *image.shape), np.uint8), name
            if image.shape[:2] != images.shape[1:3]:
                raise UserError(
                    f"{first} has {_size(images[0])} pixels and {name} has "
                    f"{_size(image)}; images must be of one size, or train with "
                    f"--image-size {' '.join(map(str, images.shape[1:3]))} to scale "
                    "them"
                )
            if image.shape[2] > images.shape[3]:
                check_memory(3 * images.nbytes, where, limit=memory_limit)
                images = np.repeat(images, 3, axis=3)
            images[index] = image  # a grey image spreads over three channels
    return images


def read_image(path: Path, *, size: tuple[int, int] | None = None) -> np.ndarray:
    """Decode an image file, set upright: see `decode_image`."""
    with open_regular(path) as stream:
        return decode_image(stream, file_size(stream), str(path), size=size, turn=True)


def decode_image(
    stream: IO[bytes],
    nbytes: int,
    where: str,
    *,
    size: tuple[int, int] | None = None,
    turn: bool = False,
) -> np.ndarray:
    """Decode one image: uint8 `[height, width, 1]` (grey) or `[height, width, 3]`.

    Args:
      stream: the encoded image, of `nbytes` bytes.
      nbytes: bounds the pixels that the header may claim.
      where: the image's name, for the messages.
      size: (height, width) to scale to.
      turn: set a photograph upright as its EXIF orientation says.

    Raises:
      UserError: not a PNG, JPEG or BMP by its content, damaged, with more than 8 bits
        a channel, or too large.
    """
    try:
        image = Image.open(stream, formats=FORMATS)
        most = min(MAX_PIXELS, MAX_PIXELS_PER_BYTE * nbytes)
        _check_header(image, where, most=most, any_size=size is not None)
        pixels = _to_array(ImageOps.exif_transpose(image) if turn else image)
    except UserError:
        raise
    except UNSOUND as error:
        raise UserError(
            f"{where} is not a sound image; give 8-bit PNG, JPEG or BMP files"
        ) from error
    return pixels if size is None else resize(pixels, size)


def resize(image: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Scale a uint8 image `[height, width, channels]` to (height, width), smoothly."""
    if image.shape[:2] == tuple(image_size):
        return image
    squeezed = image[..., 0] if image.shape[2] == 1 else image
    height, width = image_size
    scaled = Image.fromarray(squeezed).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    return np.asarray(scaled).reshape(height, width, image.shape[2])


def _check_header(image: Image.Image, where: str, *, most: int, any_size: bool) -> None:
    """Refuse by the header alone, before the pixels are decoded."""
    if image.mode not in GREY_MODES + COLOUR_MODES + ALPHA_MODES:
        raise UserError(
            f"{where} has pixels of the kind {image.mode}; give 8-bit grey or RGB "
            "images"
        )
    if image.width * image.height > most:
        raise UserError(
            f"{where} claims {image.width} x {image.height} pixels, more than such a "
            "file holds; make it smaller"
        )
    if not any_size and max(image.size) > MAX_SIDE:
        raise UserError(
            f"{where} has {image.width} x {image.height} pixels, and {MAX_SIDE} a side "
            "is the most; type --image-size 64 64 to scale the images down"
        )


def _to_array(image: Image.Image) -> np.ndarray:
    """Pixels as uint8 `[height, width, 1 or 3]`; alpha over black."""
    if image.mode in GREY_MODES:
        grey = image if image.mode == "L" else image.convert("L")
        return np.asarray(grey)[..., None]
    if image.mode in ALPHA_MODES or "transparency" in image.info:
        pixels = over_black(np.array(image.convert("RGBA")))
        return pixels[..., :1] if image.mode == "LA" else pixels
    return np.array(image.convert("RGB"))


def _find_images(
    folder: Path, say: Say
) -> tuple[list[Path], np.ndarray | None, tuple[str, ...] | None]:
    """Paths, labels and class names of a folder, sorted by class and name."""
    entries = list_folder(folder)
    direct = _images_of(entries)
    passed_over = sum(not os.path.isdir(path) for path in entries) - len(direct)
    classes: dict[str, list[Path]] = {}
    for path in entries:
        if os.path.isdir(path):
            inside = list_folder(path)
            images = _images_of(inside)
            passed_over += len(inside) - len(images)
            if images:
                classes[path.name] = images
    if direct and classes:
        raise UserError(
            f"{folder} has images beside the subfolder {next(iter(classes))}; put "
            "every image into a subfolder named after its class, or none"
        )
    if not direct and not classes:
        raise UserError(
            f"{folder} has no images among its {len(entries)} entries; put "
            f"{', '.join(SUFFIXES)} files there, or into a subfolder for each class"
        )
    if passed_over:
        say(f"{folder}: passed over {passed_over} entries that are not images")
    if direct:
        return direct, None, None
    counts = [len(images) for images in classes.values()]
    labels = np.repeat(np.arange(len(classes)), counts)
    return list(chain.from_iterable(classes.values())), labels, tuple(classes)


def _images_of(paths: list[Path]) -> list[Path]:
    return [
        path
        for path in paths
        if path.suffix.lower() in SUFFIXES and os.path.isfile(path)
    ]


def _size(image: np.ndarray) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"
