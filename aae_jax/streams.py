"""Images read from disk while the steps before them are computed.

The order is that of `feeds`, so a training takes the same batches from disk as from
memory, whatever step it is resumed at.
"""

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from jax.sharding import Mesh
from jaxtyping import PRNGKeyArray
from numpy.typing import NDArray

from aae_jax.config import Config
from aae_jax.data.stored import StoredImages
from aae_jax.devices import part_of_batch, spread
from aae_jax.errors import UserError
from aae_jax.feeds import data_order, labelled_order
from aae_jax.windows import Batches

Order = Callable[[int], NDArray[np.int32]]

_NEVER = 2**31 - 1
_WINDOW_BYTES = 2**24
_LEAST_STEPS = 2
"""Of a window; XLA compiles what takes the same batch each time into other bits."""
_READERS, _READY = 2, 2
_AT_ONCE = _READERS + _READY + 2
"""Windows in memory: those being read, those that wait, and one in use, twice."""


class Stream:
    """The images of a run in windows of as many steps as a part of the memory holds.

    Some threads read ahead. Of several processes each reads its part of every batch.
    """

    def __init__(
        self,
        config: Config,
        x: StoredImages,
        y: NDArray[np.int32] | None,
        labelled: NDArray[np.int32] | None,
        key: PRNGKeyArray,
        *,
        memory_limit: int,
        n_runs: int = 1,
        mesh: Mesh | None = None,
    ) -> None:
        """Nothing is read yet.

        Args:
          config: how long an epoch is.
          x, y: images and labels to train on.
          labelled: rows of the images with a label, where they are shown beside others.
          key: the run's, the same at every step.
          memory_limit: bytes that windows may take, those of all runs together.
          n_runs: how many runs there are, each with a stream of its own.
          mesh: the devices that share each batch, see `make_mesh`.

        Raises:
          UserError: the limit is too small for a batch.
        """
        self._x, self._y, self._labelled, self._mesh = x, y, labelled, mesh
        self._batch_size = config.hyperparameters.batch_size
        self._steps_per_epoch = config.steps_per_epoch(len(x))
        self._n_steps = self._steps_of_window(memory_limit, n_runs)
        self._window: Batches | None = None
        self._index = -1
        self._windows: Iterator[Batches] = iter(())
        n = self._steps_per_epoch * self._batch_size
        # Threads may ask for the same epoch at a time; they then draw the same order.
        self._order = lru_cache(2)(
            lambda epoch: np.asarray(data_order(key, epoch, n_images=len(x)))
        )
        self._labelled_order = lru_cache(2)(
            lambda epoch: np.asarray(labelled_order(key, epoch, labelled, n=n))
        )

    def _steps_of_window(self, memory_limit: int, n_runs: int) -> int:
        batch_bytes = self._batch_size * math.prod(self._x.image_shape)
        if self._labelled is not None:
            batch_bytes *= 2
        at_once = n_runs * _AT_ONCE * _LEAST_STEPS
        if memory_limit < at_once * batch_bytes:
            needed = math.ceil(1000 * at_once * batch_bytes / 2**30) / 1000
            raise UserError(
                f"--memory-limit {memory_limit / 2**30:.2g} is too small for batches "
                f"of {self._batch_size} images, of which {at_once} are in memory at "
                f"a time; use --memory-limit {needed:g} or more, or a smaller "
                "--batch-size"
            )
        window_bytes = min(_WINDOW_BYTES, memory_limit // (n_runs * _AT_ONCE))
        return max(_LEAST_STEPS, window_bytes // batch_bytes)

    def window(self, step: int) -> Batches:
        """The batches of a step and some after it."""
        index = step // self._n_steps
        if self._window is None or index != self._index:
            if index != self._index + 1 or self._window is None:
                self._windows = self._read_from(index)
            self._window, self._index = next(self._windows), index
        return self._window

    def end(self, step: int) -> int:
        """The first step after this one that is in another window."""
        return (step // self._n_steps + 1) * self._n_steps

    def _read_from(self, index: int) -> Iterator[Batches]:
        """This window and all after it, read ahead."""
        import grain  # takes a second

        windows = grain.MapDataset.range(index, _NEVER).map(self._read)
        ahead = grain.ReadOptions(num_threads=_READERS, prefetch_buffer_size=_READY)
        return map(self._on_devices, windows.to_iter_dataset(ahead))

    def _read(self, index: int) -> dict[str, Any]:
        """The fields of a window, of the batches' part that this process reads."""
        steps = range(index * self._n_steps, (index + 1) * self._n_steps)
        rows = self._rows(steps, self._order)
        fields = {
            "x": self._images(rows),
            "y": None if self._y is None else self._y[rows],
            "x_labelled": None,
            "y_labelled": None,
        }
        if self._labelled is not None and self._y is not None:
            rows = self._rows(steps, self._labelled_order)
            fields |= {"x_labelled": self._images(rows), "y_labelled": self._y[rows]}
        return fields | {"first_step": np.int32(steps[0])}

    def _rows(self, steps: range, order_of: Order) -> NDArray[np.int32]:
        """`[steps, batch]`, rows of the images."""
        size, share = self._batch_size, part_of_batch(self._batch_size)
        rows = np.empty((len(steps), share.stop - share.start), np.int32)
        for row, step in zip(rows, steps, strict=True):
            epoch, position = divmod(step, self._steps_per_epoch)
            row[:] = order_of(epoch)[position * size :][share]
        return rows

    def _images(self, rows: NDArray[np.int32]) -> NDArray[np.uint8]:
        return self._x[rows.ravel()].reshape(*rows.shape, *self._x.image_shape)

    def _on_devices(self, fields: dict[str, Any]) -> Batches:
        first_step = fields.pop("first_step")
        return Batches(**spread(fields, self._mesh), first_step=first_step)
