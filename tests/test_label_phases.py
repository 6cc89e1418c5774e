"""Phases that know classes: what their losses are made of."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aae_jax.config import Config
from aae_jax.phases import Batch, make_model
from aae_jax.variants import (
    CLASSIFICATION,
    DISCRIMINATOR,
    GENERATOR,
    LABEL_DISCRIMINATOR,
    LABEL_GENERATOR,
    RECONSTRUCTION,
    RECONSTRUCTION_WITH_HEADS,
    VARIANTS,
    phases_of,
)

KEY = jax.random.key(11)
QUIET = {
    "instance_noise": 0.0,
    "input_noise": 0.0,
    "gradient_penalty": 0.0,
    "consistency_weight": 0.0,
    "entropy_weight": 0.0,
    "aggregated_categories": False,
}


@pytest.fixture
def evaluate(tiny_config_of, tiny_state, tiny_batch):
    """`evaluate(phase, model)`: its loss and terms, the networks, the parameters."""

    def evaluate(phase, name, batch=tiny_batch, **settings):
        config = replace(tiny_config_of(name), **(QUIET | settings))
        model = make_model(config, image_shape=(8, 8, 1))
        params = tiny_state(name).params
        return *phase.loss(params, batch, KEY, model), model, params

    return evaluate


def test_without_labels_nothing_is_classified():
    taught = Config(model="dim-reduction", labels=10)
    alone = Config(model="dim-reduction", labels=0)
    assert phases_of(taught) == VARIANTS["dim-reduction"]
    assert (*phases_of(alone), CLASSIFICATION) == VARIANTS["dim-reduction"]
    assert phases_of(Config(model="clustering")) == VARIANTS["clustering"]


def test_classification_reads_the_labelled_images_alone(evaluate, tiny_batch):
    loss, terms, *_ = evaluate(CLASSIFICATION, "semi-supervised")
    assert terms == {"classification": loss}
    others = replace(tiny_batch, x=1 - tiny_batch.x, y=None)
    assert evaluate(CLASSIFICATION, "semi-supervised", others)[0] == loss
    for changed in (
        replace(tiny_batch, x_labelled=1 - tiny_batch.x_labelled),
        replace(tiny_batch, y_labelled=(tiny_batch.y_labelled + 1) % 4),
    ):
        assert evaluate(CLASSIFICATION, "semi-supervised", changed)[0] != loss
    noisy, *_ = evaluate(CLASSIFICATION, "semi-supervised", input_noise=0.5)
    assert noisy != loss


def test_a_phase_says_what_its_batch_or_its_model_lacks(evaluate, tiny_batch):
    bare = Batch(tiny_batch.x)
    for phase, model, batch, words in (
        (CLASSIFICATION, "semi-supervised", bare, "give the batch x_labelled"),
        (CLASSIFICATION, "aae", tiny_batch, "infers no categories, and"),
        (LABEL_GENERATOR, "aae", tiny_batch, "infers no categories, and"),
        (DISCRIMINATOR, "supervised", bare, "sees labels; give the batch y"),
        (GENERATOR, "label-prior", bare, "sees labels; give the batch y"),
    ):
        with pytest.raises(ValueError, match=words):
            evaluate(phase, model, batch)


def test_label_adversary_compares_inferred_categories_with_drawn_ones(
    evaluate, tiny_batch
):
    """Drawn evenly: over many keys the loss is that of each category equally often."""
    loss, terms, model, params = evaluate(LABEL_DISCRIMINATOR, "semi-supervised")
    assert terms == {"label_discriminator": loss}
    networks = model.networks
    found = [
        float(LABEL_DISCRIMINATOR.loss(params, tiny_batch, jax.random.key(i), model)[0])
        for i in range(200)
    ]
    real = np.asarray(networks.discriminate_category(params, jnp.eye(4)))
    y = networks.encode(params, tiny_batch.x).y
    fake = np.asarray(networks.discriminate_category(params, y))
    expected = np.logaddexp(0, -real).mean() + np.logaddexp(0, fake).mean()
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(expected, abs=5 * error)
    assert error > 0


def test_aggregated_categories_cost_the_mean_over_draws_of_one_for_each_image(
    evaluate, tiny_batch
):
    settings = {"aggregated_categories": True}
    loss, terms, model, params = evaluate(
        LABEL_DISCRIMINATOR, "semi-supervised", **settings
    )
    assert terms == {"label_discriminator": loss}
    networks = model.networks
    shares = np.asarray(networks.encode(params, tiny_batch.x).y, np.float64)
    logits = np.asarray(networks.discriminate_category(params, jnp.eye(4)))
    real = np.logaddexp(0, -logits).mean()
    rng = np.random.default_rng(0)
    draws = (rng.random((5000, 20, 1)) > shares.cumsum(axis=1)).sum(axis=-1)
    costs = np.logaddexp(0, logits)[np.minimum(draws, 3)].mean(axis=1)
    error = costs.std() / np.sqrt(len(costs))
    assert float(loss) == pytest.approx(real + costs.mean(), abs=5 * error)


def test_even_categories_cost_the_mean_logit_whatever_the_discriminator(
    evaluate, tiny_batch
):
    settings = {"aggregated_categories": True}
    _, terms, model, params = evaluate(LABEL_GENERATOR, "semi-supervised", **settings)
    assert set(terms) == {"label_divergence"}
    head = params["encoder"]["Dense_2"]
    even = {
        "kernel": head["kernel"].at[:, :4].set(0),
        "bias": head["bias"].at[:4].set(0),
    }
    params = params | {"encoder": params["encoder"] | {"Dense_2": even}}
    loss, _ = LABEL_GENERATOR.loss(params, tiny_batch, KEY, model)
    logits = model.networks.discriminate_category(params, jnp.eye(4))
    assert loss == pytest.approx(-float(logits.mean()), rel=1e-5)
    assert abs(loss) > 1e-3


@pytest.mark.parametrize(
    ("term", "most"), [("entropy", np.log(4)), ("consistency", 50)]
)
def test_a_term_is_added_by_its_weight(evaluate, term, most):
    plain, terms, *_ = evaluate(LABEL_GENERATOR, "semi-supervised")
    assert terms == {"label_generator": plain}
    for weight in (0.5, 3.0):
        settings = {f"{term}_weight": weight}
        loss, terms, *_ = evaluate(LABEL_GENERATOR, "semi-supervised", **settings)
        assert terms["label_generator"] == plain
        assert 0 < terms[term] <= most
        assert loss == pytest.approx(float(plain + weight * terms[term]), rel=1e-6)


def test_categories_change_more_within_a_larger_radius(evaluate):
    near, far = (
        evaluate(
            LABEL_GENERATOR,
            "semi-supervised",
            consistency_weight=1.0,
            consistency_radius=radius,
        )[1]["consistency"]
        for radius in (0.1, 1.0)
    )
    assert near < far


def test_the_label_chooses_the_part_of_the_prior(evaluate, tiny_batch):
    """Samples that the discriminator sees beside a label lie where it says."""
    asked = []
    _, _, model, params = evaluate(DISCRIMINATOR, "label-prior")
    prior = model.prior

    def sample(key, n, labels=None):
        asked.append(labels)
        return prior.sample(key, n, labels)

    watched = replace(model, prior=replace(prior, sample=sample))
    loss, _ = DISCRIMINATOR.loss(params, tiny_batch, KEY, watched)
    # The labelled images stand beside the others.
    y = jnp.concatenate([tiny_batch.y, tiny_batch.y_labelled])
    np.testing.assert_array_equal(asked[0], y)
    # Without labelled images apart, the batch's own labels are all there is.
    alone = replace(tiny_batch, x_labelled=None, y_labelled=None)
    DISCRIMINATOR.loss(params, alone, KEY, watched)
    np.testing.assert_array_equal(asked[1], tiny_batch.y)
    # The labels are read: others give another loss.
    other = replace(tiny_batch, y=(tiny_batch.y + 1) % 4)
    assert evaluate(DISCRIMINATOR, "label-prior", other)[0] != loss
    fooling = evaluate(GENERATOR, "label-prior")[0]
    assert evaluate(GENERATOR, "label-prior", other)[0] != fooling


def test_a_plain_adversary_reads_no_label(evaluate, tiny_batch):
    none = replace(tiny_batch, y=None)
    for phase in (DISCRIMINATOR, GENERATOR, RECONSTRUCTION):
        assert evaluate(phase, "aae")[0] == evaluate(phase, "aae", none)[0]


def test_crowded_heads_cost_something_beside_the_weighted_error(evaluate):
    error, *_ = evaluate(RECONSTRUCTION, "dim-reduction")
    for weight in (1.0, 392.0):
        loss, terms, _, params = evaluate(
            RECONSTRUCTION_WITH_HEADS,
            "dim-reduction",
            head_distance=20.0,
            reconstruction_weight=weight,
        )
        assert terms["reconstruction"] == error
        # In units of the prior's deviation: five heads in the plane, all too near.
        heads = np.asarray(params["cluster_heads"]["kernel"], np.float64)
        away = np.linalg.norm(heads[:, None] - heads[None], axis=-1)
        crowding = (20 - away)[np.triu_indices(len(heads), k=1)].sum()
        assert terms["cluster_heads"] == pytest.approx(crowding, rel=1e-5)
        assert loss == pytest.approx(float(weight * error) + crowding, rel=1e-5)
