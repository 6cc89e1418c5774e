"""Losses against closed forms: values, gradients, extremes."""

import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aae_jax import losses

pytestmark = pytest.mark.usefixtures("strict_dtypes")

LOGITS = jnp.array([-3.0, -0.5, 0.0, 0.7, 4.0])


def unchecked(function):
    """As a user has it, without the annotations' check of the tests."""
    return inspect.unwrap(function)


def assert_slopes_match(loss, at, step=1e-2):
    """The gradient of `loss` agrees with central differences in every direction."""
    gradient = np.asarray(jax.grad(loss)(at)).ravel()
    for index, slope in enumerate(gradient):
        nudge = np.zeros(at.size, np.float32)
        nudge[index] = step
        nudge = jnp.asarray(nudge.reshape(at.shape))
        rise = float(loss(at + nudge)) - float(loss(at - nudge))
        assert rise / (2 * step) == pytest.approx(slope, abs=2e-4)


def test_equilibria_are_two_ln_2_and_ln_2():
    zeros = jnp.zeros(5)
    both = losses.discriminator_loss(zeros, zeros)
    assert both == pytest.approx(2 * math.log(2), rel=1e-6)
    assert both == pytest.approx(losses.DISCRIMINATOR_EQUILIBRIUM, rel=1e-6)
    fooling = losses.generator_loss(zeros)
    assert fooling == pytest.approx(math.log(2), rel=1e-6)
    assert fooling == pytest.approx(losses.GENERATOR_EQUILIBRIUM, rel=1e-6)


@pytest.mark.parametrize("shift", [-2.0, 0.5, 3.0])
def test_adversarial_losses_of_equal_logits(shift):
    logits = jnp.full(5, shift)
    as_real, as_fake = math.log1p(math.exp(-shift)), math.log1p(math.exp(shift))
    assert losses.generator_loss(logits) == pytest.approx(as_real, rel=1e-5)
    assert losses.discriminator_loss(logits, logits) == pytest.approx(
        as_real + as_fake, rel=1e-5
    )
    # Right about everything: twice what is left of doubt.
    assert losses.discriminator_loss(logits, -logits) == pytest.approx(
        2 * as_real, rel=1e-5
    )


def test_adversarial_losses_are_means_over_the_batch():
    real, fake = LOGITS, LOGITS[::-1] + 1
    both = np.mean(np.logaddexp(0, -real)) + np.mean(np.logaddexp(0, fake))
    assert losses.discriminator_loss(real, fake) == pytest.approx(both, rel=1e-5)
    fooling = np.mean(np.logaddexp(0, -np.asarray(fake)))
    assert losses.generator_loss(fake) == pytest.approx(fooling, rel=1e-5)


def test_gradients_of_the_adversarial_losses_are_sigmoids():
    real, fake = LOGITS, LOGITS[::-1] + 1
    to_real, to_fake = jax.grad(losses.discriminator_loss, argnums=(0, 1))(real, fake)
    sigmoid = jax.nn.sigmoid
    np.testing.assert_allclose(to_real, (sigmoid(real) - 1) / 5, atol=1e-6)
    np.testing.assert_allclose(to_fake, sigmoid(fake) / 5, atol=1e-6)
    to_fake = jax.grad(losses.generator_loss)(fake)
    np.testing.assert_allclose(to_fake, (sigmoid(fake) - 1) / 5, atol=1e-6)


def test_gradients_agree_with_finite_differences():
    assert_slopes_match(losses.generator_loss, LOGITS)
    assert_slopes_match(lambda real: losses.discriminator_loss(real, LOGITS), LOGITS)
    assert_slopes_match(lambda fake: losses.discriminator_loss(LOGITS, fake), LOGITS)
    x = jnp.asarray(np.random.default_rng(0).random((2, 3, 2, 1), np.float32))
    assert_slopes_match(lambda x_hat: losses.reconstruction_loss(x, x_hat), 1 - x)


@pytest.mark.parametrize("logit", [-1e4, -105.0, 105.0, 1e4])
def test_extreme_logits_stay_finite(logit):
    logits = jnp.array([logit, -logit, 0.0, 0.0, 0.0])
    for loss in (
        losses.generator_loss,
        lambda real: losses.discriminator_loss(real, LOGITS),
        lambda fake: losses.discriminator_loss(LOGITS, fake),
    ):
        value, gradient = jax.value_and_grad(loss)(logits)
        assert jnp.isfinite(value)
        assert jnp.isfinite(gradient).all()
    # A hopeless logit costs itself, and pulls with its whole share of the batch.
    value, gradient = jax.value_and_grad(losses.generator_loss)(logits)
    assert value == pytest.approx((abs(logit) + 3 * math.log(2)) / 5, rel=1e-6)
    np.testing.assert_allclose(jnp.sort(gradient), [-0.2, *3 * [-0.1], 0.0], atol=1e-6)


def test_reconstruction_loss_is_the_mean_over_pixels_and_batch():
    x = jnp.zeros((2, 3, 2, 1))
    assert losses.reconstruction_loss(x, x) == 0
    assert losses.reconstruction_loss(x, x + 0.5) == pytest.approx(0.25)
    one_pixel = x.at[1, 2, 0, 0].set(1.0)
    assert losses.reconstruction_loss(x, one_pixel) == pytest.approx(1 / 12)


def test_reconstruction_gradient_is_twice_the_error_over_the_count():
    x, x_hat = np.random.default_rng(0).random((2, 2, 3, 2, 1), np.float32)
    x, x_hat = jnp.asarray(x), jnp.asarray(x_hat)
    gradient = jax.grad(losses.reconstruction_loss, argnums=1)(x, x_hat)
    np.testing.assert_allclose(gradient, 2 * (x_hat - x) / x.size, atol=1e-7)


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"x has shape \(2, 4\) and x_hat \(2, 1\)"):
        unchecked(losses.reconstruction_loss)(jnp.zeros((2, 4)), jnp.zeros((2, 1)))
    with pytest.raises(ValueError, match=r"real_logits .*\(3,\) .*fake_logits \(1,\)"):
        unchecked(losses.discriminator_loss)(jnp.zeros(3), jnp.zeros(1))


def test_gradient_penalty_of_a_linear_function_is_its_squared_slope():
    slope = jnp.array([3.0, -4.0, 12.0])
    z = jnp.asarray(np.random.default_rng(0).random((5, 3), np.float32))
    penalty = losses.gradient_penalty(lambda z: z @ slope + 7, z)
    assert penalty == pytest.approx(169.0, rel=1e-5)
    # d|w|^2 / dw = 2 w, so that an optimizer can lower it.
    pull = jax.grad(lambda w: losses.gradient_penalty(lambda z: z @ w, z))(slope)
    np.testing.assert_allclose(pull, 2 * slope, rtol=1e-5)


def test_gradient_penalty_is_a_mean_over_places():
    z = jnp.array([[1.0, 0.0], [0.0, 2.0], [3.0, 4.0]])
    # d(z) = |z|^2 / 2 has the slope z: mean of 1, 4, 25.
    penalty = losses.gradient_penalty(lambda z: (z * z).sum(axis=1) / 2, z)
    assert penalty == pytest.approx(10.0)


def test_classification_loss_is_minus_the_log_of_the_label_s_share():
    shares = np.array([[0.7, 0.2, 0.1], [0.5, 0.25, 0.25]])
    logits = jnp.asarray(np.log(shares) + np.array([[3.0], [-2.0]]), "float32")
    loss = losses.classification_loss(logits, jnp.array([1, 0]))
    assert loss == pytest.approx(-np.log([0.2, 0.5]).mean(), rel=1e-5)
    guess = losses.classification_loss(jnp.zeros((4, 10)), jnp.arange(4))
    assert guess == pytest.approx(math.log(10), rel=1e-6)
    far = jnp.array([[1e4, -1e4, 0.0]])
    assert losses.classification_loss(far, jnp.array([1])) == pytest.approx(2e4)


def test_cluster_heads_cost_what_they_lack_in_distance():
    heads = jnp.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    # Pairs at 5, 1 and the root of 18.
    assert losses.cluster_head_loss(heads, 2.0) == pytest.approx(1.0)
    expected = 1 + 5 + (6 - math.sqrt(18))
    assert losses.cluster_head_loss(heads, 6.0) == pytest.approx(expected, rel=1e-6)
    assert losses.cluster_head_loss(heads, 0.5) == 0


def test_cluster_heads_are_pushed_apart_and_no_further():
    heads = jnp.array([[0.0, 0.0], [1.0, 0.0]])
    slopes = jax.grad(lambda heads: losses.cluster_head_loss(heads, 3.0))(heads)
    np.testing.assert_allclose(slopes, [[1, 0], [-1, 0]], atol=1e-6)
    assert not jax.grad(lambda heads: losses.cluster_head_loss(heads, 0.5))(heads).any()
    same = jax.grad(lambda heads: losses.cluster_head_loss(heads, 3.0))(heads * 0)
    assert jnp.isfinite(same).all()


def test_aggregated_categories_cost_the_mean_over_all_draws():
    logits = jnp.array([1.5, -0.5])
    shares = jnp.array([0.25, 0.75])
    # Four draws in those shares, against four in equal ones.
    drawn, uniform = logits[jnp.array([0, 1, 1, 1])], logits[jnp.array([0, 1, 0, 1])]
    np.testing.assert_allclose(
        losses.aggregated_discriminator_loss(logits, shares),
        losses.discriminator_loss(uniform, drawn),
        rtol=1e-6,
    )


def test_the_best_logits_of_aggregated_categories_tell_how_rare_each_is():
    shares = jnp.array([0.7, 0.2, 0.1])
    best = -jnp.log(3 * shares)
    slope = jax.grad(losses.aggregated_discriminator_loss)(best, shares)
    np.testing.assert_allclose(slope, 0, atol=1e-6)
    # There the generator has Kullback and Leibler's divergence from uniform shares, and
    # gains by drawing the rarest more often.
    divergence = (shares * jnp.log(3 * shares)).sum()
    loss = losses.aggregated_generator_loss(best, shares)
    np.testing.assert_allclose(loss, divergence, rtol=1e-6)
    pull = jax.grad(losses.aggregated_generator_loss, argnums=1)(best, shares)
    assert pull[2] < pull[1] < pull[0]


def test_entropy_is_that_of_each_image_alone():
    certain, undecided = [50.0, 0.0, 0.0, 0.0], [3.0, 3.0, 3.0, 3.0]
    entropy = losses.entropy_loss(jnp.array([certain, undecided]))
    assert entropy == pytest.approx(math.log(4) / 2, rel=1e-5)
    assert losses.entropy_loss(jnp.array([certain])) == pytest.approx(0, abs=1e-6)
