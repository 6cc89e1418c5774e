"""Optimizers: Adam and SGD with each phase's rates against closed forms, schedules."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

from aae_jax.config import Config
from aae_jax.errors import UserError
from aae_jax.optimizers import make_optimizer
from aae_jax.variants import DISCRIMINATOR, GENERATOR, JOINT, RECONSTRUCTION

CONFIG = Config(
    schedule="constant",
    steps=100,
    reconstruction_rate=0.1,
    reconstruction_beta1=0.8,
    reconstruction_epsilon=1e-8,
    discriminator_rate=0.02,
    discriminator_beta1=0.4,
    discriminator_epsilon=0.1,
    generator_rate=0.003,
    generator_beta1=0.6,
    generator_epsilon=0.5,
)
PARAMS = {
    name: {"kernel": jnp.zeros(3)} for name in ("encoder", "decoder", "discriminator")
}
FIRST, SECOND = np.array([0.5, -2.0, 1e-3]), np.array([-1.0, -1.0, 3.0])
BETA2 = 0.999


def two_updates(config, phase):
    optimizer = make_optimizer(config, phase)
    state, updates = optimizer.init(PARAMS), []
    for gradient in (FIRST, SECOND):
        tree = {name: {"kernel": jnp.asarray(gradient, "float32")} for name in PARAMS}
        update, state = optimizer.update(tree, state, PARAMS)
        updates.append({name: update[name]["kernel"] for name in update})
    return updates


@pytest.mark.parametrize(
    ("phase", "rate", "beta1", "epsilon"),
    [
        (RECONSTRUCTION, 0.1, 0.8, 1e-8),
        (JOINT, 0.1, 0.8, 1e-8),
        (DISCRIMINATOR, 0.02, 0.4, 0.1),
        (GENERATOR, 0.003, 0.6, 0.5),
    ],
)
def test_each_phase_has_adam_with_its_own_settings(phase, rate, beta1, epsilon):
    first, second = two_updates(CONFIG, phase)
    mean = (beta1 * FIRST + SECOND) * (1 - beta1) / (1 - beta1**2)
    square = (BETA2 * FIRST**2 + SECOND**2) * (1 - BETA2) / (1 - BETA2**2)
    for name in PARAMS:
        if name not in phase.moves:
            assert not first[name].any()
            assert not second[name].any()
            continue
        # The first step has gone through both means uncorrupted: g / (|g| + epsilon).
        expected = -rate * FIRST / (np.abs(FIRST) + epsilon)
        np.testing.assert_allclose(first[name], expected, rtol=1e-4)
        expected = -rate * mean / (np.sqrt(square) + epsilon)
        np.testing.assert_allclose(second[name], expected, rtol=1e-4)


def test_sgd_has_the_phase_s_rate_and_momentum():
    first, second = two_updates(replace(CONFIG, optimizer="sgd"), GENERATOR)
    rate, momentum = CONFIG.generator_rate, CONFIG.generator_beta1
    np.testing.assert_allclose(first["encoder"], -rate * FIRST, rtol=1e-5)
    expected = -rate * (momentum * FIRST + SECOND)
    np.testing.assert_allclose(second["encoder"], expected, rtol=1e-5)
    assert not second["decoder"].any()
    assert not second["discriminator"].any()


def test_each_phase_ends_at_its_own_final_share():
    config = replace(CONFIG, schedule="cosine", steps=1, generator_final=0.25)
    first, second = two_updates(config, GENERATOR)
    moved = [update["encoder"][0] for update in (first, second)]
    constant = [update["encoder"][0] for update in two_updates(CONFIG, GENERATOR)]
    assert moved[0] == pytest.approx(constant[0])
    assert moved[1] == pytest.approx(0.25 * constant[1])


def test_cosine_schedule_needs_a_length_in_steps():
    config = Config(recipe="guide", schedule="cosine")
    with pytest.raises(UserError, match=r"epochs=300 .* give the length as steps"):
        make_optimizer(config, GENERATOR)
