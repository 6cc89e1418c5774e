"""Encoder, decoder and discriminator of the guide: perceptrons with ReLU.

The parameters of all networks are one dict, `params[subset]`, whose top-level keys
are the names that phases, logs and checkpoints use.
"""

import math
import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Float, PRNGKeyArray
from numpy.typing import NDArray

from aae_jax.config import Config
from aae_jax.priors import Prior

SUBSETS = ("encoder", "decoder", "discriminator")
"""Names of the subsets of the parameters."""

Params = dict[str, Any]
"""`{"encoder": ..., "decoder": ..., "discriminator": ...}`"""


def _initializer(name: str) -> nn.initializers.Initializer:
    """`normal`: deviation 0.01, the guide's and the paper's.

    Others: variance 1 / fan-in, cut off at two deviations.
    """
    if name == "normal":
        return nn.initializers.normal(0.01)
    return nn.initializers.lecun_normal()


class MLP(nn.Module):
    """Dense layers with ReLU between them, none after the last."""

    hidden: tuple[int, ...]
    features: int
    initializer: str

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch inputs"]
    ) -> Float[Array, "batch outputs"]:
        for width in self.hidden:
            x = nn.relu(nn.Dense(width, kernel_init=_initializer(self.initializer))(x))
        return nn.Dense(self.features, kernel_init=_initializer(self.initializer))(x)


@dataclass(frozen=True, eq=False)
class Networks:
    """The networks of a config as pure functions of `params`; see `make_networks`.

    Each method reads its own subset of `params` and no other.

    Attributes:
      modules: the network of each subset.
      inputs: how many numbers each network reads.
      image_shape: `(height, width, channels)`.
      shift, scale: the discriminator sees (z - shift) / scale; numbers, or arrays
        `[1, z_dim]`.
      kinks: `kinks[subset](key, n) -> [n, inputs]`, points through which the kinks of
        the n units of a network's first layer go at first; with biases of 0 for
        subsets that are not there.
    """

    modules: dict[str, nn.Module]
    inputs: dict[str, int]
    image_shape: tuple[int, int, int]
    shift: NDArray[np.float32] | float
    scale: NDArray[np.float32] | float
    kinks: Mapping[str, Callable[[PRNGKeyArray, int], Array]]

    def init(self, key: PRNGKeyArray, subsets: Collection[str]) -> Params:
        """First parameters of the named subsets, float32.

        A subset's numbers do not depend on which others there are.
        """
        params = {}
        for subset in (name for name in self.modules if name in subsets):
            weight_key, kink_key = jax.random.split(
                jax.random.fold_in(key, zlib.crc32(subset.encode()))
            )
            inputs = jnp.zeros((1, self.inputs[subset]))
            variables: Any = self.modules[subset].init(weight_key, inputs)
            params[subset] = variables["params"]
            if subset in self.kinks:
                first = params[subset]["Dense_0"]
                points = self.kinks[subset](kink_key, len(first["bias"]))
                first["bias"] = -(first["kernel"] * points.T).sum(axis=0)
        return params

    def encode(
        self, params: Params, x: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch z_dim"]:
        """Codes of images in [0, 1]; linear, so any real vector can be a code."""
        return self._apply("encoder", params, x.reshape(x.shape[0], -1))

    def decode(
        self, params: Params, z: Float[Array, "batch z_dim"]
    ) -> Float[Array, "batch height width channels"]:
        """Images in (0, 1) of codes."""
        pixels = nn.sigmoid(self._apply("decoder", params, z))
        return pixels.reshape(z.shape[0], *self.image_shape)

    def discriminate(
        self, params: Params, z: Float[Array, "batch z_dim"]
    ) -> Float[Array, " batch"]:
        """Logits: above 0 where the discriminator takes z for a prior sample."""
        z = (z - self.shift) / self.scale
        return self._apply("discriminator", params, z)[:, 0]

    def _apply(self, subset: str, params: Params, x: Array) -> Array:
        output: Any = self.modules[subset].apply({"params": params[subset]}, x)
        return output


def make_networks(
    config: Config, prior: Prior, image_shape: tuple[int, int, int]
) -> Networks:
    """The networks of a config, for images of `(height, width, channels)`.

    Source: the guide's part 2: 784-1000-1000-2, 2-1000-1000-784 and 2-1000-1000-1 by
    default. Where the recipe standardizes codes, the discriminator sees them with the
    prior's mean and deviation taken out, so that one recipe serves priors of any scale.

    With the initializer `spread` the kink of each unit in the first layer of a network
    that reads codes, the hyperplane where its ReLU turns on, goes through a draw from
    the prior. With biases of 0 all kinks meet at the origin, the logits scale with the
    code, f(az) = a f(z) for a > 0, and detail elsewhere comes only as fast as the
    biases move. Compare Steinwart 2019, "A sober look at neural network
    initializations", on kinks that miss the data.
    """
    hyper = config.hyperparameters
    n_pixels = math.prod(image_shape)
    sizes = {
        "encoder": (n_pixels, config.z_dim),
        "decoder": (config.z_dim, n_pixels),
        "discriminator": (config.z_dim, 1),
    }
    shift = prior.mean[None] if hyper.standardize_codes else 0.0
    scale = prior.std[None] if hyper.standardize_codes else 1.0
    kinks = {
        "decoder": prior.sample,
        "discriminator": lambda key, n: (prior.sample(key, n) - shift) / scale,
    }
    return Networks(
        modules={
            subset: MLP(config.hidden, features, hyper.initializer)
            for subset, (_, features) in sizes.items()
        },
        inputs={subset: n_inputs for subset, (n_inputs, _) in sizes.items()},
        image_shape=image_shape,
        shift=shift,
        scale=scale,
        kinks=kinks if hyper.initializer == "spread" else {},
    )
