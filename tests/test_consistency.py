"""The consistency term: which way images are moved, how far, and what it costs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aae_jax.consistency import consistency_loss

WEIGHTS = jnp.array([[0.6, 0.0], [0.8, 0.0], [0.0, 0.0]])
"""Two classes; the first one's logit grows along the unit vector (0.6, 0.8, 0)."""


@pytest.mark.parametrize("radius", [0.1, 0.7])
def test_consistency_of_a_linear_classifier_is_that_of_a_step_across(radius):
    x = jnp.array([[0.0, 0.0, 5.0], [1.0, 1.0, -3.0]])

    def share(logit):
        p = 1 / (1 + np.exp(-logit))
        return np.array([p, 1 - p])

    loss = consistency_loss(
        lambda x: x @ WEIGHTS, x, jax.random.key(0), radius=radius, probe=0.0
    )
    # Which of both ways is found depends on the random start.
    ways = [
        [
            float((share(at) * np.log(share(at) / share(at + way * radius))).sum())
            for way in (-1, 1)
        ]
        for at in (0.0, 1.4)
    ]
    candidates = [(a + b) / 2 for a in ways[0] for b in ways[1]]
    assert min(abs(float(loss) - each) for each in candidates) < 1e-4 * radius


@pytest.mark.parametrize("margin", [10, 20, 30, 35, 45])
def test_a_sure_image_is_moved_no_farther_than_others(margin):
    """Its gradient is so small that float32 has no number for the squares."""
    weights = jax.random.normal(jax.random.key(0), (784, 4)) / 28
    bias = jnp.array([[float(margin), 0, 0, 0]])
    asked = []

    def infer(x):
        asked.append(x)
        return x @ weights + bias

    x = jax.random.uniform(jax.random.key(1), (20, 784))
    consistency_loss(infer, x, jax.random.key(2), radius=2.0, probe=0.0)
    length = np.linalg.norm(np.asarray(asked[-1] - x), axis=1)
    assert length.max() <= 2.001


@pytest.mark.parametrize("margin", [0, 10, 20, 40, 60])
def test_even_a_sure_image_is_moved_towards_the_category_that_is_next(margin):
    weights = jax.random.normal(jax.random.key(0), (50, 3))
    bias = jnp.array([[margin, 0.0, -30.0]])
    asked = []

    def infer(x):
        asked.append(x)
        return (x @ weights) / 50 + bias

    x = jax.random.uniform(jax.random.key(1), (8, 50))
    consistency_loss(infer, x, jax.random.key(2), radius=1.0, probe=0.0)
    way = np.asarray(weights[:, 1] - weights[:, 0])
    cosines = np.asarray(asked[-1] - x) @ way / np.linalg.norm(way)
    np.testing.assert_allclose(abs(cosines), 1, atol=1e-3)


def test_a_longer_probe_sees_what_lies_farther_away():
    """Near x only the first pixel matters, beyond a distance of 1 only the second."""

    def infer(x):
        near = jnp.abs(x).max(axis=1, keepdims=True) < 1
        logit = jnp.where(near, 0.5 * x[:, :1], 5 * x[:, 1:])
        return jnp.concatenate([logit, -logit], axis=1)

    x = jnp.zeros((64, 2))
    for probe, pixel in ((0.0, 0), (0.1, 0), (4.0, 1)):
        asked = []

        def watched(x, asked=asked):
            asked.append(x)
            return infer(x)

        consistency_loss(watched, x, jax.random.key(0), radius=0.5, probe=probe)
        moved = np.abs(np.asarray(asked[-1]))
        np.testing.assert_allclose(moved[:, pixel], 0.5, atol=1e-3)


def test_consistency_costs_nothing_where_nothing_changes():
    x, key = jnp.ones((4, 2, 2, 1)), jax.random.key(0)

    def constant(x):
        return jnp.zeros((len(x), 3)) + 0 * x.sum()

    loss, slope = jax.value_and_grad(
        lambda x: consistency_loss(constant, x, key, radius=1.0, probe=0.0)
    )(x)
    assert loss == 0
    assert not slope.any()


def test_consistency_moves_the_shares_of_the_changed_image_alone():
    """Those of the image itself are held, and so is the way that it is changed."""
    x, key = jax.random.normal(jax.random.key(1), (8, 3)), jax.random.key(0)
    asked = []

    def infer(x):
        asked.append(x)
        return x @ WEIGHTS

    consistency_loss(infer, x, key, radius=0.5, probe=0.0)
    changed, q = np.asarray(asked[-1]), np.asarray(jax.nn.softmax(x @ WEIGHTS))
    # The slope of -sum q log softmax(changed @ weights), q constant.
    wrong = np.asarray(jax.nn.softmax(changed @ WEIGHTS)) - q
    expected = changed.T @ wrong / len(x)
    slope = jax.grad(
        lambda weights: consistency_loss(
            lambda x: x @ weights, x, key, radius=0.5, probe=0.0
        )
    )(WEIGHTS)
    np.testing.assert_allclose(slope, expected, atol=1e-5)
    assert abs(expected).max() > 0.01
