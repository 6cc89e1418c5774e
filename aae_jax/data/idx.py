"""IDX files, the format in which MNIST is published: http://yann.lecun.com/exdb/mnist."""

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np

from aae_jax.data.arrays import Parts
from aae_jax.data.files import (
    Readable,
    check_memory,
    file_size,
    list_folder,
    open_regular,
    read_exactly,
)
from aae_jax.errors import UserError

# Deflate packs at most 1032 bytes in one, which bounds an honest header.
MAX_GZIP_RATIO = 1032
PARTS = {
    "x": "train-images",
    "y": "train-labels",
    "x_test": "t10k-images",
    "y_test": "t10k-labels",
}


def read_idx(path: Path, *, memory_limit: int) -> np.ndarray:
    """Read one IDX file of unsigned bytes, plain or gzip (told by its content).

    Returns:
      uint8, of the shape that the header tells.

    Raises:
      UserError: not such a file, another size than its header says, or too large.
    """
    with open_regular(path) as raw:
        size = file_size(raw)
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not zipped:
            return _read(raw, path, most=size, memory_limit=memory_limit)
        try:
            with gzip.GzipFile(fileobj=raw) as unpacked:
                most = size * MAX_GZIP_RATIO
                return _read(unpacked, path, most=most, memory_limit=memory_limit)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(
                f"{path} is a damaged gzip file ({error}); copy or download it again"
            ) from error


def _read(stream: Readable, path: Path, *, most: int, memory_limit: int) -> np.ndarray:
    """Header, then exactly the bytes it promises; `most` is what the file can hold."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:3] != b"\0\0\x08" or not 1 <= magic[3] <= 4:
        raise UserError(
            f"{path} starts with {magic.hex() or 'nothing'}; an IDX file of bytes "
            "starts with 000008 and the number of its dimensions, 1 to 4"
        )
    header = stream.read(4 * magic[3])
    if len(header) < 4 * magic[3]:
        raise UserError(f"{path} ends within its header; copy or download it again")
    shape = tuple(int(side) for side in np.frombuffer(header, ">u4"))
    nbytes = math.prod(shape)
    if nbytes > most:
        raise UserError(
            f"{path} is too small for the {nbytes:,} bytes of the shape {list(shape)} "
            "that its header promises; copy or download it again"
        )
    check_memory(nbytes, path, limit=memory_limit)
    return read_exactly(stream, nbytes, path).reshape(shape)


def find_idx_files(folder: Path) -> dict[str, Path]:
    """The folder's IDX files: keys `x`, `y`, `x_test`, `y_test`, those that are there.

    A name starts with train-images, train-labels, t10k-images or t10k-labels; where
    there are several, the first in sorted order counts, so plain before `.gz`.
    """
    found: dict[str, Path] = {}
    for path in list_folder(folder):
        for key, start in PARTS.items():
            if path.name.startswith(start) and os.path.isfile(path):
                found.setdefault(key, path)
    return found


def read_idx_folder(folder: Path, *, memory_limit: int) -> Parts:
    """Read a folder of IDX files, in file order.

    `train-images*` is required; labels and the test files `t10k-*` are optional.

    Raises:
      UserError: no training images, or a file that is not sound.
    """
    files = find_idx_files(folder)
    if "x" not in files:
        raise UserError(
            f"{folder} has no file train-images-idx3-ubyte or "
            "train-images-idx3-ubyte.gz; give a folder that holds it"
        )
    arrays: dict[str, np.ndarray] = {}
    for key, path in files.items():
        left = memory_limit - sum(array.nbytes for array in arrays.values())
        arrays[key] = read_idx(path, memory_limit=left)
    return Parts(
        arrays["x"], arrays.get("y"), arrays.get("x_test"), arrays.get("y_test")
    )


def is_idx_folder(folder: Path) -> bool:
    """Whether a folder holds files named like IDX files rather than pictures."""
    return os.path.isdir(folder) and bool(find_idx_files(folder))
