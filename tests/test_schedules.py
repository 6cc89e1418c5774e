"""Schedules: where a value starts, how it falls, where it ends."""

import numpy as np
import pytest

from aae_jax.config import Config
from aae_jax.schedules import make_schedule


def test_constant_schedule_stays_and_needs_no_length_in_steps():
    config = Config(schedule="constant", epochs=2)
    schedule = make_schedule(config, 0.25, final=0.1)
    assert schedule(0) == schedule(10**6) == 0.25


@pytest.mark.parametrize("final", [0.0, 0.01, 1.0])
def test_cosine_schedule_falls_from_the_rate_to_the_final_share(final):
    schedule = make_schedule(Config(schedule="cosine", steps=100), 0.5, final=final)
    rates = np.array([schedule(step) for step in (0, 25, 50, 75, 100, 150)])
    shares = (1 + np.cos(np.pi * np.array([0, 0.25, 0.5, 0.75, 1, 1]))) / 2
    np.testing.assert_allclose(
        rates, 0.5 * (final + (1 - final) * shares), rtol=1e-5, atol=1e-7
    )
    assert rates[0] == 0.5
    assert rates[-1] == pytest.approx(0.5 * final)
