"""Images that are too many for the memory: they stay on disk, and are read by rows."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from aae_jax.data.array_file import ArrayFile, Rows
from aae_jax.data.conversion import as_images, refuse_zeros_and_ones

Read = Callable[[Rows], NDArray[np.uint8]]

_READ_BYTES = 2**22


@dataclass(frozen=True, eq=False)
class StoredImages:
    """Images on disk, in an order of their own.

    `images[rows]`, where rows are a slice or an array of row numbers, reads those:
    uint8 `[n, height, width, channels]`. It may be asked from several threads.

    Attributes:
      read: takes rows of the source and returns their images.
      rows: `[n]`, the row of each image in the source.
      image_shape: (height, width, channels).
    """

    read: Read
    rows: Rows
    image_shape: tuple[int, int, int]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice | Rows) -> NDArray[np.uint8]:
        return self.read(self.rows[rows])

    def __array__(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("these images may not fit in memory; read some: images[rows]")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """As that of an array."""
        return (len(self), *self.image_shape)

    @property
    def nbytes(self) -> int:
        """What all of them would take in memory."""
        return math.prod(self.shape)

    def select(self, rows: Rows) -> "StoredImages":
        """Some of them, not yet read."""
        return StoredImages(self.read, self.rows[rows], self.image_shape)


Images = NDArray[np.uint8] | StoredImages
"""`[n, height, width, channels]`, in memory or on disk; `images[rows]` is in memory."""


def select(images: Images, rows: Rows) -> Images:
    """The images of those rows, in memory if they were there before."""
    if isinstance(images, StoredImages):
        return images.select(rows)
    return images[rows]


def joined(first: Images, second: Images) -> Images:
    """One set of images after the other, in memory if both are there."""
    if not isinstance(first, StoredImages) and not isinstance(second, StoredImages):
        return np.concatenate([first, second])

    def read(rows: Rows) -> NDArray[np.uint8]:
        images = np.empty((len(rows), *first.shape[1:]), np.uint8)
        of_first = rows < len(first)
        images[of_first] = first[rows[of_first]]
        images[~of_first] = second[rows[~of_first] - len(first)]
        return images

    _, height, width, channels = first.shape
    return StoredImages(
        read, np.arange(len(first) + len(second)), (height, width, channels)
    )


def stored_array(
    array: ArrayFile | np.ndarray,
    where: str,
    *,
    image_size: tuple[int, int] | None = None,
) -> StoredImages:
    """The images in an array that lies on disk, made uint8 as they are read.

    Args:
      array: any numbers that `as_images` takes.
      where: the array's name, for messages.
      image_size: (height, width) to which each is scaled.

    Raises:
      UserError: see `as_images`; of the first image now, of others when they are read;
        zeros and ones only, see `refuse_zeros_and_ones`.
      RunError: see `ArrayFile`.
    """
    # Refuses images of any size before one is read.
    blank = np.broadcast_to(np.zeros((), array.dtype), (1, *array.shape[1:]))
    shape = as_images(blank, where, image_size=image_size).shape[1:]
    # Before they are scaled images may be many times as large.
    at_a_time = max(1, _READ_BYTES // blank.nbytes)
    rows = np.unique(np.linspace(0, len(array) - 1, at_a_time, dtype=np.int64))
    some = array[rows]
    refuse_zeros_and_ones(some, where)
    as_images(some[:1], where, image_size=image_size)
    as_they_are = array.dtype == np.uint8 and array.shape[1:] in (shape, shape[:2])

    def read(rows: Rows) -> NDArray[np.uint8]:
        if as_they_are:
            return array[rows].reshape(len(rows), *shape)
        images = np.empty((len(rows), *shape), np.uint8)
        for first in range(0, len(rows), at_a_time):
            some = rows[first : first + at_a_time]
            images[first : first + at_a_time] = as_images(
                array[some], where, image_size=image_size, rows=some
            )
        return images

    height, width, channels = shape
    return StoredImages(read, np.arange(len(array)), (height, width, channels))
