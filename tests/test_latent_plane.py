"""The plane that codes are seen in, its grid of codes, the prior's contours there."""

import math

import jax
import numpy as np
import pytest

from aae_jax import priors
from aae_jax.latent_plane import (
    grid_codes,
    latent_plane,
    prior_density,
    smoothed_histogram,
    visible_range,
)


def samples(prior, n, seed=0):
    return np.asarray(prior.sample(jax.random.key(seed), n))


def tilted_codes(n=4000):
    """Five-dimensional codes with variances 36, 9 and 1 along known directions."""
    generator = np.random.default_rng(0)
    directions, _ = np.linalg.qr(generator.normal(size=(5, 5)))
    spread = np.array([6.0, 3.0, 1.0, 0.0, 0.0])
    return generator.normal(size=(n, 5)) * spread @ directions.T + 2, directions.T


@pytest.mark.parametrize("z_dim", [1, 2])
def test_codes_of_one_or_two_dimensions_are_their_own_coordinates(z_dim):
    z = np.random.default_rng(0).normal(3, 2, (50, z_dim)).astype(np.float32)
    plane = latent_plane(z)
    np.testing.assert_array_equal(plane.project(z), z)
    np.testing.assert_array_equal(plane.lift(plane.project(z)), z)
    assert plane.shares is None
    assert len(plane.axis_names) == z_dim


def test_more_dimensions_are_seen_along_their_principal_components():
    z, directions = tilted_codes()
    plane = latent_plane(z)
    np.testing.assert_allclose(plane.axes @ plane.axes.T, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(
        np.abs(plane.axes @ directions[:2].T), np.eye(2), atol=0.05
    )
    np.testing.assert_allclose(plane.shares, [36 / 46, 9 / 46], atol=0.02)
    np.testing.assert_allclose(plane.project(z).mean(axis=0), 0, atol=1e-12)
    assert f"{plane.shares[0]:.0%} of the variance" in plane.axis_names[0]


def test_the_plane_does_not_turn_with_the_order_of_the_codes():
    z, _ = tilted_codes()
    np.testing.assert_allclose(
        latent_plane(z).axes, latent_plane(z[::-1]).axes, atol=1e-9
    )
    assert all(axis[np.abs(axis).argmax()] > 0 for axis in latent_plane(z).axes)


def test_collapsed_codes_still_have_a_plane():
    plane = latent_plane(np.ones((10, 4), np.float32))
    np.testing.assert_array_equal(plane.shares, 0)


@pytest.mark.parametrize("scale", [5.0, 1.25])
def test_the_grid_of_a_normal_reaches_two_deviations_exactly(scale):
    prior = priors.normal(2, scale=scale)
    z_prior = samples(prior, 100)
    grid = grid_codes(prior, latent_plane(z_prior), z_prior=z_prior)
    assert grid.codes.shape == (20, 20, 2)
    assert grid.codes.dtype == np.float32
    np.testing.assert_array_equal(grid.first, np.linspace(-2 * scale, 2 * scale, 20))
    np.testing.assert_array_equal(grid.second, grid.first)
    for row, column in [(0, 0), (0, 19), (19, 0), (7, 12)]:
        place = [grid.first[column], grid.second[row]]
        np.testing.assert_allclose(grid.codes[row, column], place, rtol=1e-6)


def test_the_guides_grid_is_kept_as_published():
    prior = priors.normal(2)
    z_prior = samples(prior, 100)
    grid = grid_codes(prior, latent_plane(z_prior), z_prior=z_prior, guide=True)
    assert grid.codes.shape == (14, 14, 2)
    np.testing.assert_array_equal(grid.first, -10 + 1.5 * np.arange(14))
    np.testing.assert_array_equal(grid.second, grid.first)
    assert grid.first[-1] == 9.5


@pytest.mark.parametrize(("guide", "n"), [(False, 20), (True, 14)])
def test_codes_of_one_dimension_have_a_line_of_codes(guide, n):
    prior = priors.normal(1)
    z_prior = samples(prior, 100)
    grid = grid_codes(prior, latent_plane(z_prior), z_prior=z_prior, guide=guide)
    assert grid.codes.shape == (1, n, 1)
    np.testing.assert_array_equal(grid.codes[0, :, 0], grid.first.astype(np.float32))
    np.testing.assert_array_equal(grid.second, [0])


@pytest.mark.parametrize("z_dim", [3, 16])
def test_the_grid_of_many_dimensions_lies_in_the_plane_of_the_codes(z_dim):
    prior = priors.normal(z_dim)
    z = samples(prior, 500, seed=1)
    plane = latent_plane(z)
    grid = grid_codes(prior, plane, z_prior=z)
    points = np.stack(np.meshgrid(grid.first, grid.second), axis=-1)
    np.testing.assert_allclose(plane.project(grid.codes), points, atol=1e-5)
    np.testing.assert_allclose(plane.lift(points), grid.codes, atol=1e-5)
    # An isotropic normal is as wide in every direction.
    np.testing.assert_allclose(np.ptp(grid.first), 20, rtol=1e-6)
    np.testing.assert_allclose(np.ptp(grid.second), 20, rtol=1e-6)


@pytest.mark.parametrize(
    "prior", [priors.uniform(2), priors.gamma(2), priors.swiss_roll()]
)
def test_the_grid_of_other_priors_spans_their_central_95_percent(prior):
    z_prior = samples(prior, 20_000)
    grid = grid_codes(prior, latent_plane(z_prior), z_prior=z_prior)
    fresh = samples(prior, 20_000, seed=1)
    for axis, coordinates in enumerate((grid.first, grid.second)):
        low, high = coordinates[[0, -1]]
        inside = np.mean((fresh[:, axis] >= low) & (fresh[:, axis] <= high))
        assert inside == pytest.approx(0.954, abs=0.01)
        # Ends that can be read: a tenth of the unit for a range of tens.
        np.testing.assert_allclose([low, high], np.round([low, high], 1), atol=1e-12)


def test_the_contours_of_a_normal_are_circles_of_known_radius():
    prior = priors.normal(2, scale=5.0)
    z_prior = samples(prior, 100_000)
    density = prior_density(prior, latent_plane(z_prior), z_prior)
    radii = 5 * np.sqrt(-2 * np.log(1 - np.array([0.99, 0.9, 0.5])))
    at_radii = -((radii / 5) ** 2) / 2 - math.log(2 * math.pi * 25)
    np.testing.assert_allclose(density.levels, at_radii, atol=0.05)
    np.testing.assert_allclose(density.masses, [0.99, 0.9, 0.5], atol=0.002)


@pytest.mark.parametrize(
    "prior",
    [priors.swiss_roll(), priors.uniform(5)],
    ids=["no closed form", "projection"],
)
def test_contours_hold_the_mass_that_they_state(prior):
    z_prior, fresh = samples(prior, 20_000), samples(prior, 20_000, seed=1)
    plane = latent_plane(z_prior)
    density = prior_density(prior, plane, z_prior)
    points = plane.project(fresh)
    column = np.abs(np.subtract.outer(points[:, 0], density.first)).argmin(axis=1)
    row = np.abs(np.subtract.outer(points[:, 1], density.second)).argmin(axis=1)
    found = density.log_density[row, column]
    assert len(density.levels) == 3
    assert np.all(np.isfinite(density.log_density))
    for level, mass, stated in zip(
        density.levels, density.masses, (0.99, 0.9, 0.5), strict=True
    ):
        assert mass == pytest.approx(stated, abs=0.005)
        assert np.mean(found >= level) == pytest.approx(stated, abs=0.02)


def test_a_plateau_has_one_contour_its_edge():
    prior = priors.uniform(2, scale=10.0)
    z_prior = samples(prior, 20_000)
    density = prior_density(prior, latent_plane(z_prior), z_prior)
    assert density.masses == (1.0,)
    cell = np.ptp(density.first[:2]) * np.ptp(density.second[:2])
    area = np.sum(density.log_density >= density.levels[0]) * cell
    assert area == pytest.approx(400, rel=0.03)


def test_a_density_that_is_infinite_somewhere_has_finite_contours():
    prior = priors.gamma(2, shape=0.5)
    z_prior = np.random.default_rng(0).gamma(0.5, 2.5, (20_000, 2))
    density = prior_density(prior, latent_plane(z_prior), z_prior)
    assert np.all(np.isfinite(density.log_density))
    assert np.all(np.diff(density.levels) > 0)


def test_a_smoothed_histogram_keeps_the_points_where_they_are():
    points = np.full((30, 2), [3.0, -1.0])
    low, high = np.array([-4.0, -4.0]), np.array([4.0, 4.0])
    density = smoothed_histogram(points, low, high)
    assert density.sum() == pytest.approx(1)
    row, column = np.unravel_index(density.argmax(), density.shape)
    assert np.linspace(-4, 4, len(density))[column] == pytest.approx(3, abs=0.05)
    assert np.linspace(-4, 4, len(density))[row] == pytest.approx(-1, abs=0.05)


def test_the_visible_range_follows_codes_that_leave_the_prior():
    generator = np.random.default_rng(0)
    z_prior = generator.normal(0, 5, (20_000, 2))
    low, high = visible_range(generator.normal(0, 1, (5000, 2)), z_prior)
    three = 2.97 * 5  # the central 99.7% of a normal
    np.testing.assert_allclose(high, three * 1.1, rtol=0.05)
    np.testing.assert_allclose(low, -three * 1.1, rtol=0.05)
    low, high = visible_range(generator.normal([100, 0], 1, (5000, 2)), z_prior)
    assert high[0] > 102
    assert math.isclose(high[1], three * 1.1, rel_tol=0.05)
