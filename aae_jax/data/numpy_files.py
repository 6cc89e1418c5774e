"""`.npy` and `.npz` files: numpy's own formats, read without unpickling anything.

Images over the memory limit stay where they are, if they are in C order and not packed:
in an .npy, or in an .npz that numpy.savez wrote.
"""

import math
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy_format

from aae_jax.data.array_file import ArrayFile
from aae_jax.data.arrays import Parts
from aae_jax.data.files import check_memory, file_size, open_regular, read_exactly
from aae_jax.data.stored import StoredImages, stored_array
from aae_jax.errors import UserError

MEMBERS = ("x", "y", "x_test", "y_test")
IMAGES = ("x", "x_test")
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
# numpy tells whoever reads a file of Python 2 that this takes longer.
warnings.filterwarnings("ignore", message="Reading `.npy` or `.npz` file required")
# So much stands before a member's name and its extra, whose lengths it tells.
_ZIP_HEADER = struct.Struct("<26xHH")
_HEADER_BYTES = 10_000  # numpy refuses more, for the time that parsing takes


@dataclass(frozen=True)
class _Layout:
    """What the header of an array tells, and at which byte its numbers begin."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype
    first_byte: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def read_npy_file(
    path: Path, *, memory_limit: int, image_size: tuple[int, int] | None = None
) -> Parts:
    """The images of a `.npy` file; there are no labels.

    Args:
      path: the file.
      memory_limit: bytes; images that take more stay on disk.
      image_size: (height, width) to which those on disk are scaled when they are read.

    Raises:
      UserError: not such a file, pickled, of another size than its header says; over
        the limit and in Fortran order; see `stored_array` for images on disk.
    """
    with open_regular(path) as stream:
        layout = _read_layout(stream, file_size(stream), path)
        if layout.nbytes > memory_limit:
            return Parts(_on_disk(path, 0, layout, str(path), image_size))
        return Parts(_read_array(stream, layout, path, memory_limit=memory_limit))


def read_npz_file(
    path: Path, *, memory_limit: int, image_size: tuple[int, int] | None = None
) -> Parts:
    """The arrays `x` and, where they are there, `y`, `x_test`, `y_test`.

    For the arguments see `read_npy_file`.

    Raises:
      UserError: not such a file, no `x`; an array that is not sound, or that is too
        large and packed or in Fortran order; see `stored_array` for images on disk.
    """
    hint = "save it with numpy.savez(file, x=images, y=labels), y being optional"

    def on_disk(info: zipfile.ZipInfo, layout: _Layout, where: str) -> StoredImages:
        return _on_disk(path, _first_byte(path, info), layout, where, image_size)

    arrays = _read_archive(
        path, MEMBERS, hint=hint, memory_limit=memory_limit, on_disk=on_disk
    )
    return Parts(**arrays)


def read_members(
    path: Path, members: Sequence[str], *, hint: str, memory_limit: int
) -> dict[str, np.ndarray]:
    """Read the named arrays of a `.npz` file; the first must be there.

    Args:
      path: the file.
      members: names of arrays.
      hint: what to do where the first is not there, for the message.
      memory_limit: bytes that all may take.

    Raises:
      UserError: see `read_npz_file`.
    """
    return _read_archive(path, members, hint=hint, memory_limit=memory_limit)


def _read_archive(
    path: Path,
    members: Sequence[str],
    *,
    hint: str,
    memory_limit: int,
    on_disk: Callable[[zipfile.ZipInfo, _Layout, str], StoredImages] | None = None,
) -> dict[str, Any]:
    """The named arrays; `on_disk` is asked for images over the limit, if not packed."""
    arrays: dict[str, Any] = {}
    left = memory_limit
    with _open_archive(path) as archive:
        for key in _members(archive, members, path, hint=hint):
            info, where = _member(archive, key, path), f"{key} of {path}"
            with archive.open(info) as stream:
                layout = _read_layout(stream, info.file_size, where)
                may_stay = key in IMAGES and info.compress_type == zipfile.ZIP_STORED
                if on_disk is not None and may_stay and layout.nbytes > left:
                    arrays[key] = on_disk(info, layout, where)
                    continue
                arrays[key] = _read_array(stream, layout, where, memory_limit=left)
                left -= layout.nbytes
    return arrays


@contextmanager
def _open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """A `.npz` file; what is wrong with it, then or later, is said in words."""
    with open_regular(path) as stream:
        try:
            with zipfile.ZipFile(stream) as archive:
                yield archive
        except UNSOUND as error:
            raise UserError(
                f"{path} is not a sound .npz file ({error}); save it again with "
                "numpy.savez"
            ) from error


def _members(
    archive: zipfile.ZipFile, members: Sequence[str], path: Path, *, hint: str
) -> list[str]:
    """Those of the named arrays that an archive has; the first must be there."""
    names = [
        name.removesuffix(".npy")
        for name in archive.namelist()
        if name.endswith(".npy")
    ]
    if members[0] not in names:
        held = ", ".join(repr(name) for name in names[:5]) or "nothing"
        raise UserError(f"{path} holds {held} but no array {members[0]!r}; {hint}")
    return [key for key in members if key in names]


def _member(archive: zipfile.ZipFile, key: str, path: Path) -> zipfile.ZipInfo:
    info = archive.getinfo(f"{key}.npy")
    if info.compress_type not in READABLE_ZIP:
        raise UserError(
            f"{key} of {path} is packed by an unusual method; save it again with "
            "numpy.savez_compressed"
        )
    return info


def _first_byte(path: Path, info: zipfile.ZipInfo) -> int:
    """Where in the file a member begins that is not packed."""
    with open_regular(path) as stream:
        stream.seek(info.header_offset)
        header = stream.read(_ZIP_HEADER.size)
        if len(header) < _ZIP_HEADER.size:
            raise zipfile.BadZipFile("it ends within the header of a member")
        return info.header_offset + len(header) + sum(_ZIP_HEADER.unpack(header))


def _read_layout(stream: IO[bytes], size: int, where: object) -> _Layout:
    """The header of an array in a stream of `size` bytes, told by its file."""
    shape, fortran, dtype = _read_header(stream, where)
    if dtype.hasobject:
        raise UserError(
            f"{where} holds pickled Python objects, which are never opened; save it "
            "as an array of numbers"
        )
    layout = _Layout(shape, fortran, dtype, stream.tell())
    data_bytes = size - layout.first_byte
    if layout.nbytes != data_bytes:
        raise UserError(
            f"{where} holds {data_bytes:,} bytes and its header promises "
            f"{layout.nbytes:,} for the shape {list(shape)}; save or copy it again"
        )
    return layout


def _read_array(
    stream: IO[bytes], layout: _Layout, where: object, *, memory_limit: int
) -> np.ndarray:
    """The numbers after the header that was read from the stream."""
    unpacked = ", or save it again with numpy.savez: images not packed may stay on disk"
    check_memory(layout.nbytes, where, limit=memory_limit, instead=unpacked)
    flat = read_exactly(stream, layout.nbytes, where).view(layout.dtype)
    return flat.reshape(layout.shape, order="F" if layout.fortran else "C")


def _on_disk(
    path: Path,
    first_byte: int,
    layout: _Layout,
    where: str,
    image_size: tuple[int, int] | None,
) -> StoredImages:
    """Images in an array that begins, with its header, at a byte of the file."""
    if layout.fortran:
        raise UserError(
            f"{where} is over --memory-limit and in Fortran order, where images are in "
            "many pieces; save it again: np.save(path, np.ascontiguousarray(x))"
        )
    first = first_byte + layout.first_byte
    shape = layout.shape or (1,)
    array = ArrayFile(path, layout.dtype, shape=shape, first_byte=first)
    return stored_array(array, where, image_size=image_size)


class _Header:
    """A stream of which no more is read at a time than the header of an array has.

    numpy reads all that the header's length claims before it looks at the length.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int = -1, /) -> bytes:
        if not 0 <= size <= _HEADER_BYTES:
            raise ValueError(f"a header of {size:,} bytes")
        return self._stream.read(size)


def _read_header(
    stream: IO[bytes], where: object
) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether in Fortran order, and dtype; numpy parses them as literals."""
    readers = {
        (1, 0): npy_format.read_array_header_1_0,
        (2, 0): npy_format.read_array_header_2_0,
    }
    try:
        header = _Header(stream)
        version = npy_format.read_magic(header)
        if version not in readers:
            raise ValueError(f"format version {version}")
        shape, fortran, dtype = readers[version](header)
        sound = len(shape) <= 8 and all(side >= 0 for side in shape)
        if dtype.itemsize == 0 or dtype.subdtype or not sound:
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
