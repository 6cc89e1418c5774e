"""The choices of q(z|x): how a code is drawn from what the encoder puts out.

Source: Makhzani et al. 2015, section 2.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

NOISE_INPUTS = 32
"""Numbers of noise that a universal encoder reads beside an image."""

Draw = Callable[
    [Float[Array, "batch outputs"], PRNGKeyArray | None], Float[Array, "batch z_dim"]
]


@dataclass(frozen=True)
class Posterior:
    """A family of q(z|x).

    Attributes:
      outputs: numbers that the encoder puts out for each dimension of a code.
      draw: `draw(outputs, key) -> z`; without a key the centre of the distribution.
      noise_inputs: standard normal numbers that the encoder reads beside an image;
        zeros where there is no key.
    """

    outputs: int
    draw: Draw
    noise_inputs: int = 0

    def noise(self, key: PRNGKeyArray | None, n: Any) -> Float[Array, "n noise"]:
        """What the encoder reads beside n images, a number or jax.export's symbol."""
        if key is None:
            return jnp.zeros((n, self.noise_inputs))
        return jax.random.normal(key, (n, self.noise_inputs))


def _as_it_is(outputs: Array, key: PRNGKeyArray | None) -> Array:
    del key
    return outputs


def _gaussian(outputs: Array, key: PRNGKeyArray | None) -> Array:
    """Mean and logarithm of the variance, reparameterized: z = mean + deviation e."""
    mean, log_variance = jnp.split(outputs, 2, axis=1)
    if key is None:
        return mean
    return mean + jnp.exp(log_variance / 2) * jax.random.normal(key, mean.shape)


POSTERIORS: Mapping[str, Posterior] = {
    "deterministic": Posterior(1, _as_it_is),
    "gaussian": Posterior(2, _gaussian),
    "universal": Posterior(1, _as_it_is, noise_inputs=NOISE_INPUTS),
}
"""Each encoder of a config by its name."""
