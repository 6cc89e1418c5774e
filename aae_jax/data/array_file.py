"""An array that stays in its file and is read by rows."""

import math
import os
import weakref
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aae_jax.data.files import file_size, open_regular
from aae_jax.errors import RunError, UserError

Rows = NDArray[np.integer]

_PIECE_BYTES = 2**22
"""The most that is read at a time, if a row is not more."""
_GAP_BYTES = 2**13
"""So many between two rows are read for nothing in the time another call takes."""
_AGAIN = "start again (a training with --resume)"


class ArrayFile:
    """An array in C order within a file; `array[rows]` reads the rows of those numbers.

    It may be asked from several threads. The file is open as long as this object lives.
    Nothing is mapped into memory: a map of a file that is cut short, or whose disk
    fails, ends the process by a signal where it is read.

    Attributes:
      shape, dtype: as of the array in memory.
    """

    def __init__(
        self, path: Path, dtype: np.dtype, *, shape: tuple[int, ...], first_byte: int
    ) -> None:
        """The array's numbers begin at a byte of the file.

        Raises:
          UserError: see `open_regular`; the array is longer than the file.
        """
        self.shape, self.dtype = shape, dtype
        self._path, self._first_byte = path, first_byte
        self._row_bytes = math.prod(shape[1:]) * dtype.itemsize
        # What the system is told of the one is not true of the other.
        near, scattered = open_regular(path), open_regular(path)
        for stream in (near, scattered):
            weakref.finalize(self, stream.close)
        self._near, self._scattered = near.fileno(), scattered.fileno()
        self._size = file_size(near)
        if first_byte + len(self) * self._row_bytes > self._size:
            raise UserError(f"{path} ends before an array in it does; save it again")
        if hasattr(os, "posix_fadvise"):  # not on macOS
            # Otherwise much is read beside each row, in the hope that it comes next.
            os.posix_fadvise(self._scattered, 0, 0, os.POSIX_FADV_RANDOM)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Rows) -> np.ndarray:
        """The rows in their order.

        Raises:
          RunError: the file has another size than when it was opened, or its disk
            fails.
        """
        array = np.empty((len(rows), *self.shape[1:]), self.dtype)
        at_a_time = max(1, _PIECE_BYTES // (self._row_bytes + _GAP_BYTES))
        try:
            if os.fstat(self._near).st_size != self._size:
                raise self._changed()
            for first in range(0, len(rows), at_a_time):
                piece = slice(first, first + at_a_time)
                self._read(rows[piece], array[piece])
        except OSError as error:
            raise RunError(
                f"{self._path} cannot be read any more ({error.strerror}); see to its "
                f"disk, then {_AGAIN}"
            ) from error
        return array

    def _read(self, rows: Rows, array: np.ndarray) -> None:
        """Rows that are near to each other come by one call."""
        content = array.reshape(len(rows), -1).view(np.uint8)
        low, high = int(rows.min()), int(rows.max()) + 1
        gaps = (high - low - len(rows)) * self._row_bytes
        if gaps == 0 and (np.diff(rows) == 1).all():
            self._fill(content, low)
        elif gaps <= len(rows) * _GAP_BYTES:
            between = np.empty((high - low, self._row_bytes), np.uint8)
            self._fill(between, low)
            content[:] = between[rows - low]
        else:
            content[:] = self._each(rows)

    def _fill(self, content: NDArray[np.uint8], row: int) -> None:
        """Read rows from one on, as many as `content` has."""
        offset = self._first_byte + row * self._row_bytes
        left = content.reshape(-1).data
        while left:
            n_bytes = os.preadv(self._near, (left,), offset)
            if not n_bytes:
                raise self._changed()
            left, offset = left[n_bytes:], offset + n_bytes

    def _each(self, rows: Rows) -> NDArray[np.uint8]:
        """The bytes of rows by a call each; joining them is quicker than filling in."""
        file, size = self._scattered, self._row_bytes
        offsets = (self._first_byte + rows.astype(np.int64) * size).tolist()
        joined = b"".join([os.pread(file, size, offset) for offset in offsets])
        if len(joined) == len(rows) * size:
            return np.frombuffer(joined, np.uint8).reshape(len(rows), size)
        # A call may give less than it was asked for.
        content = np.empty((len(rows), size), np.uint8)
        for index, row in enumerate(rows):
            self._fill(content[index], int(row))
        return content

    def _changed(self) -> RunError:
        size = os.fstat(self._near).st_size
        return RunError(
            f"{self._path} had {self._size:,} bytes when it was opened and has "
            f"{size:,} now; put it back as it was, then {_AGAIN}"
        )
