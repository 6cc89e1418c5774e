"""Arrays of any number type become images and labels of ours, or are refused."""

import numpy as np

from aae_jax.errors import UserError

MAX_SIDE = 1024
MAX_LABEL = 9_999
CHUNK_IMAGES = 1024  # conversions work on so many at a time, to spare memory


def as_labels(y: np.ndarray | None, count: int, where: str) -> np.ndarray | None:
    """Labels as int32 `[count]`.

    Raises:
      UserError: another number of labels than images, a type that is not integer, a
        label under -1 (unlabelled) or over 9,999.
    """
    if y is None:
        return None
    if y.shape != (count,):
        one_hot = "; of one-hot rows take y.argmax(axis=1)" if y.ndim == 2 else ""
        raise UserError(
            f"{where} has the shape {list(y.shape)} and there are {count} images; give "
            f"one label for each, of the shape [{count}]{one_hot}"
        )
    if y.dtype.kind not in "iu":
        raise UserError(
            f"{where} has the type {y.dtype}; labels are integers from 0, or -1 for "
            "unlabelled, such as numpy.unique(y, return_inverse=True)[1]"
        )
    wrong = np.flatnonzero((y < -1) | (y > MAX_LABEL))
    if wrong.size:
        raise UserError(
            f"{where} has the label {y[wrong[0]]} at index {wrong[0]}; labels are -1 "
            f"(unlabelled) or 0 to {MAX_LABEL}"
        )
    return y.astype(np.int32)


def as_images(
    x: np.ndarray,
    where: str,
    *,
    image_size: tuple[int, int] | None = None,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """Images as uint8 `[n, height, width, channels]` with 1 or 3 channels.

    Args:
      x: integers in 0 to 255, booleans, or floats in [0, 1].
      where: the array's name, for messages.
      image_size: (height, width) to which each is scaled.
      rows: which row of a larger array each is, for messages.

    Raises:
      UserError: a shape, type or value that no image has, or a side over 1024 pixels.
    """
    channels = x.shape[-1] if x.ndim == 4 else 1
    if x.ndim not in (3, 4) or channels not in (1, 3, 4) or 0 in x.shape[1:]:
        raise UserError(
            f"{where} has the shape {list(x.shape)}; images have the shape [n, height, "
            "width] or [n, height, width, channels] with 1, 3 or 4 channels"
        )
    if image_size is None and max(x.shape[1:3]) > MAX_SIDE:
        raise UserError(
            f"{where} has images of {x.shape[1]} x {x.shape[2]} pixels, and {MAX_SIDE} "
            "a side is the most; type --image-size 64 64 to scale them down"
        )
    pixels = np.ascontiguousarray(_as_bytes(x, where, rows))
    x = pixels.reshape(*pixels.shape[:3], channels)
    if channels == 4:
        x = over_black(x)
    return x if image_size is None else _resize_all(x, image_size)


def refuse_zeros_and_ones(x: np.ndarray, where: str) -> None:
    """Refuse integers that are meant as black and white, and would all be black.

    Raises:
      UserError: with what to save them as.
    """
    if x.dtype.kind in "iu" and x.max(initial=0) == 1:
        raise UserError(
            f"{where} has integers of 0 and 1 only, which would all be black; save "
            "them as booleans or floats, or multiply by 255"
        )


def over_black(x: np.ndarray) -> np.ndarray:
    """Lay uint8 images with alpha `[..., 4]` over black: round(colour alpha / 255)."""
    colour, alpha = x[..., :3].astype(np.uint16), x[..., 3:].astype(np.uint16)
    return ((colour * alpha + 127) // 255).astype(np.uint8)


def _as_bytes(x: np.ndarray, where: str, rows: np.ndarray | None) -> np.ndarray:
    """Pixel values as uint8, whatever number type they come in."""
    kind = x.dtype.kind
    if kind not in "buif":
        raise UserError(
            f"{where} has the type {x.dtype}; pixels are integers in 0 to 255 or "
            "floats in [0, 1]"
        )
    if kind == "b":
        return x.astype(np.uint8) * np.uint8(255)
    return x if x.dtype == np.uint8 else _to_bytes(x, where, rows)


def _to_bytes(x: np.ndarray, where: str, rows: np.ndarray | None) -> np.ndarray:
    """Whole numbers of another type as uint8, or floats times 255."""
    is_float = x.dtype.kind == "f"
    highest = 1 if is_float else 255
    pixels = np.empty(x.shape, np.uint8)
    for start in range(0, len(x), CHUNK_IMAGES):
        chunk = x[start : start + CHUNK_IMAGES]
        wrong = np.argwhere(~((chunk >= 0) & (chunk <= highest)))  # NaN is wrong, too
        if wrong.size:
            image, *pixel = map(int, wrong[0])
            row = start + image if rows is None else int(rows[start + image])
            raise UserError(
                f"{where} is {chunk[image, *pixel]} at index {[row, *pixel]}; pixels "
                "are "
                + (
                    "floats in [0, 1]; save what goes up to 255 as integers"
                    if is_float
                    else "integers in 0 to 255"
                )
            )
        chunk = np.rint(chunk * 255.0) if is_float else chunk
        pixels[start : start + CHUNK_IMAGES] = chunk
    return pixels


def _resize_all(x: np.ndarray, image_size: tuple[int, int]) -> np.ndarray:
    """Scale uint8 images `[n, height, width, channels]` to (height, width)."""
    from aae_jax.data.decoding import resize  # pillow is needed only here

    if x.shape[1:3] == tuple(image_size):
        return x
    resized = np.empty((len(x), *image_size, x.shape[-1]), np.uint8)
    for index, image in enumerate(x):
        resized[index] = resize(image, image_size)
    return resized
