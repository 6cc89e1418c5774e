"""Images read from disk while the steps before them are computed.

The order is that of `feeds`, so a training takes the same batches from disk as from
memory, whatever step it is resumed at.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import PRNGKeyArray
from numpy.typing import NDArray

from aae_jax.config import Config
from aae_jax.data.reading_ahead import READY, ReadingAhead
from aae_jax.data.stored import StoredImages
from aae_jax.devices import part_of_batch, spread
from aae_jax.errors import UserError
from aae_jax.feeds import data_order, labelled_order
from aae_jax.windows import Batches

Order = Callable[[int], NDArray[np.int32]]

_WINDOW_BYTES, _WINDOW_STEPS = 2**24, 64
"""The most of a window: the first step waits for all of one."""
_LEAST_STEPS = 2
"""Of a window; XLA compiles what takes the same batch each time into other bits."""
AT_ONCE = READY + 4
"""Windows in memory: those that are read or wait, one just taken, its copy on the
device, the one there before it, and a copy of several runs' windows stacked."""


class DiskFeed:
    """The images of a run in windows of as many steps as a part of the memory holds.

    Of several processes each reads its part of every batch.
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
          config: how long an epoch and the training are.
          x, y: images and labels to train on.
          labelled: rows of the images with a label, where they are shown beside others.
          key: the run's, the same at every step.
          memory_limit: bytes that windows may take, those of all runs together.
          n_runs: how many runs there are, each with a feed of its own.
          mesh: the devices that share each batch, see `make_mesh`.

        Raises:
          UserError: the limit is too small for windows of two steps.
        """
        self._x, self._y, self._labelled, self._mesh = x, y, labelled, mesh
        self._batch_size = config.hyperparameters.batch_size
        self._steps_per_epoch = config.steps_per_epoch(len(x))
        _check_limit(memory_limit, self._batch_size, self._step_bytes, n_runs=n_runs)
        share = min(_WINDOW_BYTES, memory_limit // (n_runs * AT_ONCE))
        wanted = min(share // self._step_bytes, _WINDOW_STEPS, config.total_steps())
        self._n_steps = max(_LEAST_STEPS, wanted)
        self._n_windows = math.ceil(config.total_steps() / self._n_steps)
        self._ahead = ReadingAhead(self._read)
        self._window: Batches | None = None
        self._index = -1
        n = self._steps_per_epoch * self._batch_size
        # Threads may ask for the same epoch at a time; they then draw the same order.
        self._order = lru_cache(2)(
            lambda epoch: np.asarray(data_order(key, epoch, n_images=len(x)))
        )
        self._labelled_order = lru_cache(2)(
            lambda epoch: np.asarray(labelled_order(key, epoch, labelled, n=n))
        )

    @property
    def _step_bytes(self) -> int:
        """What this process reads for a step."""
        n_images = self._batch_size // jax.process_count()
        if self._labelled is not None:
            n_images *= 2
        return n_images * math.prod(self._x.image_shape)

    def window(self, step: int) -> Batches:
        """The batches of a step and some after it."""
        index = step // self._n_steps
        if self._window is None or index != self._index:
            stop = max(index + 1, self._n_windows)  # a step after the last is no error
            fields = dict(self._ahead.take(index, stop))
            first_step = np.int32(index * self._n_steps)
            window = Batches(**spread(fields, self._mesh), first_step=first_step)
            self._window, self._index = window, index
        return self._window

    def end(self, step: int) -> int:
        """The first step after this one that is in another window."""
        return (step // self._n_steps + 1) * self._n_steps

    def close(self) -> None:
        """Read no more, and let the images go."""
        self._ahead.close()
        self._window = None

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
        return fields

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


def _check_limit(
    memory_limit: int, batch_size: int, step_bytes: int, *, n_runs: int
) -> None:
    at_once = n_runs * AT_ONCE * _LEAST_STEPS
    if memory_limit < at_once * step_bytes:
        needed = math.ceil(1000 * at_once * step_bytes / 2**30) / 1000
        raise UserError(
            f"--memory-limit {memory_limit / 2**30:.2g} is too small: {at_once} "
            f"batches of {batch_size} images are in memory at a time; use "
            f"--memory-limit {needed:g} or more, or a smaller --batch-size"
        )
