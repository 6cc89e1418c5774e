"""`.npy` and `.npz` files: numpy's own formats, read without unpickling anything."""

import math
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy_format

from aae_jax.data.arrays import Parts
from aae_jax.data.files import check_memory, file_size, open_regular, read_exactly
from aae_jax.errors import UserError

MEMBERS = ("x", "y", "x_test", "y_test")
# What zipfile raises on damaged and on encrypted files.
UNSOUND = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,
    UnicodeDecodeError,
)
READABLE_ZIP = (
    zipfile.ZIP_STORED,
    zipfile.ZIP_DEFLATED,
)  # those unpack in bounded steps


def read_npy_file(path: Path, *, memory_limit: int) -> Parts:
    """Read the images of a `.npy` file; there are no labels.

    Raises:
      UserError: not such a file, pickled, of another size than its header says, too
        large.
    """
    with open_regular(path) as stream:
        size = file_size(stream)
        return Parts(_read_array(stream, size, path, memory_limit=memory_limit))


def read_npz_file(path: Path, *, memory_limit: int) -> Parts:
    """Read the arrays `x` and, where they are there, `y`, `x_test`, `y_test`.

    Raises:
      UserError: not such a file, no `x`, or an array that is not sound or too large.
    """
    hint = "save it with numpy.savez(file, x=images, y=labels), y being optional"
    arrays = read_members(path, MEMBERS, hint=hint, memory_limit=memory_limit)
    y, x_test, y_test = (arrays.get(name) for name in MEMBERS[1:])
    return Parts(arrays["x"], y, x_test, y_test)


def read_members(
    path: Path, members: Sequence[str], *, hint: str, memory_limit: int
) -> dict[str, np.ndarray]:
    """Read the named arrays of a `.npz` file; the first must be there.

    Args:
      hint: what to do where it is not, for the message.

    Raises:
      UserError: see `read_npz_file`.
    """
    arrays: dict[str, np.ndarray] = {}
    with open_regular(path) as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                names = [
                    name.removesuffix(".npy")
                    for name in archive.namelist()
                    if name.endswith(".npy")
                ]
                if members[0] not in names:
                    held = ", ".join(repr(name) for name in names[:5]) or "nothing"
                    raise UserError(
                        f"{path} holds {held} but no array {members[0]!r}; {hint}"
                    )
                for key in members:
                    if key in names:
                        left = memory_limit - sum(a.nbytes for a in arrays.values())
                        arrays[key] = _read_member(
                            archive, key, path, memory_limit=left
                        )
        except UNSOUND as error:
            raise UserError(
                f"{path} is not a sound .npz file ({error}); save it again with "
                "numpy.savez"
            ) from error
    return arrays


def _read_member(
    archive: zipfile.ZipFile, key: str, path: Path, *, memory_limit: int
) -> np.ndarray:
    """One array of an archive, its declared size checked before it is unpacked."""
    info = archive.getinfo(f"{key}.npy")
    if info.compress_type not in READABLE_ZIP:
        raise UserError(
            f"{key} of {path} is packed by an unusual method; save it again with "
            "numpy.savez_compressed"
        )
    where = f"{key} of {path}"
    with archive.open(info) as stream:
        return _read_array(stream, info.file_size, where, memory_limit=memory_limit)


def _read_array(
    stream: IO[bytes], size: int, where: object, *, memory_limit: int
) -> np.ndarray:
    """An array in npy format from a stream of `size` bytes, told by its file."""
    shape, fortran, dtype = _read_header(stream, where)
    if dtype.hasobject:
        raise UserError(
            f"{where} holds pickled Python objects, which are never opened; save it "
            "as an array of numbers"
        )
    nbytes = math.prod(shape) * dtype.itemsize
    data_bytes = size - stream.tell()
    if nbytes != data_bytes:
        raise UserError(
            f"{where} holds {data_bytes:,} bytes and its header promises {nbytes:,} "
            f"for the shape {list(shape)}; save or copy it again"
        )
    check_memory(nbytes, where, limit=memory_limit)
    flat = read_exactly(stream, nbytes, where).view(dtype)
    return flat.reshape(shape, order="F" if fortran else "C")


def _read_header(
    stream: IO[bytes], where: object
) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran order, and dtype; numpy parses them as literals."""
    readers = {
        (1, 0): npy_format.read_array_header_1_0,
        (2, 0): npy_format.read_array_header_2_0,
    }
    try:
        version = npy_format.read_magic(stream)
        if version not in readers:
            raise ValueError(f"format version {version}")
        shape, fortran, dtype = readers[version](stream)
        sound = len(shape) <= 8 and all(side >= 0 for side in shape)
        if dtype.itemsize == 0 or not sound:
            raise ValueError(f"shape {shape} of the type {dtype}")
        return shape, fortran, dtype
    except (
        ValueError,
        TypeError,
        SyntaxError,
        tokenize.TokenError,
        RecursionError,
        MemoryError,
    ) as error:
        raise UserError(
            f"{where} is not a numpy array file ({_first_line(error)}); save it with "
            "numpy.save or numpy.savez"
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:100]
