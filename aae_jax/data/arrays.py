"""Dataset, and the way into it: every source hands its images to `build_dataset`."""

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from aae_jax.data.conversion import as_images, as_labels, refuse_zeros_and_ones
from aae_jax.data.reading_ahead import ReadingAhead
from aae_jax.data.stored import Images, StoredImages, select
from aae_jax.errors import UserError
from aae_jax.messages import Say

SPLIT_SEED = 0
_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_HASHED_BYTES = 2**24  # at a time


@dataclass(frozen=True)
class Dataset:
    """Images and labels, split in training and test images.

    `Dataset.from_arrays` makes one from arrays of other types and shapes. Images that
    are too many for the memory are `StoredImages`, which are read by rows.

    Attributes:
      name: `mnist`, `sample`, another prepared set's name, or the path's last part.
      x_train: uint8 `[n, height, width, channels]`, 1 channel (grey) or 3 (RGB).
      y_train: int32 `[n]`, -1 = unlabelled; None where the source has no labels.
      x_test: uint8 `[n_test, height, width, channels]`.
      y_test: int32 `[n_test]`, or None.
      class_names: the name of each label, where the source tells.
    """

    name: str
    x_train: Images
    y_train: np.ndarray | None
    x_test: Images
    y_test: np.ndarray | None
    class_names: tuple[str, ...] | None = None

    def __repr__(self) -> str:
        """Counts and shape, without the pixels."""
        return (
            f"Dataset({self.name!r}, {len(self.x_train)} training and "
            f"{len(self.x_test)} test images of {self.image_shape})"
        )

    def __post_init__(self) -> None:
        """Refuse arrays of other types or shapes than those above.

        Raises:
          UserError: naming the array, and `from_arrays`, which converts.
        """
        for split in ("train", "test"):
            x, y = getattr(self, f"x_{split}"), getattr(self, f"y_{split}")
            sound = isinstance(x, StoredImages) or (_is(x, np.uint8) and x.ndim == 4)
            if not sound or x.shape[-1] not in (1, 3):
                raise UserError(
                    f"x_{split} is {_described(x)}, not uint8 of shape [n, height, "
                    "width, 1 or 3]; Dataset.from_arrays(x, y) converts"
                )
            if y is not None and (not _is(y, np.int32) or y.shape != x.shape[:1]):
                raise UserError(
                    f"y_{split} is {_described(y)}, not int32 of shape ({len(x)},); "
                    "Dataset.from_arrays(x, y) converts"
                )
        train, test = self.x_train.shape[1:], self.x_test.shape[1:]
        if train != test:
            raise UserError(
                f"training images have the shape {train} and test images {test}; give "
                "both the same"
            )

    @classmethod
    def from_arrays(
        cls,
        x: ArrayLike,
        y: ArrayLike | None = None,
        *,
        x_test: ArrayLike | None = None,
        y_test: ArrayLike | None = None,
        name: str = "arrays",
        class_names: tuple[str, ...] | None = None,
        image_size: tuple[int, int] | None = None,
    ) -> "Dataset":
        """A Dataset of one's own arrays, see `build_dataset` for what they may be.

        Raises:
          UserError: too few images; shapes, types, values or labels that do not fit.
        """
        parts = Parts(
            x=np.asarray(x),
            y=None if y is None else np.asarray(y),
            x_test=None if x_test is None else np.asarray(x_test),
            y_test=None if y_test is None else np.asarray(y_test),
            class_names=class_names,
        )
        where = f"the data set {name!r}"
        return build_dataset(name, parts, where=where, image_size=image_size)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        _, height, width, channels = self.x_train.shape
        return height, width, channels

    @property
    def shapes(self) -> dict[str, tuple[int, ...] | None]:
        """Of each array by its name; None where there are no labels."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        return {name: None if a is None else a.shape for name, a in arrays.items()}

    def fingerprint(self, *, say: Say | None = None) -> str:
        """SHA-256, in hexadecimal, over the arrays' names, shapes, dtypes and bytes.

        Images on disk are all read for it, which `say` is told.
        """
        digest = hashlib.sha256()
        for field in _ARRAYS:
            array = getattr(self, field)
            if array is None:
                digest.update(f"{field} none;".encode())
                continue
            dtype = np.dtype(np.uint8 if field.startswith("x") else np.int32)
            digest.update(f"{field} {array.shape} {dtype.str};".encode())
            if isinstance(array, StoredImages) and say is not None:
                which = "training" if field == "x_train" else "test"
                say(f"reading {len(array):,} {which} images once, to know them again")
            for some in _pieces(array):
                digest.update(np.ascontiguousarray(some).data)
        return digest.hexdigest()


def _pieces(array: np.ndarray | StoredImages) -> Iterator[np.ndarray]:
    """All of it, `_HASHED_BYTES` at a time."""
    at_a_time = max(1, _HASHED_BYTES * len(array) // max(1, array.nbytes))
    n_pieces = -(-len(array) // at_a_time)

    def piece(index: int) -> np.ndarray:
        return array[index * at_a_time : (index + 1) * at_a_time]

    if isinstance(array, np.ndarray):
        yield from map(piece, range(n_pieces))
        return
    with closing(ReadingAhead(piece)) as ahead:
        for index in range(n_pieces):
            yield ahead.take(index, n_pieces)


def _is(value: object, dtype: DTypeLike) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == dtype


def _described(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return type(value).__name__


class Parts(NamedTuple):
    """What a source read, not yet checked; without `x_test` a sixth is set apart."""

    x: np.ndarray | StoredImages
    y: np.ndarray | None = None
    x_test: np.ndarray | StoredImages | None = None
    y_test: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None


def build_dataset(
    name: str,
    parts: Parts,
    *,
    where: object,
    image_size: tuple[int, int] | None = None,
) -> Dataset:
    """Check the arrays of a source and make them a Dataset.

    Images are `[n, height, width]` or `[n, height, width, channels]`: integers in 0 to
    255, booleans, or floats in [0, 1], which become round(255 x). Of 4 channels the
    last is alpha; the image is laid over black. Where there is no test set, a sixth of
    the images, drawn with a fixed seed, is set apart.

    Args:
      name: the dataset's name.
      parts: the arrays as they were read.
      where: the file or folder, for the messages.
      image_size: (height, width) to which all images are scaled, if any.

    Raises:
      UserError: too few images; shapes, types, values or labels that do not fit.
    """
    x = images_of(parts.x, f"x of {where}", image_size=image_size)
    y = as_labels(parts.y, len(x), f"y of {where}")
    if len(x) < 2:
        raise UserError(
            f"{where} has too few training images, {len(x)}; at least 2 are needed"
        )
    if parts.x_test is None:
        if parts.y_test is not None:
            raise UserError(
                f"{where} has y_test but no x_test; add x_test or drop y_test"
            )
        train, test = split_indices(len(x))
        y_train, y_test = (None, None) if y is None else (y[train], y[test])
        x_train, x_test = select(x, train), select(x, test)
        return Dataset(name, x_train, y_train, x_test, y_test, parts.class_names)
    x_test = images_of(parts.x_test, f"x_test of {where}", image_size=image_size)
    y_test = as_labels(parts.y_test, len(x_test), f"y_test of {where}")
    check_same_shape(x_test, x, where)
    return Dataset(name, x, y, x_test, y_test, parts.class_names)


def check_same_shape(x_test: Images, x: Images, where: object) -> None:
    """Refuse test images that are none, or have another shape than the others.

    Raises:
      UserError: both shapes named.
    """
    if not len(x_test) or x_test.shape[1:] != x.shape[1:]:
        raise UserError(
            f"x_test of {where} has the shape {list(x_test.shape)}; it must hold at "
            f"least one image of the training images' shape {list(x.shape[1:])}"
        )


def images_of(
    x: np.ndarray | StoredImages, where: str, *, image_size: tuple[int, int] | None
) -> Images:
    """`as_images` of what is in memory; stored images are converted when read."""
    if isinstance(x, StoredImages):
        return x
    images = as_images(x, where, image_size=image_size)
    refuse_zeros_and_ones(x, where)
    return images


def split_indices(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices, ascending, of training and test images: a sixth is for the test.

    The same for the same count, whatever the run's seed is.
    """
    shuffled = np.random.default_rng(SPLIT_SEED).permutation(count)
    test_count = max(1, count // 6)
    return np.sort(shuffled[test_count:]), np.sort(shuffled[:test_count])
