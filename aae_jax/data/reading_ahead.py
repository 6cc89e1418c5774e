"""Pieces of something large, read by threads before they are asked for."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from aae_jax.environment import usable_cores

if TYPE_CHECKING:
    import grain  # takes a second

Piece = TypeVar("Piece")

READERS = min(8, usable_cores())
READY = READERS
"""Pieces that are being read, or wait to be taken."""


class ReadingAhead(Generic[Piece]):
    """Takes pieces by their numbers; those that follow are read meanwhile."""

    def __init__(self, read: Callable[[int], Piece]) -> None:
        """`read(index)` gives a piece, whichever thread asks; nothing is read yet."""
        self._read = read
        self._pieces: grain.DatasetIterator[Piece] | None = None
        self._next = self._stop = 0

    def take(self, index: int, stop: int) -> Piece:
        """A piece, of those before `stop`. After an error it may be taken again."""
        if self._pieces is None or index != self._next or index == self._stop:
            self.close()
            self._pieces, self._stop = self._read_from(index, stop), stop
        try:
            piece = next(self._pieces)
        except BaseException:
            self.close()
            raise
        self._next = index + 1
        return piece

    def close(self) -> None:
        """End the threads, each after the piece that it is reading."""
        if self._pieces is not None:
            self._pieces.close()
        self._pieces = None

    def _read_from(self, index: int, stop: int) -> "grain.DatasetIterator[Piece]":
        import grain

        pieces = grain.MapDataset.range(index, stop).map(self._read)
        options = grain.ReadOptions(num_threads=READERS, prefetch_buffer_size=READY)
        return iter(pieces.to_iter_dataset(options))
