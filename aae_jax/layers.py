"""Trained networks as plain layers of numpy arrays, for programs that have no jax.

What a page in a browser and an ONNX file are made from. Rows go in and come out:
`apply_layers` says what each layer means, and `maps` those on images.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from aae_jax.convolutional import (
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    map_shapes,
)
from aae_jax.maps import Convolution, Transposed, convolved, reach, transposed
from aae_jax.mlp import BATCH_NORM_EPSILON, MLP
from aae_jax.networks import STATISTICS, Networks, Params


@dataclass(frozen=True, eq=False)
class Dense:
    """x @ kernel + bias.

    Attributes:
      kernel: `[inputs, outputs]`, float32.
      bias: `[outputs]`, float32.
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]


@dataclass(frozen=True)
class Relu:
    """max(x, 0)."""


@dataclass(frozen=True)
class Sigmoid:
    """1 / (1 + exp(-x))."""


Layer = Dense | Convolution | Transposed | Relu | Sigmoid


class PlainNetworks(NamedTuple):
    """The encoder and the decoder of a run.

    Attributes:
      encoder: rows of pixels in [0, 1] -> `[n, n_logits + z_dim]`: logits of the
        categories, where the encoder infers any, then z at the centre of q(z|x).
      decoder: `[n, z_dim + categories]`, the code and, where the decoder reads one, the
        shares of the categories -> rows of pixels in (0, 1).
      n_logits: how many categories the encoder infers; 0 for none.
      heads: `[n_logits, z_dim]`, where a code is z + softmax(logits) @ heads; or None.
    """

    encoder: tuple[Layer, ...]
    decoder: tuple[Layer, ...]
    n_logits: int
    heads: NDArray[np.float32] | None


def plain_networks(networks: Networks, params: Params) -> PlainNetworks:
    """The layers of trained networks.

    Args:
      networks: whose modules are taken apart.
      params: with the statistics of batch normalization, if any, as `Run.params`.
    """
    wiring, n_logits = networks.wiring, 0
    if wiring.infers_y:
        n_logits = networks.n_categories
    encoder = _layers(networks, params, "encoder")
    # At the centre of q(z|x) noise is 0, and no deviation is asked for.
    first = encoder[0]
    shape = networks.image_shape
    n_read = shape[2] if isinstance(first, Convolution) else int(np.prod(shape))
    encoder[0] = replace(first, kernel=first.kernel[..., :n_read, :])
    last = encoder[-1]
    kept = n_logits + (last.kernel.shape[1] - n_logits) // networks.posterior.outputs
    encoder[-1] = Dense(last.kernel[:, :kept], last.bias[:kept])
    return PlainNetworks(
        tuple(encoder),
        (*_layers(networks, params, "decoder"), Sigmoid()),
        n_logits,
        np.asarray(networks.heads(params)) if wiring.adds_heads else None,
    )


def apply_layers(
    layers: Sequence[Layer], x: Float[np.ndarray, "n inputs"]
) -> Float[np.ndarray, "n outputs"]:
    """What layers make of rows, in float32."""
    for layer in layers:
        match layer:
            case Dense(kernel, bias):
                x = x @ kernel + bias
            case Convolution():
                x = convolved(layer, x)
            case Transposed():
                x = transposed(layer, x)
            case Relu():
                x = np.maximum(x, 0)
            case Sigmoid():
                x = 1 / (1 + np.exp(-x))
    return x


def _layers(networks: Networks, params: Params, subset: str) -> list[Any]:
    """A network's layers with ReLU between them."""
    module, weights = networks.modules[subset], params[subset]
    match module:
        case ConvolutionalDecoder():
            layers = _decoder_layers(module, weights)
        case MLP() | ConvolutionalEncoder():
            seen = params.get(STATISTICS) if module.batch_norm else None
            layers = _encoder_layers(module, weights, seen)
        case _:
            raise TypeError(f"no plain layers are known of {type(module).__name__}")
    return [each for layer in layers for each in (layer, Relu())][:-1]


def _encoder_layers(
    module: MLP | ConvolutionalEncoder, weights: Params, seen: Params | None
) -> list[Any]:
    """With batch normalization, seen in `STATISTICS`, folded into each layer."""
    layers: list[Any]
    if isinstance(module, MLP):
        n = first = len(module.hidden)
        layers = [
            Dense(*_folded(weights, seen, f"Dense_{index}", norm=index))
            for index in range(n)
        ]
    else:
        shapes = map_shapes(module.image_shape)
        n, first = len(shapes) - 1, 0
        layers = [
            Convolution(
                *_folded(weights, seen, f"Convolution_{index}", norm=index),
                large,
                small,
                reach(large, small),
            )
            for index, (large, small) in enumerate(pairwise(shapes))
        ]
    codes = Dense(*_folded(weights, None, f"Dense_{first}"))
    if module.normalized:
        logits = _folded(weights, seen, f"Dense_{first + 1}", norm=n)
        codes = Dense(
            np.concatenate([logits[0], codes.kernel], axis=1),
            np.concatenate([logits[1], codes.bias]),
        )
    return [*layers, codes]


def _decoder_layers(module: ConvolutionalDecoder, weights: Params) -> list[Any]:
    shapes = map_shapes(module.image_shape)[::-1]
    return [
        Dense(*_folded(weights, None, "Dense_0")),
        *(
            Transposed(
                *_folded(weights, None, f"Transposed_{index}"),
                small,
                large,
                reach(large, small),
            )
            for index, (small, large) in enumerate(pairwise(shapes))
        ),
    ]


def _folded(
    weights: Params, seen: Params | None, layer: str, *, norm: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Kernel and bias of a layer, followed by `BatchNorm_<norm>` where that is seen."""
    own = _arrays(weights[layer])
    if seen is None:
        return own["kernel"], own["bias"]
    learned = _arrays(weights[f"BatchNorm_{norm}"])
    units = _arrays(seen[f"BatchNorm_{norm}"])
    scale = learned["scale"] / np.sqrt(units["var"] + np.float32(BATCH_NORM_EPSILON))
    return own["kernel"] * scale, learned["bias"] - units["mean"] * scale


def _arrays(parameters: Params) -> dict[str, Any]:
    return {name: np.asarray(each, np.float32) for name, each in parameters.items()}
