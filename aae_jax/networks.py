"""Encoder, decoder and discriminators, and what each reads.

The parameters of all networks are one dict, `params[subset]`, whose top-level keys
are the names that phases, logs and checkpoints use.
"""

import zlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from numpy.typing import NDArray

from aae_jax.mlp import Module
from aae_jax.posteriors import Posterior
from aae_jax.wirings import Wiring

SUBSETS = (
    "encoder",
    "decoder",
    "discriminator",
    "label_discriminator",
    "cluster_heads",
)
"""Names of the subsets of the parameters; a variant has some of them."""

STATISTICS = "encoder_statistics"
"""Where batch normalization finds statistics beside the parameters."""

Params = dict[str, Any]
"""`{"encoder": ..., "decoder": ..., "discriminator": ...}`"""


class Code(NamedTuple):
    """What the encoder makes of images.

    Attributes:
      z: `[batch, z_dim]`.
      y_logits: `[batch, categories]`; None where no category is inferred.
    """

    z: Float[Array, "batch z_dim"]
    y_logits: Float[Array, "batch categories"] | None = None

    @property
    def y(self) -> Float[Array, "batch categories"]:
        """Probability of each category; raises as `require_logits` does."""
        return jax.nn.softmax(self.require_logits())

    def require_logits(self) -> Float[Array, "batch categories"]:
        """`y_logits`, for whom they must be there.

        Raises:
          ValueError: no category is inferred.
        """
        if self.y_logits is None:
            raise ValueError(
                "the encoder of this model infers no categories, and its y is asked "
                "for; take one that does, such as model='semi-supervised'"
            )
        return self.y_logits


@dataclass(frozen=True, eq=False)
class Networks:
    """The networks of a config as pure functions of `params`; see `make_networks`.

    Each method reads its own subsets of `params` and no other. A network with batch
    normalization takes the statistics from `params` if they are there, under
    `STATISTICS`, and else from the batch itself: training gives params alone,
    evaluation `TrainState.weights`.

    Attributes:
      modules: the network of each subset.
      inputs: how many numbers each network reads.
      image_shape: `(height, width, channels)`.
      n_categories: classes or clusters; 0 where the variant has none.
      wiring, posterior: see there.
      shift, scale: the discriminator sees (z - shift) / scale; numbers, or arrays
        `[1, z_dim]`.
      head_unit: `[1, z_dim]`, the prior's deviation.
      kinks: `kinks[subset](key, n) -> [n, z_dim]`, codes through which the kinks of the
        n units of a network's first layer go at first, whatever the category; with
        biases of 0 for subsets that are not there.
    """

    modules: dict[str, Module]
    inputs: dict[str, int]
    image_shape: tuple[int, int, int]
    n_categories: int
    wiring: Wiring
    posterior: Posterior
    shift: NDArray[np.float32] | float
    scale: NDArray[np.float32] | float
    head_unit: NDArray[np.float32]
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
                kernel = first["kernel"][: points.shape[1]]
                first["bias"] = -(kernel * points.T).sum(axis=0)
        return params

    def statistics(
        self,
        params: Params,
        x: Float[Array, "batch height width channels"],
        key: PRNGKeyArray,
    ) -> Params:
        """Mean and unbiased variance of the encoder's units over images, by layer.

        The key is for noise that the encoder reads beside them. `{STATISTICS: ...}`,
        or `{}` without batch normalization.
        """
        if not self._has_batch_norm("encoder"):
            return {}
        inputs = self._encoder_inputs(x, key)
        _, seen = self._apply_to_batch("encoder", params, inputs)
        unbiased = len(x) / max(len(x) - 1, 1)
        layers = {
            layer: {"mean": units["mean"], "var": units["var"] * unbiased}
            for layer, units in seen["batch_stats"].items()
        }
        return {STATISTICS: layers}

    def encode(
        self,
        params: Params,
        x: Float[Array, "batch height width channels"],
        key: PRNGKeyArray | None = None,
    ) -> Code:
        """Codes of images in [0, 1]; linear, so any real vector can be a code.

        Without a key those at the centre of q(z|x), which are the same each time.
        """
        keys = (None, None) if key is None else jax.random.split(key)
        outputs = self._apply("encoder", params, self._encoder_inputs(x, keys[0]))
        y_logits = None
        if self.wiring.infers_y:
            y_logits = outputs[:, : self.n_categories]
            outputs = outputs[:, self.n_categories :]
        return Code(self.posterior.draw(outputs, keys[1]), y_logits)

    def decode(
        self,
        params: Params,
        z: Float[Array, "batch z_dim"],
        y: Float[Array, "batch categories"] | None = None,
    ) -> Float[Array, "batch height width channels"]:
        """Images in (0, 1) of codes, and of shares of categories if it reads them."""
        if self.wiring.decodes_y:
            z = jnp.concatenate([z, _given(y, "decoder")], axis=1)
        pixels = jax.nn.sigmoid(self._apply("decoder", params, z))
        return pixels.reshape(z.shape[0], *self.image_shape)

    def discriminate(
        self,
        params: Params,
        z: Float[Array, "batch z_dim"],
        y: Int[Array, " batch"] | None = None,
    ) -> Float[Array, " batch"]:
        """Logits: above 0 where the discriminator takes z for a prior sample.

        `y` are labels, -1 where there is none, for variants whose discriminator sees
        them.
        """
        z = (z - self.shift) / self.scale
        if self.wiring.discriminates_y:
            y = _given(y, "discriminator")
            seen = jnp.where(y < 0, self.n_categories, y)
            z = jnp.concatenate(
                [z, jax.nn.one_hot(seen, self.n_categories + 1)], axis=1
            )
        return self._apply("discriminator", params, z)[:, 0]

    def discriminate_category(
        self, params: Params, y: Float[Array, "batch categories"]
    ) -> Float[Array, " batch"]:
        """Logits: above 0 where y is taken for a category drawn at random."""
        return self._apply("label_discriminator", params, y)[:, 0]

    def reconstruct(
        self,
        params: Params,
        x: Float[Array, "batch height width channels"],
        y: Int[Array, " batch"] | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch height width channels"]:
        """Images after a way through their codes; `y` are labels, if they are read."""
        return self.decode_code(params, self.encode(params, x, key), y)

    def decode_code(
        self, params: Params, code: Code, y: Int[Array, " batch"] | None = None
    ) -> Float[Array, "batch height width channels"]:
        """Images of what the encoder made of them, with its category or the label."""
        z = self.represent(params, code)
        if not self.wiring.decodes_y:
            return self.decode(params, z)
        if self.wiring.infers_y:
            return self.decode(params, z, code.y)
        y = _given(y, "decoder")
        return self.decode(params, z, jax.nn.one_hot(y, self.n_categories))

    def decode_sample(
        self, params: Params, z: Float[Array, "batch z_dim"], y: Int[Array, " batch"]
    ) -> Float[Array, "batch height width channels"]:
        """Images of prior samples, each of its category y where there are any."""
        if self.wiring.adds_heads:
            z = z + self.heads(params)[y]
        if self.wiring.decodes_y:
            return self.decode(params, z, jax.nn.one_hot(y, self.n_categories))
        return self.decode(params, z)

    def represent(self, params: Params, code: Code) -> Float[Array, "batch z_dim"]:
        """Codes as the decoder reads them: z, plus sum_k q(k|x) head_k with heads."""
        if not self.wiring.adds_heads:
            return code.z
        return code.z + code.y @ self.heads(params)

    def heads(self, params: Params) -> Float[Array, "categories z_dim"]:
        """Where each cluster is centred; learned in units of the prior's deviation."""
        return params["cluster_heads"]["kernel"] * self.head_unit

    def _encoder_inputs(self, x: Array, key: PRNGKeyArray | None) -> Array:
        """Images as rows of pixels, with the noise that the encoder reads beside."""
        pixels = x.reshape(x.shape[0], -1)
        if not self.posterior.noise_inputs:
            return pixels
        return jnp.concatenate([pixels, self.posterior.noise(key, x.shape[0])], axis=1)

    def _apply(self, subset: str, params: Params, x: Array) -> Array:
        variables = {"params": params[subset]}
        if self._has_batch_norm(subset):
            if STATISTICS not in params:
                return self._apply_to_batch(subset, params, x)[0]
            variables["batch_stats"] = params[STATISTICS]
        output: Any = self.modules[subset].apply(variables, x)
        return output

    def _apply_to_batch(
        self, subset: str, params: Params, x: Array
    ) -> tuple[Array, dict[str, Any]]:
        """Outputs normalized by the statistics of the batch, and these."""
        applied: Any = self.modules[subset].apply(
            {"params": params[subset]}, x, of_batch=True, mutable="batch_stats"
        )
        return applied

    def _has_batch_norm(self, subset: str) -> bool:
        return getattr(self.modules[subset], "batch_norm", False)


def _given(y: Array | None, network: str) -> Array:
    if y is None:
        raise ValueError(f"the {network} of this model reads y beside the code; pass y")
    return y
