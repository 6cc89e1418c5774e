"""The losses of adversarial training, as plain mathematics.

Each returns a scalar; its docstring says in what unit, and over what it is a mean or a
sum.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

DISCRIMINATOR_EQUILIBRIUM = 1.3862943611198906
"""2 ln 2: `discriminator_loss` where codes and prior samples cannot be told apart."""
GENERATOR_EQUILIBRIUM = 0.6931471805599453
"""ln 2: `generator_loss` there."""


def reconstruction_loss(
    x: Float[Array, "batch *image"], x_hat: Float[Array, "batch *image"]
) -> Float[Array, ""]:
    """Mean squared error of the reconstructed images.

    L = E[(x - x_hat)^2]

    Args:
      x: `[batch, height, width, channels]`, images in [0, 1].
      x_hat: the same shape, their reconstructions.

    Returns:
      Scalar, squared pixel values, mean over pixels and batch.

    Raises:
      ValueError: the shapes differ.

    Source: the guide's part 2, reconstruction phase. The paper (Makhzani et al. 2015)
    takes half the sum over pixels.
    """
    _check_same_shape(x=x, x_hat=x_hat)
    return optax.squared_error(x_hat, x).mean()


def discriminator_loss(
    real_logits: Float[Array, " batch"], fake_logits: Float[Array, " batch"]
) -> Float[Array, ""]:
    """Cross-entropy of telling prior samples (1) from codes (0).

    L = -E[log s(d(z_prior))] - E[log(1 - s(d(z)))],  s the logistic function.

    Args:
      real_logits: `[batch]`, the discriminator on samples of the prior.
      fake_logits: `[batch]`, the discriminator on codes.

    Returns:
      Scalar, in nats, the sum of both terms' batch means. 2 ln 2 = 1.386 where the
      discriminator cannot tell them apart.

    Raises:
      ValueError: the two batches differ in shape.

    Source: Makhzani et al. 2015, section 2; the guide's part 2, regularization phase.
    """
    _check_same_shape(real_logits=real_logits, fake_logits=fake_logits)
    entropy = optax.sigmoid_binary_cross_entropy
    real = entropy(real_logits, jnp.ones_like(real_logits)).mean()
    fake = entropy(fake_logits, jnp.zeros_like(fake_logits)).mean()
    return real + fake


def generator_loss(fake_logits: Float[Array, " batch"]) -> Float[Array, ""]:
    """Cross-entropy of codes that should pass for prior samples.

    L = -E[log s(d(z))],  s the logistic function.

    Args:
      fake_logits: `[batch]`, the discriminator on codes.

    Returns:
      Scalar, in nats, mean over the batch. ln 2 = 0.693 where the discriminator
      cannot tell codes from samples.

    Source: Makhzani et al. 2015, section 2 (the encoder as generator), in the form
    that does not saturate: Goodfellow et al. 2014, section 3.
    """
    ones = jnp.ones_like(fake_logits)
    return optax.sigmoid_binary_cross_entropy(fake_logits, ones).mean()


def aggregated_discriminator_loss(
    logits: Float[Array, " categories"], shares: Float[Array, " categories"]
) -> Float[Array, ""]:
    """Cross-entropy of telling uniform categories (1) from the aggregated q(y) (0).

    L = -mean_k log s(d_k) - sum_k q_k log(1 - s(d_k)),  s the logistic function.

    The mean of `discriminator_loss` over all draws of a category for each image: it can
    only be one of them, so what is to be told apart is how often each comes.

    Args:
      logits: `[categories]`, the discriminator on each category for certain.
      shares: `[categories]`, q_k, the mean of q(y=k|x) over the batch, the aggregated
        posterior; they add up to 1.

    Returns:
      Scalar, in nats: 2 ln 2 = 1.386 at the best logits, which are 0, where all
      categories come equally often.

    Raises:
      ValueError: the shapes differ.

    Source: Makhzani et al. 2015, section 2, for the aggregated posterior.
    """
    _check_same_shape(logits=logits, shares=shares)
    softplus = jax.nn.softplus
    return softplus(-logits).mean() + (shares * softplus(logits)).sum()


def aggregated_generator_loss(
    logits: Float[Array, " categories"], shares: Float[Array, " categories"]
) -> Float[Array, ""]:
    """Divergence of the aggregated q(y) from uniform, as the discriminator sees it.

    L = -sum_k q_k d_k

    For n categories the best logits of `aggregated_discriminator_loss` are
    d_k = -log(n q_k), and L is then KL(q, uniform). Its pull on a category that nobody
    has any more has no bound, unlike that of `generator_loss`.

    Args:
      logits, shares: see `aggregated_discriminator_loss`.

    Returns:
      Scalar, in nats: KL(q, uniform) at the best logits, so 0 where all categories
      come equally often; an estimate on either side of it at others.

    Raises:
      ValueError: the shapes differ.

    Source: this form of the generator loss, Sonderby et al. 2017, "Amortised MAP
    inference for image super-resolution", section 3.2.
    """
    _check_same_shape(logits=logits, shares=shares)
    return -(shares * logits).sum()


def gradient_penalty(
    discriminate: Callable[[Float[Array, "batch z_dim"]], Float[Array, " batch"]],
    z: Float[Array, "batch z_dim"],
) -> Float[Array, ""]:
    """Mean squared slope of the discriminator at its inputs.

    R1 where these are samples of the prior, R2 where they are codes.

    L = E[|grad_z d(z)|^2]

    Args:
      discriminate: the discriminator, rows independent of each other.
      z: `[batch, z_dim]`, where the slope is taken.

    Returns:
      Scalar, squared logits per squared unit of z, mean over the batch.

    Source: Mescheder et al. 2018, "Which training methods for GANs do actually
    converge?", equations 9 and 10 without their factor of one half.
    """
    slopes = jax.grad(lambda points: discriminate(points).sum())(z)
    return jnp.square(slopes).sum(axis=-1).mean()


def classification_loss(
    logits: Float[Array, "batch categories"], y: Int[Array, " batch"]
) -> Float[Array, ""]:
    """Cross-entropy of the labels of images under the classes inferred from them.

    L = -E[log q(y|x)],  q the softmax of the logits.

    Args:
      logits: `[batch, categories]`.
      y: `[batch]`, labels from 0 to categories - 1.

    Returns:
      Scalar, in nats, mean over the batch. log(categories) for a guess.

    Source: Makhzani et al. 2015, section 5.
    """
    entropy = optax.softmax_cross_entropy_with_integer_labels
    return entropy(logits, y).mean()


def entropy_loss(logits: Float[Array, "batch categories"]) -> Float[Array, ""]:
    """How undecided the categories of images are: E[H(q(y|x))].

    Args:
      logits: `[batch, categories]`.

    Returns:
      Scalar, in nats, mean over the batch; 0 where each image has one category for
      certain.

    Source: Grandvalet and Bengio 2004, "Semi-supervised learning by entropy
    minimization"; beside the consistency term in Miyato et al. 2018, section 4.
    """
    log_q = jax.nn.log_softmax(logits)
    return -(jnp.exp(log_q) * log_q).sum(axis=-1).mean()


def cluster_head_loss(
    heads: Float[Array, "categories z_dim"], distance: float
) -> Float[Array, ""]:
    """Cost of cluster heads that are nearer to each other than they should be.

    L = sum over pairs of max(0, distance - |head_i - head_j|)

    Args:
      heads: `[categories, z_dim]`, where each cluster is centred.
      distance: from which on a pair costs nothing, in the units of `heads`.

    Returns:
      Scalar, in the units of `heads`, sum over pairs.

    Source: Makhzani et al. 2015, section 7: a linear penalty below a threshold.
    """
    first, second = jnp.triu_indices(len(heads), k=1)
    squares = jnp.square(heads[first] - heads[second]).sum(axis=-1)
    # The slope of a square root is infinite at 0.
    return jax.nn.relu(distance - jnp.sqrt(squares + 1e-12)).sum()


def _check_same_shape(**arrays: Array) -> None:
    (first, a), (second, b) = arrays.items()
    if a.shape != b.shape:
        raise ValueError(
            f"{first} has shape {a.shape} and {second} {b.shape}; give equal shapes"
        )
