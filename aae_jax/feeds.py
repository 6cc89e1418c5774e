"""Where the loop's images come from, and in which order; see also `disk_feed`.

The order of an epoch is a function of the run's key and the epoch alone, so a resumed
run takes the images that it would have taken.
"""

from dataclasses import dataclass
from functools import partial
from typing import Protocol

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Int, PRNGKeyArray, UInt8

from aae_jax.config import Config
from aae_jax.devices import on_each
from aae_jax.training import LABELLED_ORDER_STREAM, ORDER_STREAM
from aae_jax.windows import Shuffled, Window


class Feed(Protocol):
    """The images of a run, those of some steps at a time."""

    def window(self, step: int) -> Window:
        """What a step takes, and some after it."""
        ...

    def end(self, step: int) -> int:
        """The first step after this one that is in another window."""
        ...

    def close(self) -> None:
        """Let the images go; nothing is asked for any more."""
        ...


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainingData:
    """All images to train on, on the device.

    Attributes:
      x: `[n, height, width, channels]`, uint8.
      y: `[n]`, labels, -1 where there is none; None for data without labels.
      labelled: `[m]`, rows of the images with a label; None for data without.
    """

    x: UInt8[Array, "n height width channels"]
    y: Int[Array, " n"] | None = None
    labelled: Int[Array, " m"] | None = None


class MemoryFeed:
    """The images of a run, epoch by epoch: always the same ones in a new order.

    It is drawn once an epoch: of a million images that takes longer than many steps.
    """

    def __init__(
        self,
        config: Config,
        data: TrainingData,
        key: PRNGKeyArray,
        *,
        mesh: Mesh | None = None,
    ) -> None:
        """`key` is the run's, the same at every step; `data` is on the mesh already."""
        self._data: TrainingData | None = data
        self._key, self._mesh = key, mesh
        self._steps = config.steps_per_epoch(len(data.x))
        self._n = self._steps * config.hyperparameters.batch_size
        self._window: Shuffled | None = None
        self._epoch = -1

    def window(self, step: int) -> Shuffled:
        """What the epoch of a step takes."""
        epoch = step // self._steps
        if self._window is None or epoch != self._epoch:
            self._window, self._epoch = self._shuffled(epoch), epoch
        return self._window

    def _shuffled(self, epoch: int) -> Shuffled:
        if self._data is None:
            raise ValueError("this feed is closed")
        x, y, labelled = self._data.x, self._data.y, self._data.labelled
        rows = data_order(self._key, epoch, n_images=len(x))
        if labelled is not None:
            labelled = labelled_order(self._key, epoch, labelled, n=self._n)
        rows, labelled = on_each((rows, labelled), self._mesh)
        return Shuffled(x, y, rows, labelled, np.int32(epoch * self._steps))

    def end(self, step: int) -> int:
        """The first step of the next epoch."""
        return (step // self._steps + 1) * self._steps

    def close(self) -> None:
        """Let the images go."""
        self._data = self._window = None


@partial(jax.jit, static_argnames="n_images")
def data_order(
    key: PRNGKeyArray, epoch: int | Array, *, n_images: int
) -> Int[Array, " n"]:
    """The order of the images in an epoch: a permutation of (run's key, epoch)."""
    key = jax.random.fold_in(jax.random.fold_in(key, ORDER_STREAM), epoch)
    return jax.random.permutation(key, n_images)


@partial(jax.jit, static_argnames="n")
def labelled_order(
    key: PRNGKeyArray, epoch: int | Array, labelled: Int[Array, " m"], *, n: int
) -> Int[Array, " n"]:
    """n labelled rows for an epoch of all images: each as often as any, but for one."""
    key = jax.random.fold_in(jax.random.fold_in(key, LABELLED_ORDER_STREAM), epoch)
    passes = -(-n // len(labelled))
    keys = jax.random.split(key, passes)
    orders = jax.vmap(lambda key: jax.random.permutation(key, labelled))(keys)
    return orders.reshape(-1)[:n]
