"""One image, and many: PNG, JPEG and BMP decoded by pillow, checked before that."""

import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps

from aae_jax.data.conversion import MAX_SIDE, over_black
from aae_jax.data.files import check_memory, file_size, open_regular
from aae_jax.errors import UserError

FORMATS = ("PNG", "JPEG", "BMP")
GREY_MODES = ("1", "L")
COLOUR_MODES = ("RGB", "P", "CMYK", "YCbCr")
ALPHA_MODES = ("LA", "RGBA", "PA")
MAX_PIXELS = 2**27  # more than any camera gives
# Deflate, the densest of them, packs at most 1032 bytes in one, of 8 pixels each.
MAX_PIXELS_PER_BYTE = 8 * 1032
# `_check_header` refuses by bounds of its own. For good: what `warnings` undoes later
# is undone for all threads, and images are read by several.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
# What pillow finds odd and reads all the same, such as damaged notes of a camera.
warnings.filterwarnings("ignore", module=r"PIL\.")
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
    for index, (name, image) in enumerate(decoded):
        if index == 0:
            check_memory(count * image.nbytes, where, limit=memory_limit)
            images, first = np.empty((count, *image.shape), np.uint8), name
        check_size(image, images.shape[1:], name, first=first)
        if image.shape[2] > images.shape[3]:
            check_memory(3 * images.nbytes, where, limit=memory_limit)
            images = np.repeat(images, 3, axis=3)
        images[index] = image  # a grey image spreads over three channels
    return images


def check_size(
    image: np.ndarray, shape: Sequence[int], name: str, *, first: str
) -> None:
    """Refuse an image of another (height, width) than the first one.

    Raises:
      UserError: both named.
    """
    if image.shape[:2] != tuple(shape[:2]):
        raise UserError(
            f"{first} has {_size(shape)} pixels (width x height) and {name} has "
            f"{_size(image.shape)}; "
            "images must be of one size, or train with "
            f"--image-size {shape[0]} {shape[1]} to scale them"
        )


def read_image(path: str | Path, *, size: tuple[int, int] | None = None) -> np.ndarray:
    """Decode an image file, set upright: see `decode_image`."""
    with open_regular(Path(path)) as stream:
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
    with _sound(where):
        image = Image.open(stream, formats=FORMATS)
        most = min(MAX_PIXELS, MAX_PIXELS_PER_BYTE * nbytes)
        _check_header(image, where, most=most, any_size=size is not None)
        pixels = _to_array(ImageOps.exif_transpose(image) if turn else image)
    return pixels if size is None else resize(pixels, size)


def is_grey(stream: IO[bytes], where: str) -> bool:
    """Whether an image decodes to one channel, by its header.

    Raises:
      UserError: not a PNG, JPEG or BMP.
    """
    with _sound(where):
        return Image.open(stream, formats=FORMATS).mode in (*GREY_MODES, "LA")


@contextmanager
def _sound(where: str) -> Iterator[None]:
    """What pillow raises on a damaged image, in words."""
    try:
        yield
    except UserError:
        raise
    except UNSOUND as error:
        raise UserError(
            f"{where} is not a sound image; give 8-bit PNG, JPEG or BMP files"
        ) from error


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


def _size(shape: Sequence[int]) -> str:
    return f"{shape[1]} x {shape[0]}"
