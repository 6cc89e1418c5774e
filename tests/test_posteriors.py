"""The three kinds of encoder: what is random in each, and what is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aae_jax.architecture import make_networks
from aae_jax.config import Config
from aae_jax.config_checks import ENCODERS
from aae_jax.posteriors import POSTERIORS
from aae_jax.priors import make_prior

pytestmark = pytest.mark.usefixtures("strict_dtypes")

KEYS = jax.random.split(jax.random.key(1), 2)
X = jax.random.uniform(jax.random.key(0), (5, 4, 4, 1))


def encoder_of(kind):
    config = Config(encoder=kind, hidden=(8,), initializer="lecun")
    networks = make_networks(config, make_prior(config), (4, 4, 1))
    return networks, networks.init(jax.random.key(2), ["encoder"])


def test_every_encoder_of_the_config_is_there():
    assert set(POSTERIORS) == set(ENCODERS)


@pytest.mark.parametrize("kind", ENCODERS)
def test_codes_are_random_with_a_key_alone(kind):
    networks, params = encoder_of(kind)
    centre = networks.encode(params, X).z
    assert centre.shape == (5, 2)
    np.testing.assert_array_equal(centre, networks.encode(params, X).z)
    first, other = (networks.encode(params, X, key).z for key in KEYS)
    np.testing.assert_array_equal(first, networks.encode(params, X, KEYS[0]).z)
    if kind == "deterministic":
        np.testing.assert_array_equal(first, centre)
        np.testing.assert_array_equal(other, centre)
    else:
        assert not np.isclose(first, other).any()
        assert not np.isclose(first, centre).any()


def test_gaussian_codes_have_the_mean_and_deviation_that_the_encoder_says():
    says = np.array([1, -2, np.log(4), np.log(0.25)], np.float32)
    outputs = jnp.asarray(np.tile(says, (50_000, 1)))
    z = POSTERIORS["gaussian"].draw(outputs, KEYS[0])
    assert z.mean(axis=0) == pytest.approx([1, -2], abs=0.05)
    assert z.std(axis=0) == pytest.approx([2, 0.5], rel=0.02)
    assert np.corrcoef(z.T)[0, 1] == pytest.approx(0, abs=0.02)
    np.testing.assert_array_equal(
        POSTERIORS["gaussian"].draw(outputs, None), outputs[:, :2]
    )


def test_gaussian_noise_lets_gradients_through_to_both_outputs():
    def loss(outputs):
        return (POSTERIORS["gaussian"].draw(outputs, KEYS[0]) ** 2).sum()

    assert jax.grad(loss)(jnp.ones((3, 4))).all()


def test_a_universal_encoder_reads_noise_beside_the_image():
    networks, params = encoder_of("universal")
    noise = POSTERIORS["universal"].noise_inputs
    assert params["encoder"]["Dense_0"]["kernel"].shape == (16 + noise, 8)
    x = jnp.concatenate([X.reshape(5, -1), jnp.zeros((5, noise))], axis=1)
    first, last = params["encoder"]["Dense_0"], params["encoder"]["Dense_1"]
    hidden = jax.nn.relu(x @ first["kernel"] + first["bias"][None])
    by_hand = hidden @ last["kernel"] + last["bias"][None]
    np.testing.assert_allclose(networks.encode(params, X).z, by_hand, rtol=1e-5)
