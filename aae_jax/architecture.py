"""Which networks a config has, how large they are, and how their weights begin."""

import math

from aae_jax.config import Config
from aae_jax.config_checks import check_convolves
from aae_jax.convolutional import ConvolutionalDecoder, ConvolutionalEncoder
from aae_jax.mlp import MLP, Heads, Module, initializers
from aae_jax.networks import Networks
from aae_jax.posteriors import POSTERIORS
from aae_jax.priors import Prior


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

    Raises:
      UserError: the variant has categories and the config does not say how many; or
        the images are too small for `network="conv"`.
    """
    if config.network == "conv":
        check_convolves(*image_shape[:2])
    hyper = config.hyperparameters
    sizes = _sizes(config, math.prod(image_shape))
    shift = prior.mean[None] if hyper.standardize_codes else 0.0
    scale = prior.std[None] if hyper.standardize_codes else 1.0
    kinks = {
        "decoder": prior.sample,
        "discriminator": lambda key, n: (prior.sample(key, n) - shift) / scale,
    }
    return Networks(
        modules={
            name: _module(config, name, size[1], image_shape)
            for name, size in sizes.items()
        },
        inputs={name: size[0] for name, size in sizes.items()},
        image_shape=image_shape,
        n_categories=_n_categories(config),
        wiring=config.wiring,
        posterior=POSTERIORS[config.encoder],
        shift=shift,
        scale=scale,
        head_unit=prior.std[None],
        kinks=kinks if hyper.initializer == "spread" else {},
    )


def _n_categories(config: Config) -> int:
    return config.n_categories if config.wiring.has_categories else 0


def _sizes(config: Config, n_pixels: int) -> dict[str, tuple[int, int]]:
    """Numbers that each network reads, and gives."""
    wiring, posterior, z_dim = config.wiring, POSTERIORS[config.encoder], config.z_dim
    n = _n_categories(config)
    return {
        "encoder": (
            n_pixels + posterior.noise_inputs,
            posterior.outputs * z_dim + wiring.infers_y * n,
        ),
        "decoder": (z_dim + wiring.decodes_y * n, n_pixels),
        "discriminator": (z_dim + wiring.discriminates_y * (n + 1), 1),
        "label_discriminator": (n, 1),
        "cluster_heads": (n, z_dim),
    }


def _module(
    config: Config, subset: str, features: int, image_shape: tuple[int, int, int]
) -> Module:
    hyper = config.hyperparameters
    if subset == "cluster_heads":
        # Spread over about as much as lets them be that far from each other.
        spread = hyper.head_distance / 2 if config.wiring.adds_heads else 1.0
        return Heads(features, kernel_init=initializers.normal(spread))
    batch_norm = hyper.batch_norm and subset == "encoder"
    # Without labels, or categories counted over the batch, nothing else keeps a cluster
    # from staying empty; crucial, says Makhzani et al. 2015, section 6.
    normalized = (
        batch_norm and config.finds_clusters and not hyper.aggregated_categories
    )
    n_normalized = config.n_categories if normalized else 0
    if config.network == "conv" and subset == "encoder":
        return ConvolutionalEncoder(
            image_shape, features, hyper.initializer, batch_norm, n_normalized
        )
    if config.network == "conv" and subset == "decoder":
        return ConvolutionalDecoder(image_shape, hyper.initializer)
    return MLP(config.hidden, features, hyper.initializer, batch_norm, n_normalized)
