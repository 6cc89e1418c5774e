"""The modules of dense layers; beside `convolutional.py` the only importer of linen."""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

Module, initializers = nn.Module, nn.initializers
Heads = partial(nn.Dense, use_bias=False)
"""A point for each category: `Heads(z_dim)`."""
BATCH_NORM_EPSILON = 1e-5
"""What is added to a variance before its square root is taken."""


def first_weights(name: str, *, met: float = 1.0) -> nn.initializers.Initializer:
    """`normal`: deviation 0.01, the guide's and the paper's.

    Others: variance 1 / fan-in, cut off at two deviations; `met` is the share of a
    kernel's entries that meet in one unit.
    """
    if name == "normal":
        return nn.initializers.normal(0.01)
    return nn.initializers.variance_scaling(1 / met, "fan_in", "truncated_normal")


def normalization(of_batch: bool) -> Callable[..., nn.BatchNorm]:
    """Makes layers of batch normalization, by the batch's statistics or given ones."""
    # No memory of its own: `Networks.statistics` is what is averaged.
    return partial(
        nn.BatchNorm,
        use_running_average=not of_batch,
        momentum=0.0,
        epsilon=BATCH_NORM_EPSILON,
    )


def outputs(
    x: Float[Array, "batch inputs"],
    features: int,
    normalized: int,
    *,
    dense: Callable[..., nn.Dense],
    norm: Callable[..., nn.BatchNorm],
) -> Float[Array, "batch features"]:
    """The last layer of a module, the first `normalized` of its outputs normalized."""
    codes = dense(features - normalized)(x)
    if not normalized:
        return codes
    # At a deviation of 2 the largest of ten logits stands out, and may be learned.
    scale = nn.initializers.constant(2.0)
    logits = norm(scale_init=scale)(dense(normalized, use_bias=False)(x))
    return jnp.concatenate([logits, codes], axis=1)


class MLP(nn.Module):
    """Dense layers with ReLU between them, none after the last.

    With batch normalization before each ReLU, and of the first `normalized` outputs, by
    the statistics of the batch (`of_batch`) or by those that are given.
    """

    hidden: tuple[int, ...]
    features: int
    initializer: str
    batch_norm: bool = False
    normalized: int = 0

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch inputs"], *, of_batch: bool = False
    ) -> Float[Array, "batch outputs"]:
        norm = normalization(of_batch)
        dense = partial(nn.Dense, kernel_init=first_weights(self.initializer))
        for width in self.hidden:
            # Normalization takes a bias away, and Adam makes steps of what is rounded.
            x = dense(width, use_bias=not self.batch_norm)(x)
            if self.batch_norm:
                x = norm()(x)
            x = nn.relu(x)
        return outputs(x, self.features, self.normalized, dense=dense, norm=norm)
