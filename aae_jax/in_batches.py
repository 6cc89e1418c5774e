"""A network applied to any number of rows, compiled for one number."""

from collections.abc import Callable

import jax
import numpy as np
from numpy.typing import NDArray

from aae_jax.networks import Params

Apply = Callable[..., jax.Array]
_ROWS, _VALUES = 500, 2**24
"""So many rows, and values of their images, go at a time."""


def in_batches(
    apply: Apply, params: Params, *inputs: NDArray, n_values: int
) -> NDArray[np.float32]:
    """Outputs `[n, ...]` of `apply(params, *inputs)` for inputs of n rows each.

    Args:
      apply: compiled; its rows do not depend on each other.
      params: see there.
      inputs: images in bytes are scaled to [0, 1].
      n_values: of an image that goes in or comes out.
    """
    batch = max(1, min(_ROWS, _VALUES // n_values))
    n = len(inputs[0])
    outputs: NDArray[np.float32] | None = None
    for first in range(0, max(n, 1), batch):
        rows = [_padded(each[first : first + batch], batch) for each in inputs]
        output = np.asarray(apply(params, *rows))
        if outputs is None:
            outputs = np.empty((n, *output.shape[1:]), np.float32)
        outputs[first : first + batch] = output[: n - first]
    assert outputs is not None
    return outputs


def _padded(rows: NDArray, batch: int) -> NDArray:
    """Rows as networks read them, images in bytes scaled; zeros fill the batch."""
    if rows.dtype == np.uint8:
        rows = rows.astype(np.float32) / 255
    return np.pad(rows, [(0, batch - len(rows))] + [(0, 0)] * (rows.ndim - 1))
