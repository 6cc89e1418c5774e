"""Convolutional networks: what a layer computes, sizes, and each variant with them."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from aae_jax.architecture import make_networks
from aae_jax.config import Config
from aae_jax.convolutional import Convolution, Transposed, map_shapes
from aae_jax.errors import UserError
from aae_jax.networks import STATISTICS
from aae_jax.priors import make_prior
from aae_jax.training import init, make_step

KEY = jax.random.key(3)
SUBSETS = ("encoder", "decoder", "discriminator")
SIDES = [(8, 8), (9, 12), (28, 28), (7, 15)]


def networks_of(config, image_shape=(8, 8, 1)):
    return make_networks(config, make_prior(config), image_shape)


@pytest.mark.parametrize("sides", SIDES)
def test_a_convolution_is_flax_s_own(sides):
    """With as many zeros around as `SAME` puts there."""
    x = jax.random.normal(KEY, (2, *sides, 3))
    ours = Convolution(5, nn.initializers.lecun_normal())
    params = jax.tree.map(lambda leaf: leaf + 0.1, ours.init(KEY, x))
    theirs = nn.Conv(5, kernel_size=(4, 4), strides=(2, 2), padding="SAME")
    np.testing.assert_allclose(
        ours.apply(params, x), theirs.apply(params, x), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("sides", SIDES)
def test_a_transposed_convolution_is_the_adjoint(sides):
    """<A x, y> = <x, A' y> for all x, thus <A x, y>'s gradient in x is A' y."""
    x = jax.random.normal(KEY, (2, *sides, 3))
    kernel = jax.random.normal(jax.random.key(4), (4, 4, 3, 5))
    down = Convolution(5, nn.initializers.zeros, use_bias=False)
    y, adjoint = jax.vjp(lambda x: down.apply({"params": {"kernel": kernel}}, x), x)
    up = Transposed(*sides, 3, nn.initializers.zeros)
    params = {"kernel": kernel.swapaxes(2, 3), "bias": jnp.arange(3.0)}
    np.testing.assert_allclose(
        up.apply({"params": params}, y),
        adjoint(y)[0] + jnp.arange(3.0)[None, None, None],
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize(
    ("image_shape", "expected"),
    [
        ((8, 8, 1), [(8, 8, 1), (4, 4, 16)]),
        ((8, 100, 3), [(8, 100, 3), (4, 50, 16)]),
        ((29, 31, 1), [(29, 31, 1), (15, 16, 16), (8, 8, 32), (4, 4, 64)]),
        ((28, 28, 1), [(28, 28, 1), (14, 14, 16), (7, 7, 32)]),
    ],
)
def test_maps_halve_until_a_side_is_7_or_less(image_shape, expected):
    assert list(map_shapes(image_shape)) == expected


def test_channels_double_up_to_256():
    channels = [shape[2] for shape in map_shapes((300, 300, 3))]
    assert channels == [3, 16, 32, 64, 128, 256, 256]


@pytest.mark.parametrize("image_shape", [(8, 8, 1), (9, 33, 3), (128, 128, 3)])
@pytest.mark.parametrize("kind", ["deterministic", "gaussian", "universal"])
def test_images_of_any_size_get_codes_and_come_back(image_shape, kind):
    networks = networks_of(Config(network="conv", z_dim=5, encoder=kind), image_shape)

    def everything():
        params = networks.init(KEY, SUBSETS)
        z = networks.encode(params, jnp.zeros((6, *image_shape))).z
        return z, networks.decode(params, z), networks.discriminate(params, z)

    z, x_hat, logits = jax.eval_shape(everything)
    assert (z.shape, x_hat.shape, logits.shape) == ((6, 5), (6, *image_shape), (6,))


def test_images_without_a_convolution_are_refused():
    with pytest.raises(
        UserError, match=r"from 8 x 8 on, and these are 7 x 20; .* 8 20"
    ):
        networks_of(Config(network="conv"), (7, 20, 1))
    networks_of(Config(network="conv"), (8, 20, 1))


def test_a_decoder_for_28_pixels_is_small():
    """So that a page can run it in a frame: at most 12 million multiplications."""
    networks = networks_of(Config(network="conv", z_dim=16), (28, 28, 1))
    params = jax.eval_shape(lambda: networks.init(KEY, ["decoder"]))["decoder"]
    products = math.prod(params["Dense_0"]["kernel"].shape)
    for index, (rows, columns, _) in enumerate(map_shapes((28, 28, 1))[:0:-1]):
        kernel = params[f"Transposed_{index}"]["kernel"].shape
        products += rows * columns * math.prod(kernel)
    assert products <= 12e6


def test_first_units_vary_as_much_as_those_that_they_read(tiny_config):
    """The fan-in of each unit, four of a transposed kernel's entries a pixel."""
    config = replace(tiny_config, network="conv", initializer="lecun", z_dim=16)
    params = networks_of(config, (28, 28, 1)).init(KEY, SUBSETS)
    fan_in = {"Convolution_0": 16, "Convolution_1": 16 * 16}
    for name, inputs in fan_in.items():
        kernel = params["encoder"][name]["kernel"]
        assert kernel.std() == pytest.approx(inputs**-0.5, rel=0.1)
    for name, inputs in {"Transposed_0": 4 * 32, "Transposed_1": 4 * 16}.items():
        kernel = params["decoder"][name]["kernel"]
        assert kernel.std() == pytest.approx(inputs**-0.5, rel=0.1)


def test_spread_puts_the_decoder_s_first_kinks_where_the_prior_is(tiny_config):
    config = replace(tiny_config, network="conv", initializer="spread")
    networks, prior = networks_of(config, (28, 28, 1)), make_prior(config)
    first = networks.init(KEY, SUBSETS)["decoder"]["Dense_0"]
    scale = np.sqrt(((prior.std[:, None] * first["kernel"]) ** 2).sum(axis=0))
    distance = (prior.mean @ first["kernel"] + first["bias"]) / scale
    assert len(distance) == 7 * 7 * 32
    assert distance.mean() == pytest.approx(0, abs=0.1)
    assert distance.std() == pytest.approx(1, abs=0.1)


def test_a_universal_encoder_reads_noise_beside_the_pixels(tiny_config, tiny_batch):
    networks = networks_of(replace(tiny_config, network="conv", encoder="universal"))
    params = networks.init(KEY, SUBSETS)
    centre, one, other = (
        networks.encode(params, tiny_batch.x, key).z
        for key in (None, jax.random.key(1), jax.random.key(2))
    )
    assert not jnp.isclose(one, other).any()
    params["encoder"]["noise"]["kernel"] *= 0
    np.testing.assert_allclose(
        networks.encode(params, tiny_batch.x, KEY).z, centre, rtol=1e-5, atol=1e-5
    )


def test_given_statistics_make_an_image_s_code_its_own(tiny_config, tiny_batch):
    networks = networks_of(replace(tiny_config, network="conv", batch_norm=True))
    params = networks.init(KEY, SUBSETS)
    x = jnp.tile(tiny_batch.x, (50, 1, 1, 1))
    seen = networks.statistics(params, x, KEY)
    units = seen[STATISTICS]["BatchNorm_0"]
    assert units["mean"].shape == units["var"].shape == (16,)
    together = networks.encode(params | seen, x).z
    of_batch = networks.encode(params, x).z
    np.testing.assert_allclose(together, of_batch, rtol=1e-2, atol=1e-2)
    alone = networks.encode(params | seen, x[3:4]).z
    np.testing.assert_allclose(alone, together[3:4], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("aae-joint", {"encoder": "gaussian"}),
        ("supervised", {"encoder": "universal"}),
        ("label-prior", {}),
        ("clustering", {"batch_norm": True, "aggregated_categories": False}),
        ("dim-reduction", {}),
    ],
)
def test_variants_take_steps_with_convolutions(
    model, changes, tiny_config_of, tiny_batch
):
    config = replace(tiny_config_of(model), network="conv", **changes)
    state = init(config, KEY, image_shape=(8, 8, 1))
    after, info = jax.jit(make_step(config))(state, tiny_batch)
    assert all(jnp.isfinite(loss) for loss in info.losses.values())
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), after.params, state.params)
    layers = [moved[subset].items() for subset in ("encoder", "decoder")]
    assert all(
        layer["kernel"] for each in layers for _, layer in each if "kernel" in layer
    )
