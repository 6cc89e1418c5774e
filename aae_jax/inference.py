"""Networks with their weights, applied to any number of rows, compiled for one."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import jax
import numpy as np
from jaxtyping import Array
from numpy.typing import NDArray

from aae_jax.data.stored import StoredImages
from aae_jax.networks import Networks, Params

_ROWS, _VALUES = 500, 2**24
"""So many rows, and values of their images, go at a time."""


@dataclass(frozen=True, eq=False)
class Inference:
    """What trained networks make of arrays of n rows, each on its own.

    Images go in as bytes, in memory or on disk, or as float32 in [0, 1]; all comes
    back as float32.
    """

    networks: Networks
    params: Params

    def encode(self, x: NDArray | StoredImages) -> NDArray[np.float32]:
        """Codes `[n, z_dim]`: the centres of q(z|x), cluster heads included."""
        return self._in_batches(self._encode, x)

    def infer(self, x: NDArray | StoredImages) -> NDArray[np.float32]:
        """Logits `[n, categories]`, where categories are inferred."""
        return self._in_batches(self._infer, x)

    def decode(
        self, z: NDArray[np.float32], y: NDArray[np.int32] | None = None
    ) -> NDArray[np.float32]:
        """Images of codes, and of categories where the decoder reads them."""
        return self._in_batches(self._decode, z, *([] if y is None else [y]))

    def reconstruct(self, x: NDArray, y: NDArray[np.int32]) -> NDArray[np.float32]:
        """Images after a way through their codes; `y` is read where labels are."""
        return self._in_batches(self._reconstruct, x, y)

    def closest(self, x: NDArray) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Images as they come back with the label that suits each best, and the labels.

        Where no label is read there is one way back, and the labels are 0.
        """
        wiring, labels = self.networks.wiring, np.zeros(len(x), np.int32)
        closest = self.reconstruct(x, labels)
        if not wiring.decodes_y or wiring.infers_y:
            return closest, labels
        pixels = as_pixels(x)
        errors = squared_errors(pixels, closest)
        for label in range(1, self.networks.n_categories):
            x_hat = self.reconstruct(x, np.full(len(x), label, np.int32))
            of_label = squared_errors(pixels, x_hat)
            better = of_label < errors
            closest[better], errors[better] = x_hat[better], of_label[better]
            labels[better] = label
        return closest, labels

    def decode_as(
        self, x: NDArray, z: NDArray[np.float32], y: NDArray[np.int32]
    ) -> NDArray[np.float32]:
        """Images of codes, of the categories inferred from x, or else of y, if read."""
        return self._in_batches(self._decode_as, x, z, y)

    @cached_property
    def _encode(self) -> Callable[..., Array]:
        def encode(params: Params, x: Array) -> Array:
            return self.networks.represent(params, self.networks.encode(params, x))

        return jax.jit(encode)

    @cached_property
    def _infer(self) -> Callable[..., Array]:
        return jax.jit(lambda params, x: self.networks.encode(params, x).y_logits)

    @cached_property
    def _decode(self) -> Callable[..., Array]:
        def decode(params: Params, z: Array, y: Array | None = None) -> Array:
            if y is None:
                return self.networks.decode(params, z)
            one_hot = jax.nn.one_hot(y, self.networks.n_categories)
            return self.networks.decode(params, z, one_hot)

        return jax.jit(decode)

    @cached_property
    def _decode_as(self) -> Callable[..., Array]:
        networks = self.networks

        def decode_as(params: Params, x: Array, z: Array, y: Array) -> Array:
            if not networks.wiring.decodes_y:
                return networks.decode(params, z)
            if networks.wiring.infers_y:
                return networks.decode(params, z, networks.encode(params, x).y)
            return networks.decode(params, z, jax.nn.one_hot(y, networks.n_categories))

        return jax.jit(decode_as)

    @cached_property
    def _reconstruct(self) -> Callable[..., Array]:
        return jax.jit(self.networks.reconstruct)

    def _in_batches(
        self, apply: Callable[..., Array], *inputs: NDArray | StoredImages
    ) -> NDArray[np.float32]:
        n_values = math.prod(self.networks.image_shape)
        batch = max(1, min(_ROWS, _VALUES // n_values))
        n = len(inputs[0])
        outputs: NDArray[np.float32] | None = None
        for first in range(0, max(n, 1), batch):
            rows = [_padded(each[first : first + batch], batch) for each in inputs]
            output = np.asarray(apply(self.params, *rows))
            if outputs is None:
                outputs = np.empty((n, *output.shape[1:]), np.float32)
            outputs[first : first + batch] = output[: n - first]
        assert outputs is not None
        return outputs


def as_pixels(x: NDArray) -> NDArray:
    """Images in bytes as float32 in [0, 1]; other arrays as they are."""
    return x.astype(np.float32) / 255 if x.dtype == np.uint8 else x


def squared_errors(x: NDArray, x_hat: NDArray | float) -> NDArray[np.float64]:
    """Squared error of each image, `[n]`, summed over its pixels."""
    return np.square(x - x_hat).sum(axis=(1, 2, 3), dtype=np.float64)


def _padded(rows: NDArray, batch: int) -> NDArray:
    """Rows as networks read them, images in bytes scaled; zeros fill the batch."""
    rows = as_pixels(rows)
    return np.pad(rows, [(0, batch - len(rows))] + [(0, 0)] * (rows.ndim - 1))
