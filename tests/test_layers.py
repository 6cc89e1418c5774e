"""Plain layers compute what the networks compute."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from aae_jax.layers import (
    Convolution,
    Dense,
    Transposed,
    apply_layers,
    plain_networks,
)
from aae_jax.phases import make_model
from aae_jax.training import init

SHAPE = (8, 8, 1)


def trained_like(config, shape=SHAPE):
    """A model, and weights and statistics as training would move them from 0 and 1."""
    state = init(config, jax.random.key(0), image_shape=shape)
    leaves, tree = jax.tree.flatten(state.weights)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    moved = [
        abs(leaf + 0.3 * jax.random.normal(key, leaf.shape)) if leaf.ndim == 1 else leaf
        for leaf, key in zip(leaves, keys, strict=True)
    ]
    return make_model(config, image_shape=shape), jax.tree.unflatten(tree, moved)


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("aae", {}),
        ("aae", {"network": "conv"}),
        ("aae", {"network": "conv", "encoder": "universal"}),
        ("supervised", {"network": "conv", "batch_norm": True}),
        (
            "clustering",
            {"network": "conv", "batch_norm": True, "aggregated_categories": False},
        ),
        ("aae", {"encoder": "gaussian", "z_dim": 3}),
        ("aae", {"encoder": "universal"}),
        ("aae", {"hidden": (16,)}),
        ("supervised", {}),
        ("semi-supervised", {"encoder": "gaussian"}),
        ("clustering", {"batch_norm": True, "aggregated_categories": False}),
        ("clustering", {"batch_norm": True, "aggregated_categories": True}),
        ("dim-reduction", {}),
    ],
)
def test_the_layers_of_a_run_are_its_networks(tiny_config_of, model, changes):
    config = replace(tiny_config_of(model), **changes)
    model, params = trained_like(config)
    networks = model.networks
    plain = plain_networks(networks, params)
    x = jax.random.uniform(jax.random.key(2), (7, *SHAPE))

    code = networks.encode(params, x)
    outputs = apply_layers(plain.encoder, np.asarray(x).reshape(7, -1))
    logits, z = outputs[:, : plain.n_logits], outputs[:, plain.n_logits :]
    np.testing.assert_allclose(z, code.z, atol=1e-5)
    if networks.wiring.infers_y:
        np.testing.assert_allclose(logits, code.y_logits, atol=1e-5)
    if networks.wiring.adds_heads:
        represented = z + np.asarray(code.y) @ plain.heads
        np.testing.assert_allclose(
            represented, networks.represent(params, code), atol=1e-5
        )

    y = jax.nn.one_hot(np.arange(7) % 4, networks.n_categories)
    read = [code.z, y] if networks.wiring.decodes_y else [code.z]
    x_hat = networks.decode(params, *read).reshape(7, -1)
    decoded = apply_layers(plain.decoder, np.concatenate(read, axis=1))
    np.testing.assert_allclose(decoded, x_hat, atol=1e-5)


@pytest.mark.parametrize("shape", [(8, 9, 3), (11, 8, 1), (17, 30, 3)])
def test_convolutions_are_those_of_the_networks_whatever_the_sides(shape, tiny_config):
    config = replace(tiny_config, network="conv", z_dim=3)
    model, params = trained_like(config, shape)
    plain = plain_networks(model.networks, params)
    x = jax.random.uniform(jax.random.key(2), (4, *shape))
    z = model.networks.encode(params, x).z
    encoded = apply_layers(plain.encoder, np.asarray(x).reshape(4, -1))
    np.testing.assert_allclose(encoded, z, rtol=1e-5, atol=1e-5)
    x_hat = model.networks.decode(params, z).reshape(4, -1)
    np.testing.assert_allclose(
        apply_layers(plain.decoder, np.asarray(z)), x_hat, atol=1e-5
    )

    maps = [each for each in plain.encoder if isinstance(each, Convolution)]
    back = [each for each in plain.decoder if isinstance(each, Transposed)]
    assert maps[0].in_shape == back[-1].out_shape == shape
    for down, up in zip(maps, reversed(back), strict=True):
        assert (down.in_shape, down.out_shape) == (up.out_shape, up.in_shape)
        assert down.padding == up.cropping


def test_a_unit_reads_the_pixels_that_its_formula_names():
    """And its adjoint writes those."""
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(4, 4, 2, 3)).astype(np.float32)
    x = rng.normal(size=(1, 5, 4, 2)).astype(np.float32)
    nothing = np.zeros(3, np.float32)
    around = ((1, 2), (1, 1))
    layer = Convolution(kernel, nothing, (5, 4, 2), (3, 2, 3), around)
    y = apply_layers([layer], x.reshape(1, -1)).reshape(3, 2, 3)
    by_hand = sum(
        x[0, 2 * 2 + a - 1, 2 * 1 + b - 1] @ kernel[a, b]
        for a in range(2)  # the other rows and columns are beyond the sides
        for b in range(3)
    )
    np.testing.assert_allclose(y[2, 1], by_hand, rtol=1e-5)

    up = Transposed(
        kernel.swapaxes(2, 3), np.zeros(2, np.float32), (3, 2, 3), (5, 4, 2), around
    )
    unit = np.zeros((3, 2, 3), np.float32)
    unit[1, 0, 2] = 1
    written = apply_layers([up], unit.reshape(1, -1)).reshape(5, 4, 2)
    expected = np.zeros_like(written)
    expected[1:5, 0:3] = kernel[:, 1:, :, 2]
    np.testing.assert_array_equal(written, expected)


@pytest.mark.parametrize(
    "layer",
    [
        Dense(np.ones((8, 2), np.float32), np.zeros(2, np.float32)),
        Convolution(
            np.ones((4, 4, 2, 3), np.float32),
            np.zeros(3, np.float32),
            (2, 2, 2),
            (1, 1, 3),
            ((1, 1), (1, 1)),
        ),
    ],
)
def test_a_layer_keeps_float32(layer):
    assert apply_layers([layer], np.ones((1, 8), np.float32)).dtype == np.float32
