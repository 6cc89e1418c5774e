"""Plain layers compute what the networks compute."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from aae_jax.layers import Dense, apply_layers, plain_networks
from aae_jax.phases import make_model
from aae_jax.training import init

SHAPE = (8, 8, 1)


def trained_like(config):
    """A model, and weights and statistics as training would move them from 0 and 1."""
    state = init(config, jax.random.key(0), image_shape=SHAPE)
    leaves, tree = jax.tree.flatten(state.weights)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    moved = [
        abs(leaf + 0.3 * jax.random.normal(key, leaf.shape)) if leaf.ndim == 1 else leaf
        for leaf, key in zip(leaves, keys, strict=True)
    ]
    return make_model(config, image_shape=SHAPE), jax.tree.unflatten(tree, moved)


@pytest.mark.parametrize(
    ("model", "changes"),
    [
        ("aae", {}),
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


def test_a_layer_keeps_float32():
    layer = Dense(np.ones((3, 2), np.float32), np.zeros(2, np.float32))
    assert apply_layers([layer], np.ones((1, 3), np.float32)).dtype == np.float32
