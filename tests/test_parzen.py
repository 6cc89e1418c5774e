"""The Parzen window against its definition."""

import numpy as np
import pytest

from aae_jax.parzen import SIGMAS, log_likelihoods, parzen_window

pytestmark = pytest.mark.usefixtures("strict_dtypes")

RNG = np.random.default_rng(4)


def by_definition(samples, x, sigma):
    found = []
    for point in x.reshape(len(x), -1):
        densities = [
            np.prod(
                np.exp(-((point - centre) ** 2) / (2 * sigma**2))
                / np.sqrt(2 * np.pi * sigma**2)
            )
            for centre in samples.reshape(len(samples), -1)
        ]
        found.append(np.log(np.mean(densities)))
    return np.array(found)


def test_log_likelihoods_are_the_definition():
    samples, x = RNG.random((7, 2, 3, 1)), RNG.random((5, 2, 3, 1))
    found = log_likelihoods(samples, x, (0.2, 0.5))
    for sigma, each in zip((0.2, 0.5), found, strict=True):
        expected = by_definition(samples, x, sigma)
        np.testing.assert_allclose(each, expected, rtol=1e-4, atol=1e-4)


def test_more_images_than_a_block_and_far_ones_are_finite():
    samples, x = np.zeros((3, 784)), np.ones((1203, 784))
    found = log_likelihoods(samples, x, (0.05,))
    assert found.shape == (1, 1203)
    expected = -784 / (2 * 0.05**2) - 392 * np.log(2 * np.pi * 0.05**2)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_large_bright_images_lose_no_nats_to_rounding():
    """Squares of some thousands are subtracted, in numbers of seven digits."""
    samples = (0.9 + 0.05 * RNG.normal(size=(30, 12_288))).astype(np.float32)
    x = samples[:10] + (0.05 * RNG.normal(size=(10, 12_288))).astype(np.float32)
    (found,) = log_likelihoods(samples, x, (0.05,))
    apart = x[:, None].astype(np.float64) - samples.astype(np.float64)
    exponents = -np.square(apart).sum(axis=-1) / (2 * 0.05**2)
    expected = np.logaddexp.reduce(exponents, axis=1) - np.log(30)
    expected -= 6144 * np.log(2 * np.pi * 0.05**2)
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_the_held_out_images_choose_the_width_of_the_true_noise():
    centres = RNG.random((200, 20))
    noisy = [
        centres[RNG.integers(0, 200, 400)] + 0.1 * RNG.normal(size=(400, 20))
        for _ in range(2)
    ]
    found = parzen_window(centres, *noisy)
    # Nearer than the steps of the first grid, which are 13 % apart.
    assert found["sigma"] == pytest.approx(0.1, rel=0.02)
    assert SIGMAS[5] < 0.98 * 0.1 < 1.02 * 0.1 < SIGMAS[6]
    assert not found["sigma_at_edge"]
    # The likelihood of the mixture itself, whose components hardly overlap.
    entropy = 10 * np.log(2 * np.pi * np.e * 0.1**2) + np.log(200)
    assert found["log_likelihood"] == pytest.approx(-entropy, abs=1.5)
    assert found["standard_error"] == pytest.approx(np.sqrt(10 / 400), rel=0.3)


def test_a_width_at_the_edge_of_the_grid_is_told():
    x = RNG.random((50, 4))
    wide = parzen_window(x, x + 5, x)
    narrow = parzen_window(x, x, x)
    assert (wide["sigma"], narrow["sigma"]) == (SIGMAS[-1], SIGMAS[0])
    assert wide["sigma_at_edge"]
    assert narrow["sigma_at_edge"]
