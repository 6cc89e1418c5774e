"""Convolutions of trained networks, on rows that hold maps of numbers; no jax.

The plain layers that `aae_jax.layers` has beside dense ones.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

Shape = tuple[int, int, int]
"""`(height, width, channels)` of a map."""
Padding = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Convolution:
    """A map of half the sides, rounded up, out of 4 x 4 pixels two apart.

    y[i, j, o] = bias[o]
               + sum_{a, b, c} x[2i + a - 1, 2j + b - 1, c] kernel[a, b, c, o]

    where a and b go from 0 to 3 and x is 0 beyond its sides. Rows hold maps pixel by
    pixel, the channels of each together: x[i, j, c] of the shape `(height, width,
    channels)` is number `(i * width + j) * channels + c`, and y likewise.

    In ONNX a `Conv` with `kernel_shape` (4, 4), `strides` (2, 2) and `pads` (top, left,
    bottom, right) from `padding`; channels come first there, and kernels are
    `[o, c, a, b]`.

    Attributes:
      kernel: `[4, 4, inputs, outputs]`, float32.
      bias: `[outputs]`, float32.
      in_shape: `(height, width, inputs)` of x.
      out_shape: `(ceil(height / 2), ceil(width / 2), outputs)` of y.
      padding: `((top, bottom), (left, right))`, rows and columns of zeros around x that
        are read: 1 before, and after 1 where the side is even and 2 where it is odd.
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    in_shape: Shape
    out_shape: Shape
    padding: Padding


@dataclass(frozen=True, eq=False)
class Transposed:
    """Maps of twice the sides or one less: the adjoint of `Convolution`.

    y[i, j, o] = bias[o] + sum_{p, q, c} x[p, q, c] kernel[i + 1 - 2p, j + 1 - 2q, c, o]

    over the p and q whose `i + 1 - 2p` and `j + 1 - 2q` are from 0 to 3: each unit adds
    4 x 4 times its value from row 2p - 1 and column 2q - 1 of y on, and what falls
    beyond the sides of y is left out. Rows hold maps as in `Convolution`.

    In ONNX a `ConvTranspose` with `kernel_shape` (4, 4), `strides` (2, 2) and `pads`
    from `cropping`; its kernels are `[c, o, a, b]`.

    Attributes:
      kernel: `[4, 4, inputs, outputs]`, float32.
      bias: `[outputs]`, float32.
      in_shape: `(ceil(height / 2), ceil(width / 2), inputs)` of x.
      out_shape: `(height, width, outputs)` of y.
      cropping: `((top, bottom), (left, right))`, rows and columns left out of the
        whole, which has `2 rows + 2` of the `rows` of x: 1 before, and after 1 where
        the side of y is even and 2 where it is odd.
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    in_shape: Shape
    out_shape: Shape
    cropping: Padding


def reach(large: Shape, small: Shape) -> Padding:
    """`padding` and `cropping` between maps: 4 x 4 patches begin one before a side."""
    bottom, right = (2 * small[side] + 1 - large[side] for side in (0, 1))
    return (1, bottom), (1, right)


def convolved(
    layer: Convolution, x: Float[np.ndarray, "n inputs"]
) -> Float[np.ndarray, "n outputs"]:
    """y of rows x, in float32."""
    rows, columns, _ = layer.out_shape
    x = np.pad(x.reshape(-1, *layer.in_shape), ((0, 0), *layer.padding, (0, 0)))
    y = sum(
        x[:, a : a + 2 * rows : 2, b : b + 2 * columns : 2] @ layer.kernel[a, b]
        for a, b in np.ndindex(4, 4)
    )
    return (y + layer.bias).reshape(len(x), -1)


def transposed(
    layer: Transposed, x: Float[np.ndarray, "n inputs"]
) -> Float[np.ndarray, "n outputs"]:
    """y of rows x, in float32."""
    (rows, columns, _), (height, width, features) = layer.in_shape, layer.out_shape
    x = x.reshape(-1, *layer.in_shape)
    whole = np.zeros((len(x), 2 * rows + 2, 2 * columns + 2, features), np.float32)
    for a, b in np.ndindex(4, 4):
        whole[:, a : a + 2 * rows : 2, b : b + 2 * columns : 2] += (
            x @ layer.kernel[a, b]
        )
    (top, _), (left, _) = layer.cropping
    y = whole[:, top : top + height, left : left + width]
    return (y + layer.bias).reshape(len(x), -1)
