"""Priors: shapes, moments, densities, labels."""

import math
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from aae_jax import priors
from aae_jax.config import Config
from aae_jax.config_checks import PRIORS
from aae_jax.errors import UserError
from aae_jax.priors import Prior, make_prior
from aae_jax.training import make_step
from aae_jax.variants import DISCRIMINATOR

strict = pytest.mark.usefixtures("strict_dtypes")
KEY = jax.random.key(3)
N = 20_000
WITH_PARTS = ("mixture", "swiss-roll")
WITH_DENSITY = ("normal", "uniform", "gamma", "mixture")


def named(name, **settings):
    return make_prior(Config(prior=name, **settings))


@pytest.fixture(scope="module", params=PRIORS)
def prior(request):
    return named(request.param)


@strict
@pytest.mark.parametrize("z_dim", [2, 3])
@pytest.mark.parametrize("name", PRIORS)
def test_samples_have_the_shape_and_dtype_of_codes(name, z_dim):
    if name in WITH_PARTS and z_dim != 2:
        pytest.skip("lies in the plane")
    prior = named(name, z_dim=z_dim)
    assert prior.name == name
    samples = prior.sample(KEY, N)
    assert samples.shape == (N, z_dim)
    for array in (samples, prior.mean, prior.std):
        assert array.dtype == np.float32
    assert prior.mean.shape == prior.std.shape == (z_dim,)


@strict
@pytest.mark.parametrize(
    ("name", "settings"),
    [(name, {}) for name in PRIORS]
    + [
        ("normal", {"prior_scale": 2.0, "z_dim": 3}),
        ("uniform", {"prior_scale": 1.0}),
        ("gamma", {"prior_scale": 0.5, "prior_shape": 7.0}),
        ("mixture", {"prior_scale": 1.0}),
        ("swiss-roll", {"prior_scale": 0.5}),
    ],
)
def test_samples_have_the_stated_moments(name, settings):
    prior = named(name, **settings)
    samples = np.asarray(prior.sample(KEY, N), np.float64)
    centred = samples - prior.mean
    variance = (centred**2).mean(axis=0)
    error_of_mean = np.sqrt(variance / N)
    assert (np.abs(centred.mean(axis=0)) < 5 * error_of_mean).all()
    error_of_variance = (centred**2).std(axis=0) / math.sqrt(N)
    assert (np.abs(variance - prior.std**2) < 5 * error_of_variance).all()


@pytest.mark.parametrize("name", PRIORS)
def test_scale_stretches_the_samples(name):
    default = named(name)
    stretched = named(name, prior_scale=3.0)
    factor = stretched.std / default.std
    np.testing.assert_allclose(factor, factor[0], rtol=1e-6)
    expected = factor[0] * default.sample(KEY, N)
    np.testing.assert_allclose(stretched.sample(KEY, N), expected, 2e-4, atol=1e-4)


def test_defaults_are_those_of_the_guide_and_of_one_picture_range(prior):
    whole = math.sqrt(np.mean(prior.std**2))
    expected = {"uniform": 10 / math.sqrt(3), "gamma": 2.5 * math.sqrt(2)}
    assert whole == pytest.approx(expected.get(prior.name, 5.0), rel=1e-4)


@strict
def test_the_same_key_gives_the_same_samples_and_another_others(prior):
    first, again = prior.sample(KEY, N), prior.sample(KEY, N)
    np.testing.assert_array_equal(first, again)
    assert not jnp.isclose(first, prior.sample(jax.random.key(4), N)).all(axis=1).any()


def test_gamma_and_uniform_stay_in_their_support():
    assert (named("gamma").sample(KEY, N) > 0).all()
    flat = named("uniform").sample(KEY, N)
    assert 9.9 < jnp.abs(flat).max() <= 10


def lattice(step=0.1, reach=30.0):
    """Midpoints of square cells over [-reach, reach] in the plane."""
    line = np.arange(-reach, reach, step) + step / 2
    return np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).astype(np.float32)


@strict
@pytest.mark.parametrize("name", WITH_DENSITY)
def test_density_integrates_to_one_and_matches_a_histogram(name):
    prior, step, coarse = named(name), 0.1, 20
    points = lattice(step)
    side = len(points)
    logs = jax.jit(prior.log_density)(jnp.asarray(points.reshape(-1, 2)))
    assert logs.shape == (side * side,)
    mass = np.exp(np.asarray(logs, np.float64)).reshape(side, side) * step**2
    assert mass.sum() == pytest.approx(1, abs=1e-3)

    # Cells of 2 x 2, as many samples in each as the density promises: chi squared.
    blocks = side // coarse
    expected = N * mass.reshape(blocks, coarse, blocks, coarse).sum(axis=(1, 3))
    edges = np.linspace(-30, 30, blocks + 1)
    samples = np.asarray(prior.sample(KEY, N))
    seen, _, _ = np.histogram2d(*samples.T, bins=(edges, edges))
    full = expected > 5
    chi_squared = ((seen - expected)[full] ** 2 / expected[full]).sum()
    assert abs(chi_squared - full.sum()) < 5 * math.sqrt(2 * full.sum())
    assert seen[~full].sum() == pytest.approx(expected[~full].sum(), abs=60)


@strict
@pytest.mark.parametrize(
    ("name", "density"),
    [
        ("normal", scipy.stats.norm(scale=5)),
        ("uniform", scipy.stats.uniform(-10, 20)),
        ("gamma", scipy.stats.gamma(2, scale=2.5)),
    ],
)
def test_density_of_many_dimensions_is_a_product(name, density):
    z = np.random.default_rng(0).uniform(0.1, 9, (5, 3)).astype(np.float32)
    logs = jax.jit(named(name, z_dim=3).log_density)(jnp.asarray(z))
    np.testing.assert_allclose(logs, density.logpdf(z).sum(axis=1), rtol=1e-5)


def test_uniform_density_ends_at_its_edge():
    inside, outside = named("uniform").log_density(
        jnp.array([[9.9, -9.9], [9.9, -10.1]])
    )
    assert inside == pytest.approx(-2 * math.log(20))
    assert outside == -jnp.inf


@strict
@pytest.mark.parametrize("name", PRIORS)
def test_no_label_and_minus_one_are_the_same(name):
    prior = named(name)
    unlabelled = prior.sample(KEY, N, labels=jnp.full(N, -1))
    np.testing.assert_array_equal(prior.sample(KEY, N), unlabelled)


@strict
@pytest.mark.parametrize("name", WITH_PARTS)
def test_a_label_moves_its_own_sample_only(name):
    prior = named(name)
    free = np.asarray(prior.sample(KEY, N))
    labels = jnp.full(N, -1).at[7].set(3)
    labelled = np.asarray(prior.sample(KEY, N, labels=labels))
    others = np.arange(N) != 7
    np.testing.assert_array_equal(free[others], labelled[others])


@strict
def test_labels_choose_the_component_of_the_mixture():
    prior, n = named("mixture"), N
    s = 5 / math.sqrt((1.4**2 + 0.5**2 + 0.1**2) / 2)
    for label in range(priors.PARTS):
        z = np.asarray(prior.sample(KEY, n, labels=jnp.full(n, label)), np.float64)
        angle = 2 * math.pi * label / 10
        spoke = np.array([math.cos(angle), math.sin(angle)])
        across = np.array([-spoke[1], spoke[0]])
        assert (z @ spoke).mean() == pytest.approx(1.4 * s, abs=5 * 0.5 * s / n**0.5)
        assert (z @ spoke).std() == pytest.approx(0.5 * s, rel=5 / (2 * n) ** 0.5)
        assert (z @ across).mean() == pytest.approx(0, abs=5 * 0.1 * s / n**0.5)
        assert (z @ across).std() == pytest.approx(0.1 * s, rel=5 / (2 * n) ** 0.5)


def spiral(u):
    t = np.sqrt(u)
    return (
        3
        * t[:, None]
        * np.stack([np.cos(4 * np.pi * t), np.sin(4 * np.pi * t)], axis=-1)
    )


@strict
def test_labels_choose_the_stretch_of_the_swiss_roll():
    prior, n = named("swiss-roll"), N
    whole = spiral(np.linspace(0, 1, 100_000))
    s = 5 / math.sqrt(whole.var(axis=0).mean() + 0.1**2)
    np.testing.assert_allclose(prior.mean, s * whole.mean(axis=0), rtol=1e-3)
    for label in range(priors.PARTS):
        z = np.asarray(prior.sample(KEY, n, labels=jnp.full(n, label)), np.float64)
        z = z[:1000]
        stretch = s * spiral(np.linspace(label / 10, (label + 1) / 10, 400))
        away = np.linalg.norm(z[:, None] - stretch, axis=-1).min(axis=1)
        # Of the noise, what points off the curve is seen: about |N(0, 0.1 s)|.
        assert away.max() < 5 * 0.1 * s
        assert np.sqrt((away**2).mean()) == pytest.approx(0.1 * s, rel=0.15)
        assert np.linalg.norm(z.mean(axis=0) - stretch.mean(axis=0)) < 0.15 * s


@strict
def test_unlabelled_samples_of_the_mixture_come_from_all_components():
    z = np.asarray(named("mixture").sample(KEY, N))
    angles = np.arctan2(z[:, 1], z[:, 0])
    component = np.round(angles / (2 * np.pi / 10)).astype(int) % 10
    # Binomial(20000, 0.1) has the deviation 42.
    assert (np.abs(np.bincount(component, minlength=10) - 2000) < 5 * 42).all()


@strict
@pytest.mark.parametrize("parts", [2, 3, 7, 20])
@pytest.mark.parametrize("make", [priors.mixture, priors.swiss_roll])
def test_a_prior_may_have_a_part_for_each_class(make, parts):
    prior, n = make(std=2.0, parts=parts), 5000
    samples = prior.sample(KEY, n)
    z, error = np.asarray(samples, np.float64), 5 * prior.std / n**0.5
    np.testing.assert_array_less(np.abs(z.mean(axis=0) - prior.mean), error)
    np.testing.assert_allclose(z.std(axis=0), prior.std, rtol=0.08)
    assert (np.square(prior.std).mean()) ** 0.5 == pytest.approx(2.0, rel=1e-6)
    drawn = np.bincount(np.asarray(prior.part_of(samples)), minlength=parts)
    assert len(drawn) == parts
    assert (np.abs(drawn - n / parts) < 0.02 * n).all()
    labels = jnp.arange(n) % parts
    chosen = np.asarray(prior.part_of(prior.sample(KEY, n, labels=labels)))
    assert (chosen == labels).mean() > 0.85


def test_labels_choose_among_as_many_parts_as_there_are_classes():
    config = Config(model="label-prior", prior="mixture", n_classes=4)
    z = np.asarray(make_prior(config).sample(KEY, N))
    angles = np.arctan2(z[:, 1], z[:, 0]) / (2 * np.pi / 4)
    # Some samples of a petal stray beyond the origin.
    assert (np.abs(angles - np.round(angles)) < 0.4).mean() > 0.99
    others = replace(config, model="aae")
    assert np.array_equal(
        make_prior(others).sample(KEY, N), priors.mixture().sample(KEY, N)
    )


def test_a_prior_from_python_has_no_name_to_be_made_from():
    with pytest.raises(UserError, match=r"custom.*prior=\.\.\."):
        named("custom")


@pytest.mark.parametrize(
    ("mean", "std", "words"),
    [
        ([0, 0], [1, 0], "it must be above 0"),
        ([0, 0], [1, -1], "it must be above 0"),
        ([0, 0], [1], "a number for each dimension"),
        ([0, math.nan], [1, 1], "a number for each dimension"),
        ([[0, 0]], [[1, 1]], "a number for each dimension"),
    ],
)
def test_moments_that_are_none_are_refused(mean, std, words):
    moments = [np.array(moment, np.float32) for moment in (mean, std)]
    with pytest.raises(UserError, match=words):
        Prior("mine", priors.normal().sample, *moments)


def test_a_prior_from_python_trains(tiny_config, tiny_state, tiny_batch):
    asked = []

    def sample(key, n, labels=None):
        asked.append(n)
        return 100 + jax.random.normal(key, (n, 2))

    one = np.ones(2, np.float32)
    prior = Prior("far", sample, mean=100 * one, std=one)
    config = replace(tiny_config, prior="custom")
    step = make_step(config, prior=prior, phases=(DISCRIMINATOR,))
    state, info = step(tiny_state("aae"), tiny_batch)
    assert asked == [20]
    assert all(jnp.isfinite(loss) for loss in info.losses.values())
    assert state.step == 1
    # Without it, the same config cannot know what to sample.
    with pytest.raises(UserError, match="custom"):
        make_step(config)(tiny_state("aae"), tiny_batch)


@pytest.mark.parametrize("name", ["mixture", "swiss-roll"])
def test_samples_of_a_label_lie_on_its_part(name):
    prior = named(name)
    labels = jnp.arange(N) % priors.PARTS
    parts = np.asarray(prior.part_of(prior.sample(KEY, N, labels=labels)))
    # Neighbouring stretches of the roll touch: some samples stray over the border.
    assert (parts == labels).mean() > 0.9
