"""Virtual adversarial training: categories that small changes of images leave alone."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray


def consistency_loss(
    infer: Callable[[Float[Array, "batch *image"]], Float[Array, "batch categories"]],
    x: Float[Array, "batch *image"],
    key: PRNGKeyArray,
    *,
    radius: float,
    probe: float,
) -> Float[Array, ""]:
    """How much the categories of images change under the worst small change.

    L = E[KL(q(y|x), q(y|x + r))],  r of length `radius` in the direction in which the
    divergence grows fastest where the image is changed by `probe` in a random one.

    Args:
      infer: gives the logits of categories.
      x: `[batch, height, width, channels]`.
      key: for the random direction.
      radius: Euclidean length of r.
      probe: Euclidean length of the random change. At 0 the direction is one step of
        the power method towards that of the steepest curvature at the image; a long
        probe finds what changes categories over a wider distance.

    Returns:
      Scalar, in nats, mean over the batch. No gradient goes through q(y|x) and r.

    Source: virtual adversarial training, Miyato et al. 2018, section 3, where the probe
    is short; long ones, of 10, are in the program of Hu et al. 2017, "Learning discrete
    representations via information maximizing self-augmented training". It asks for no
    label and knows nothing of images but their values.
    """
    before = jax.lax.stop_gradient(jax.nn.log_softmax(infer(x)))

    def change(r: Array) -> Array:
        return optax.losses.kl_divergence_with_log_targets(
            jax.nn.log_softmax(infer(x + r)), before
        ).mean()

    random = _unit(jax.random.normal(key, x.shape, x.dtype))
    steepest = jax.grad(change)(probe * random) if probe else _bend(infer, x, random)
    worst = jax.lax.stop_gradient(_unit(steepest))
    return change(radius * worst)


def _bend(infer: Callable[[Array], Array], x: Array, r: Array) -> Array:
    """The second derivative of the images' divergence, summed, at r = 0, times r.

    Exact: a difference over a short probe would be mostly rounding in float32.
    """
    logits, push = jax.linearize(infer, x)
    q, change = jax.nn.softmax(logits), push(r)
    # Against the surest category's, or that of a sure image is lost in rounding.
    change -= jnp.take_along_axis(change, q.argmax(-1, keepdims=True), axis=-1)
    pull = jax.linear_transpose(push, x)
    (bend,) = pull(q * (change - (q * change).sum(axis=-1, keepdims=True)))
    return bend


def _unit(r: Float[Array, "batch *image"]) -> Float[Array, "batch *image"]:
    """Rows of length 1; a row of zeros stays one."""
    flat = r.reshape(r.shape[0], -1)
    # By the largest first: the squares of a sure image's gradient would be 0.
    flat = flat / jnp.maximum(jnp.abs(flat).max(axis=1, keepdims=True), 1e-37)
    length = jnp.sqrt(jnp.square(flat).sum(axis=1, keepdims=True))
    return (flat / jnp.maximum(length, 1e-30)).reshape(r.shape)
