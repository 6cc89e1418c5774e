"""IDX files, the format in which MNIST is published: http://yann.lecun.com/exdb/mnist."""

import gzip
import math
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from aae_jax.data.array_file import ArrayFile
from aae_jax.data.arrays import Parts
from aae_jax.data.files import (
    Readable,
    check_memory,
    file_size,
    is_file,
    open_regular,
    read_exactly,
    scan_folder,
)
from aae_jax.data.stored import stored_array
from aae_jax.errors import UserError

# Deflate packs at most 1032 bytes in one, which bounds an honest header.
MAX_GZIP_RATIO = 1032
PARTS = {
    "x": "train-images",
    "y": "train-labels",
    "x_test": "t10k-images",
    "y_test": "t10k-labels",
}
IMAGES = ("x", "x_test")
_UNPACKED = ", or unpack it with gunzip: then images may stay on disk"


def read_idx(path: Path, *, memory_limit: int) -> np.ndarray:
    """Read one IDX file of unsigned bytes, plain or gzip (told by its content).

    Args:
      path: the file.
      memory_limit: bytes that it may take.

    Returns:
      uint8, of the shape that the header tells.

    Raises:
      UserError: not such a file, another size than its header says, or too large and
        packed.
    """
    with open_regular(path) as raw:
        size = file_size(raw)
        zipped = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        if not zipped:
            shape = _read_header(raw, path, most=size)
            nbytes = math.prod(shape)
            check_memory(nbytes, path, limit=memory_limit)
            return read_exactly(raw, nbytes, path).reshape(shape)
        try:
            with gzip.GzipFile(fileobj=raw) as unpacked:
                shape = _read_header(unpacked, path, most=size * MAX_GZIP_RATIO)
                nbytes = math.prod(shape)
                check_memory(nbytes, path, limit=memory_limit, instead=_UNPACKED)
                return read_exactly(unpacked, nbytes, path).reshape(shape)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise UserError(
                f"{path} is a damaged gzip file ({error}); copy or download it again"
            ) from error


def _over_limit(path: Path, *, memory_limit: int) -> ArrayFile | None:
    """What `read_idx` would refuse, in its file; None if it would not, or is packed."""
    with open_regular(path) as raw:
        size = file_size(raw)
        if raw.read(2) == b"\x1f\x8b":
            return None
        raw.seek(0)
        shape = _read_header(raw, path, most=size)
        first, nbytes = raw.tell(), math.prod(shape)
    if nbytes <= memory_limit or first + nbytes != size:
        return None
    return ArrayFile(path, np.dtype(np.uint8), shape=shape, first_byte=first)


def _read_header(stream: Readable, path: Path, *, most: int) -> tuple[int, ...]:
    """The shape that the header tells; `most` bytes are what the file can hold."""
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
    return shape


def find_idx_files(folder: Path) -> dict[str, Path]:
    """The folder's IDX files: keys `x`, `y`, `x_test`, `y_test`, those that are there.

    A name starts with train-images, train-labels, t10k-images or t10k-labels; where
    there are several, the first in sorted order counts, so plain before `.gz`.
    """
    starts = tuple(PARTS.values())
    named = [
        Path(entry.path)
        for entry in scan_folder(folder)
        if entry.name.startswith(starts) and is_file(entry)
    ]
    found: dict[str, Path] = {}
    for path in sorted(named):
        for key, start in PARTS.items():
            if path.name.startswith(start):
                found.setdefault(key, path)
    return found


def read_idx_folder(
    folder: Path, *, memory_limit: int, image_size: tuple[int, int] | None = None
) -> Parts:
    """Read a folder of IDX files, in file order.

    `train-images*` is required; labels and the test files `t10k-*` are optional.

    Args:
      folder: the folder.
      memory_limit: bytes; images that take more stay on disk, if they are not packed.
      image_size: (height, width) to which those on disk are scaled when they are read.

    Raises:
      UserError: no training images; a file that is not sound, or too large and packed;
        see `stored_array` for images on disk.
    """
    files = find_idx_files(folder)
    if "x" not in files:
        raise UserError(
            f"{folder} has no file train-images-idx3-ubyte or "
            "train-images-idx3-ubyte.gz; give a folder that holds it"
        )
    arrays: dict[str, Any] = {}
    left = memory_limit
    for key, path in files.items():
        file = _over_limit(path, memory_limit=left) if key in IMAGES else None
        if file is not None:
            arrays[key] = stored_array(file, str(path), image_size=image_size)
            continue
        arrays[key] = read_idx(path, memory_limit=left)
        left -= arrays[key].nbytes
    return Parts(**arrays)


def is_idx_folder(folder: Path) -> bool:
    """Whether a folder holds files named like IDX files rather than pictures."""
    return os.path.isdir(folder) and bool(find_idx_files(folder))
