"""Metrics against plain definitions, on small n."""

from collections import Counter
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aae_jax import metrics, priors
from aae_jax.measure import make_measure
from aae_jax.metrics import (
    knn_accuracy,
    latent_match,
    make_reference,
    nearest_codes,
)
from aae_jax.networks import Networks
from aae_jax.phases import make_model

pytestmark = pytest.mark.usefixtures("strict_dtypes")

N = 400
PRIOR = priors.normal(2, scale=5.0)
RNG = np.random.default_rng(7)


@pytest.fixture(scope="module")
def reference():
    return make_reference(PRIOR, N)


def prior_draw(index, n=N):
    """The index-th fixed draw of the prior."""
    key = jax.random.fold_in(jax.random.key(metrics.METRIC_SEED), index)
    return np.asarray(PRIOR.sample(key, n), np.float64)


def fresh(n=N, prior=PRIOR, seed=123):
    return np.asarray(prior.sample(jax.random.key(seed), n), np.float64)


def sliced_wasserstein(z, directions):
    """The definition, point by point: sort along each line, move first to first."""
    travels = []
    for direction in directions:
        for index in range(metrics.DRAWS):
            there, here = sorted(prior_draw(index) @ direction), sorted(z @ direction)
            travels.append(
                np.mean([(a - b) ** 2 for a, b in zip(there, here, strict=True)])
            )
    return np.sqrt(np.mean(travels))


@pytest.mark.parametrize("codes", [fresh(), 0.2 * fresh() + np.array([3.0, -1.0])])
def test_sliced_wasserstein_is_its_definition(codes, reference):
    few = reference.directions[:5]
    quantiles, spread = plain_quantiles(few)
    small = replace(reference, directions=few, quantiles=quantiles, spread=spread)
    assert small.sliced_wasserstein(codes) == pytest.approx(
        sliced_wasserstein(codes, few), rel=1e-5
    )
    # And the reference holds what these few lines say.
    np.testing.assert_allclose(reference.quantiles[:5], quantiles, atol=1e-4)


def plain_quantiles(directions):
    sorted_draws = np.array(
        [np.sort(directions @ prior_draw(i).T, axis=1) for i in range(metrics.DRAWS)]
    )
    return sorted_draws.mean(axis=0), float(sorted_draws.var(axis=0).mean())


def test_reference_uses_the_promised_projections_and_draws(reference):
    assert reference.directions.shape == (256, 2)
    np.testing.assert_allclose(np.linalg.norm(reference.directions, axis=1), 1)
    # Uniform directions: the mean of d d^T is half the unit matrix.
    second = reference.directions.T @ reference.directions / 256
    np.testing.assert_allclose(second, np.eye(2) / 2, atol=0.15)
    quantiles, spread = plain_quantiles(reference.directions)
    assert metrics.DRAWS == 20
    np.testing.assert_allclose(reference.quantiles, quantiles, atol=1e-4)
    assert reference.spread == pytest.approx(spread, rel=1e-3)


def test_sliced_wasserstein_of_a_shift_is_the_shift():
    """Far away all lines see the shift's projection: |shift| / sqrt(2) on average."""
    z = fresh(2 * N)
    far = make_reference(PRIOR, 2 * N).sliced_wasserstein(z + np.array([300.0, 400.0]))
    assert far == pytest.approx(500 / np.sqrt(2), rel=0.05)


def test_distances_grow_with_what_is_wrong(reference):
    z = fresh()
    good = latent_match(z, reference)
    assert 0.5 < good["ratio"] < 1.7
    ratios = [latent_match(z + shift, reference)["ratio"] for shift in (1, 2, 4)]
    assert good["ratio"] < ratios[0] < ratios[1] < ratios[2]
    assert latent_match(2 * z, reference)["ratio"] > 2
    assert good["sliced_wasserstein"] == pytest.approx(
        good["ratio"] * good["floor"], rel=1e-12
    )
    assert good["floor"] == reference.floor
    np.testing.assert_allclose(good["mean"], z.mean(axis=0))
    np.testing.assert_allclose(good["std"], z.std(axis=0))


def test_floor_of_the_guide_s_prior_with_10_000_codes():
    """About 0.130, measured when the project was designed."""
    reference = make_reference(PRIOR, 10_000)
    assert reference.floor == pytest.approx(0.130, abs=0.02)
    match = latent_match(fresh(10_000), reference)
    assert 0.7 < match["ratio"] < 1.5
    assert match["gap_fraction"] == pytest.approx(0.01, abs=0.005)


def test_prior_samples_in_place_of_codes_have_ratio_1_on_average(reference):
    ratios = [latent_match(fresh(seed=s), reference)["ratio"] for s in range(30)]
    # Squares average to 1; single draws vary by some 0.2.
    assert np.sqrt(np.mean(np.square(ratios))) == pytest.approx(1, abs=0.12)


def test_another_number_of_codes_is_refused(reference):
    with pytest.raises(ValueError, match="got 399 codes for a reference of 400"):
        reference.sliced_wasserstein(fresh(399))


def nearest_distances(points, codes):
    return np.linalg.norm(points[:, None] - codes[None], axis=-1).min(axis=1)


def test_gap_fraction_is_its_definition(reference):
    pairs = [
        nearest_distances(prior_draw(2 * i + 1), prior_draw(2 * i)) for i in range(5)
    ]
    radius = np.percentile(np.concatenate(pairs), 99)
    assert reference.gap_radius == pytest.approx(radius, rel=1e-5)
    # A hole at the origin, as of a spiral that leaves the middle free.
    codes = fresh()
    codes = codes[np.linalg.norm(codes, axis=1) > 5]
    far = [nearest_distances(prior_draw(40 + i), codes) > radius for i in range(5)]
    assert reference.gap_fraction(codes) == pytest.approx(np.mean(far), abs=1e-3)
    assert np.mean(far) > 0.05


@pytest.mark.parametrize("z_dim", [1, 2, 8, 9, 40])
def test_nearest_codes_are_the_nearest_in_any_dimension(z_dim):
    z, queries = RNG.normal(size=(300, z_dim)), RNG.normal(size=(2345, z_dim))
    apart = np.linalg.norm(queries[:, None] - z, axis=2)
    for k in (1, 5):
        distances, nearest = nearest_codes(z, queries, k=k)
        assert distances.shape == nearest.shape == (2345, k)
        np.testing.assert_allclose(
            np.sort(distances, axis=1), np.sort(apart, axis=1)[:, :k], atol=1e-6
        )
        np.testing.assert_allclose(
            np.take_along_axis(apart, nearest, axis=1), distances, atol=1e-6
        )


def test_gap_fraction_of_perfect_codes_and_of_collapsed_ones(reference):
    shares = [reference.gap_fraction(fresh(seed=seed)) for seed in range(10)]
    assert np.mean(shares) == pytest.approx(0.01, abs=0.005)
    assert reference.gap_fraction(np.full((N, 2), 1000.0)) == 1
    # In the middle of the prior, a single point is near to few samples only.
    assert reference.gap_fraction(np.zeros((N, 2))) > 0.6


def test_rescaled_codes_are_judged_by_their_form_alone(reference):
    z = fresh()
    match = latent_match(z, reference, rescale=True)
    moved = latent_match(0.01 * z + np.array([70.0, -3.0]), reference, rescale=True)
    for name in ("sliced_wasserstein", "ratio", "gap_fraction"):
        assert moved[name] == pytest.approx(match[name], rel=1e-4)
    assert match["rescaled"]
    assert "rescaled" not in latent_match(z, reference)
    # What is told about the codes is told of them as they are.
    np.testing.assert_allclose(moved["mean"], 0.01 * z.mean(axis=0) + [70.0, -3.0])
    np.testing.assert_allclose(moved["std"], 0.01 * z.std(axis=0))
    flat = latent_match(np.zeros((N, 2)), reference, rescale=True)
    assert np.isfinite(flat["ratio"])


def plain_knn_accuracy(z, y):
    labelled = [(point, label) for point, label in zip(z, y, strict=True) if label >= 0]
    reference, queries = labelled[0::2], labelled[1::2]
    right = 0
    for point, label in queries:
        near = sorted(reference, key=lambda pair: np.linalg.norm(pair[0] - point))[:5]
        votes = Counter(int(neighbour) for _, neighbour in near)
        most = max(votes.values())
        right += min(name for name in votes if votes[name] == most) == label
    return right / len(queries)


@pytest.mark.parametrize("unlabelled", [0.0, 0.4])
@pytest.mark.parametrize("z_dim", [1, 3])
def test_knn_accuracy_is_its_definition(z_dim, unlabelled):
    rng = np.random.default_rng(z_dim)
    y = rng.choice([2, 5, 9, 40], 301).astype(np.int32)
    # Classes overlap, so that many votes are 2 : 2 : 1.
    z = rng.normal(size=(301, z_dim)) + y[:, None] % 3
    y[rng.random(301) < unlabelled] = -1
    accuracy = knn_accuracy(z, y)
    assert accuracy == pytest.approx(plain_knn_accuracy(z, y), abs=1e-12)
    assert 0.2 < accuracy < 0.9


def test_knn_accuracy_of_classes_apart_is_1_and_of_a_lone_query_0():
    y = np.arange(40, dtype=np.int32) // 2 % 4
    z = 100.0 * np.stack([y, y], axis=1) + RNG.normal(size=(40, 2))
    assert knn_accuracy(z, y) == 1
    lonely = y.copy()
    lonely[1] = 77  # no reference has this class
    assert knn_accuracy(z, lonely) == pytest.approx(19 / 20)


def test_knn_accuracy_needs_enough_labels():
    z, y = RNG.normal(size=(30, 2)), np.full(30, -1, np.int32)
    assert knn_accuracy(z, y) is None
    y[:9] = 3
    assert knn_accuracy(z, y) is None
    y[:10] = 3
    assert knn_accuracy(z, y) == 1


def measured(tiny_config_of, tiny_state, dataset, model, labels=True):
    measure = make_measure(
        make_model(tiny_config_of(model), image_shape=(8, 8, 1)),
        dataset.x_test,
        dataset.y_test if labels else None,
    )
    return measure(tiny_state(model).params)


def test_measure_tells_all_about_an_adversarial_model(
    tiny_config, tiny_config_of, tiny_state, tiny_dataset
):
    result, z, *_ = measured(tiny_config_of, tiny_state, tiny_dataset, "aae")
    model = make_model(tiny_config, image_shape=(8, 8, 1))
    params = tiny_state("aae").params
    x = jnp.asarray(tiny_dataset.x_test, "float32") / 255
    codes = model.networks.encode(params, x).z
    np.testing.assert_allclose(z, codes, rtol=1e-4, atol=1e-5)
    assert z.dtype == np.float64
    error = float(((x - model.networks.decode(params, codes)) ** 2).mean())
    assert result["reconstruction_mse"] == pytest.approx(error, rel=1e-5)
    reference = make_reference(model.prior, 100)
    assert result["latent"] == latent_match(z, reference)
    assert result["knn_accuracy"] == knn_accuracy(z, tiny_dataset.y_test)
    prior_key, _ = jax.random.split(jax.random.key(metrics.METRIC_SEED + 2))
    z_prior = PRIOR.sample(prior_key, 100)
    real = model.networks.discriminate(params, z_prior)
    fake = model.networks.discriminate(params, codes)
    rightly = (int((real > 0).sum()) + int((fake <= 0).sum())) / 200
    assert result["discriminator_accuracy"] == pytest.approx(rightly)


def test_measure_leaves_out_what_there_is_not(tiny_config_of, tiny_state, tiny_dataset):
    result, *_ = measured(
        tiny_config_of, tiny_state, tiny_dataset, "autoencoder", labels=False
    )
    assert set(result) == {"reconstruction_mse", "latent"}
    assert result["latent"]["rescaled"]


def test_measure_tells_how_well_categories_are_inferred(
    tiny_config_of, tiny_state, tiny_dataset
):
    classes = {"error"}
    clusters = {"cluster_error", "cluster_error_majority"}
    for model, has in (
        ("aae", set()),
        ("supervised", set()),
        ("semi-supervised", classes),
        ("dim-reduction", classes),
        ("clustering", clusters),
    ):
        result, *_ = measured(tiny_config_of, tiny_state, tiny_dataset, model)
        assert (classes | clusters) & set(result) == has
        result, *_ = measured(
            tiny_config_of, tiny_state, tiny_dataset, model, labels=False
        )
        assert not (classes | clusters) & set(result)
        used = result.get("clusters_used")
        assert used in range(1, 6) if model == "clustering" else used is None


def test_measure_is_compiled_once(tiny_config, tiny_state, tiny_dataset):
    traced = []

    @dataclass(frozen=True)
    class Counting(Networks):
        def encode(self, params, x, key=None):
            traced.append(x.shape)
            return super().encode(params, x, key)

    model = make_model(tiny_config, image_shape=(8, 8, 1))
    counting = Counting(**vars(model.networks))
    measure = make_measure(
        replace(model, networks=counting), tiny_dataset.x_test, tiny_dataset.y_test
    )
    params = tiny_state("aae").params
    first, *_ = measure(params)
    assert traced
    traced.clear()
    moved, *_ = measure(jax.tree.map(lambda leaf: leaf + jnp.float32(0.1), params))
    assert not traced
    assert moved["reconstruction_mse"] != first["reconstruction_mse"]
