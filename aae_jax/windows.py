"""The images that the next steps of the compiled loop take, on the device."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8

from aae_jax.phases import Batch


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Shuffled:
    """All images, and in which order an epoch's steps take them.

    Attributes:
      x: `[m, height, width, channels]`, uint8.
      y: `[m]`, labels, -1 where there is none; None for data without labels.
      rows: `[n]`, which of the m are taken, in the order in which they are.
      labelled_rows: `[n]`, the same for the labelled images beside them; None where
        there are none.
      first_step: the step that takes the first of them, int32.
    """

    x: UInt8[Array, "m height width channels"]
    y: Int[Array, " m"] | None
    rows: Int[Array, " n"]
    labelled_rows: Int[Array, " n"] | None
    first_step: Int[Array, ""] | np.int32

    COMMON: ClassVar = ("x", "first_step")
    """Fields that runs in one program have in common."""

    def batch(self, step: Array, batch_size: int) -> Batch:
        """What a step takes, images scaled to [0, 1]."""
        first = (step - self.first_step) * batch_size
        # None, without labelled images, is a tree of no arrays.
        rows, labelled_rows = jax.tree.map(
            lambda rows: jax.lax.dynamic_slice(rows, (first,), (batch_size,)),
            (self.rows, self.labelled_rows),
        )
        return self.take(rows, labelled_rows)

    def take(
        self,
        rows: Int[Array, " batch"],
        labelled_rows: Int[Array, " labelled"] | None = None,
    ) -> Batch:
        """The named rows, images scaled to [0, 1]."""
        x, y = self._named(rows)
        if labelled_rows is None:
            return Batch(x, y)
        return Batch(x, y, *self._named(labelled_rows))

    def _named(self, rows: Array) -> tuple[Array, Array | None]:
        return _scaled(self.x[rows]), None if self.y is None else self.y[rows]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Batches:
    """The batches of some steps, one after the other.

    Attributes:
      x: `[steps, batch, height, width, channels]`, uint8.
      y: `[steps, batch]`, labels, -1 where there is none; None for data without labels.
      x_labelled, y_labelled: the same of the labelled images beside them; None where
        there are none.
      first_step: the step that takes the first of them, int32.
    """

    x: UInt8[Array, "steps batch height width channels"]
    y: Int[Array, "steps batch"] | None
    x_labelled: UInt8[Array, "steps batch height width channels"] | None
    y_labelled: Int[Array, "steps batch"] | None
    first_step: Int[Array, ""] | np.int32

    COMMON: ClassVar = ("first_step",)

    def batch(self, step: Array, batch_size: int) -> Batch:
        """What a step takes, images scaled to [0, 1]."""
        index = step - self.first_step
        x, y, x_labelled, y_labelled = jax.tree.map(
            lambda array: jax.lax.dynamic_index_in_dim(array, index, keepdims=False),
            (self.x, self.y, self.x_labelled, self.y_labelled),
        )
        if x_labelled is not None:
            x_labelled = _scaled(x_labelled)
        return Batch(_scaled(x), y, x_labelled, y_labelled)


Window = Shuffled | Batches


def _scaled(x: Array) -> Array:
    return x.astype(jnp.float32) / 255
