"""Trained networks as plain layers of numpy arrays, for programs that have no jax.

What a page in a browser and an ONNX file are made from. Rows go in and come out:
`apply_layers` says what each layer means.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

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


Layer = Dense | Relu | Sigmoid


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
    n_pixels = int(np.prod(networks.image_shape))
    encoder = _layers(networks, params, "encoder")
    # At the centre of q(z|x) noise is 0, and no deviation is asked for.
    first = encoder[0]
    encoder[0] = replace(first, kernel=first.kernel[:n_pixels])
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
            case Relu():
                x = np.maximum(x, 0)
            case Sigmoid():
                x = 1 / (1 + np.exp(-x))
    return x


def _layers(networks: Networks, params: Params, subset: str) -> list[Any]:
    module = networks.modules[subset]
    assert isinstance(module, MLP)
    statistics = params.get(STATISTICS) if module.batch_norm else None
    return _mlp_layers(module, params[subset], statistics)


def _mlp_layers(
    mlp: MLP, params: Params, statistics: Params | None
) -> list[Dense | Relu]:
    """Dense layers with ReLU between them, batch normalization folded into them."""
    layers: list[Dense | Relu] = []
    for index in range(len(mlp.hidden)):
        layers += [_dense(params, statistics, index, norm=index), Relu()]
    last = len(mlp.hidden)
    codes = _dense(params, None, last)
    if mlp.normalized:
        logits = _dense(params, statistics, last + 1, norm=last)
        codes = Dense(
            np.concatenate([logits.kernel, codes.kernel], axis=1),
            np.concatenate([logits.bias, codes.bias]),
        )
    return [*layers, codes]


def _dense(
    params: Params, statistics: Params | None, index: int, *, norm: int = 0
) -> Dense:
    """Layer `Dense_<index>`, followed by `BatchNorm_<norm>` where there are any."""
    weights = _arrays(params[f"Dense_{index}"])
    if statistics is None:
        return Dense(weights["kernel"], weights["bias"])
    learned = _arrays(params[f"BatchNorm_{norm}"])
    seen = _arrays(statistics[f"BatchNorm_{norm}"])
    scale = learned["scale"] / np.sqrt(seen["var"] + np.float32(BATCH_NORM_EPSILON))
    return Dense(weights["kernel"] * scale, learned["bias"] - seen["mean"] * scale)


def _arrays(parameters: Params) -> dict[str, Any]:
    return {name: np.asarray(each, np.float32) for name, each in parameters.items()}
