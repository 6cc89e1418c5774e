"""Schedules: where a value starts, how it falls, where it ends."""

import numpy as np
import pytest

from aae_jax.config import Config
from aae_jax.schedules import make_rate_schedule, make_schedule


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


def test_stepped_rates_fall_twice_to_a_tenth_and_all_else_stays():
    config = Config(schedule="steps", steps=500)
    rate = make_rate_schedule(config, 0.5, final=0.3)
    rates = [float(rate(step)) for step in (0, 4, 6, 99, 101, 499)]
    np.testing.assert_allclose(rates, [0.5, 0.5, 0.05, 0.05, 0.005, 0.005], rtol=1e-6)
    noise = make_schedule(config, 0.5, final=0.3)
    assert noise(0) == noise(499) == 0.5


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_rates_follow_the_other_schedules_as_everything_does(schedule):
    config = Config(schedule=schedule, steps=100)
    rate = make_rate_schedule(config, 0.5, final=0.3)
    other = make_schedule(config, 0.5, final=0.3)
    assert [rate(step) for step in (0, 40, 100)] == [
        other(step) for step in (0, 40, 100)
    ]
