"""Encoder and decoder made of convolutions, for images of any size from 8 x 8.

Beside `mlp.py` the only importer of flax.linen.
"""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from aae_jax.maps import Shape
from aae_jax.mlp import first_weights, normalization, outputs

_LAST_SIDE = 7
_CHANNELS, _MOST_CHANNELS = 16, 256


def map_shapes(image_shape: Shape) -> tuple[Shape, ...]:
    """`(height, width, channels)` of the image and of each map that is made of it.

    A convolution halves the sides, rounded up, until the smaller one is 7 or less.

    >>> map_shapes((28, 28, 1))
    ((28, 28, 1), (14, 14, 16), (7, 7, 32))
    """
    height, width, _ = image_shape
    shapes, channels = [image_shape], _CHANNELS
    while min(height, width) > _LAST_SIDE:
        height, width = -(-height // 2), -(-width // 2)
        shapes.append((height, width, channels))
        channels = min(2 * channels, _MOST_CHANNELS)
    return tuple(shapes)


class Convolution(nn.Module):
    """Maps of half the sides, rounded up, each unit of 4 x 4 neighbours.

    y[i, j, o] = bias[o] + sum_{a, b, c} x[2i + a - 1, 2j + b - 1, c] kernel[a, b, c, o]

    where a and b go from 0 to 3 and x is 0 beyond its sides. Computed as one product of
    patches and kernel: gradients of XLA's own convolutions are slow on CPUs.
    """

    features: int
    kernel_init: nn.initializers.Initializer
    use_bias: bool = True

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch half_height half_width features"]:
        n, height, width, channels = x.shape
        kernel = self.param("kernel", self.kernel_init, (4, 4, channels, self.features))
        # Cells of 2 x 2 pixels, the first of them half outside.
        rows, columns = -(-height // 2) + 1, -(-width // 2) + 1
        beyond = ((0, 0), (1, 2 * rows - 1 - height), (1, 2 * columns - 1 - width))
        cells = jnp.pad(x, (*beyond, (0, 0))).reshape(n, rows, 2, columns, 2, channels)
        cells = cells.transpose(0, 1, 3, 2, 4, 5).reshape(n, rows, columns, -1)
        by_cell = kernel.reshape(2, 2, 2, 2, channels, -1).transpose(0, 2, 1, 3, 4, 5)
        y = _squares(cells) @ by_cell.reshape(-1, self.features)
        return _with_bias(self, y) if self.use_bias else y


class Transposed(nn.Module):
    """Maps of the given sides out of those of half, the adjoint of `Convolution`.

    y[i, j, o] = bias[o] + sum_{p, q, a, b, c} x[p, q, c] kernel[a, b, c, o]

    over all p, q, a, b with 2p + a - 1 = i and 2q + b - 1 = j: two of each.
    """

    height: int
    width: int
    features: int
    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch half_height half_width channels"]
    ) -> Float[Array, "batch height width features"]:
        n, rows, columns, channels = x.shape
        kernel = self.param("kernel", self.kernel_init, (4, 4, channels, self.features))
        # Cells of 2 x 2 pixels again, each of the four units around it; the nearer to
        # the end a unit is, the nearer to its kernel's beginning the cell.
        around = _squares(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))))
        by_cell = kernel.reshape(2, 2, 2, 2, channels, -1)[::-1, :, ::-1]
        by_cell = by_cell.transpose(0, 2, 4, 1, 3, 5).reshape(4 * channels, -1)
        cells = (around @ by_cell).reshape(n, rows + 1, columns + 1, 2, 2, -1)
        y = cells.transpose(0, 1, 3, 2, 4, 5)
        y = y.reshape(n, 2 * rows + 2, 2 * columns + 2, self.features)
        return _with_bias(self, y[:, 1 : self.height + 1, 1 : self.width + 1])


class ConvolutionalEncoder(nn.Module):
    """Rows of pixels through convolutions, with ReLU after each, and a dense layer.

    What the rows hold beside pixels, noise, becomes one more channel of the image.
    Normalization is that of `MLP`, with one mean and variance for a channel.
    """

    image_shape: Shape
    features: int
    initializer: str
    batch_norm: bool = False
    normalized: int = 0

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch inputs"], *, of_batch: bool = False
    ) -> Float[Array, "batch outputs"]:
        norm = normalization(of_batch)
        kernel_init = first_weights(self.initializer)
        dense = partial(nn.Dense, kernel_init=kernel_init)
        (height, width, channels), *maps = map_shapes(self.image_shape)
        pixels, noise = jnp.split(x, [height * width * channels], axis=1)
        x = pixels.reshape(-1, height, width, channels)
        if noise.shape[1]:
            # Without a bias: at the centre of q(z|x), where noise is 0, so is this.
            plane = dense(height * width, use_bias=False, name="noise")(noise)
            x = jnp.concatenate([x, plane.reshape(-1, height, width, 1)], axis=3)
        for _, _, channels in maps:
            x = Convolution(channels, kernel_init, use_bias=not self.batch_norm)(x)
            if self.batch_norm:
                x = norm()(x)
            x = nn.relu(x)
        x = x.reshape(x.shape[0], -1)
        return outputs(x, self.features, self.normalized, dense=dense, norm=norm)


class ConvolutionalDecoder(nn.Module):
    """A dense layer and transposed convolutions, the encoder's maps in reverse order.

    ReLU after each but the last, whose outputs leave as rows of pixels.
    """

    image_shape: Shape
    initializer: str

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch inputs"]
    ) -> Float[Array, "batch outputs"]:
        first, *maps = reversed(map_shapes(self.image_shape))
        height, width, channels = first
        dense = nn.Dense(
            height * width * channels, kernel_init=first_weights(self.initializer)
        )
        x = dense(x).reshape(-1, *first)
        # Four of a kernel's 16 entries meet in a pixel.
        kernel_init = first_weights(self.initializer, met=1 / 4)
        for shape in maps:
            x = Transposed(*shape, kernel_init)(nn.relu(x))
        return x.reshape(x.shape[0], -1)


def _squares(x: Array) -> Array:
    """Each 2 x 2 neighbours' channels together: `[n, h, w, c] -> [n, h-1, w-1, 4c]`."""
    left, right = x[:, :, :-1], x[:, :, 1:]
    sides = jnp.concatenate([left, right], axis=3)
    return jnp.concatenate([sides[:, :-1], sides[:, 1:]], axis=3)


def _with_bias(module: nn.Module, y: Array) -> Array:
    bias = module.param("bias", nn.initializers.zeros, (y.shape[-1],))
    return y + bias[None, None, None]
