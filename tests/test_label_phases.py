"""Phases that know classes: what their losses are made of."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aae_jax import losses
from aae_jax.config import Config
from aae_jax.phases import make_model
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

pytestmark = pytest.mark.usefixtures("compiled_in_haste")

KEY = jax.random.key(11)
QUIET = {
    "instance_noise": 0.0,
    "input_noise": 0.0,
    "gradient_penalty": 0.0,
    "consistency_weight": 0.0,
    "entropy_weight": 0.0,
    "drawn_categories": False,
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


def test_classification_reads_the_labelled_images(evaluate, tiny_batch):
    loss, terms, model, params = evaluate(CLASSIFICATION, "semi-supervised")
    logits = model.networks.encode(params, tiny_batch.x_labelled).y_logits
    assert loss == losses.classification_loss(logits, tiny_batch.y_labelled)
    assert terms == {"classification": loss}
    noisy, *_ = evaluate(CLASSIFICATION, "semi-supervised", input_noise=0.5)
    assert noisy != loss


def test_label_adversary_compares_inferred_categories_with_drawn_ones(
    evaluate, tiny_batch
):
    loss, terms, model, params = evaluate(LABEL_DISCRIMINATOR, "semi-supervised")
    networks = model.networks
    fake = networks.discriminate_category(
        params, networks.encode(params, tiny_batch.x).y
    )
    real = networks.discriminate_category(params, jnp.eye(4))
    # Twenty draws out of four: the mean over the draws is one over some of these.
    entropy = np.logaddexp(0, -np.asarray(real))
    rest = float(loss) - float(np.logaddexp(0, np.asarray(fake)).mean())
    assert entropy.min() <= rest <= entropy.max()
    assert terms == {"label_discriminator": loss}

    fooling, terms, *_ = evaluate(LABEL_GENERATOR, "semi-supervised")
    assert fooling == losses.generator_loss(fake)
    assert terms == {"label_generator": fooling}


def test_drawn_categories_are_told_apart_by_how_often_they_come(evaluate, tiny_batch):
    drawn = {"drawn_categories": True}
    loss, terms, model, params = evaluate(
        LABEL_DISCRIMINATOR, "semi-supervised", **drawn
    )
    networks = model.networks
    logits = networks.discriminate_category(params, jnp.eye(4))
    shares = networks.encode(params, tiny_batch.x).y.mean(axis=0)
    assert loss == losses.drawn_discriminator_loss(logits, shares)
    assert terms == {"label_discriminator": loss}
    fooling, terms, *_ = evaluate(LABEL_GENERATOR, "semi-supervised", **drawn)
    assert fooling == losses.drawn_generator_loss(logits, shares)
    assert terms == {"label_divergence": fooling}


def test_entropy_is_added_by_its_weight(evaluate, tiny_batch):
    plain, *_ = evaluate(LABEL_GENERATOR, "semi-supervised")
    loss, terms, model, params = evaluate(
        LABEL_GENERATOR, "semi-supervised", entropy_weight=0.5
    )
    logits = model.networks.encode(params, tiny_batch.x).y_logits
    assert terms["entropy"] == losses.entropy_loss(logits)
    assert loss == pytest.approx(float(plain + 0.5 * terms["entropy"]), rel=1e-6)


def test_consistency_is_added_by_its_weight(evaluate):
    plain, _, *_ = evaluate(LABEL_GENERATOR, "semi-supervised")
    for weight in (0.5, 3.0):
        loss, terms, *_ = evaluate(
            LABEL_GENERATOR, "semi-supervised", consistency_weight=weight
        )
        assert terms["label_generator"] == plain
        assert terms["consistency"] > 0
        expected = float(plain + weight * terms["consistency"])
        assert loss == pytest.approx(expected, rel=1e-6)
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
    labelled = tiny_batch.y >= 0
    z = prior.sample(KEY, 20, tiny_batch.y)
    np.testing.assert_array_equal(prior.part_of(z)[labelled], tiny_batch.y[labelled])
    # The labels are read: others give another loss.
    other = replace(tiny_batch, y=(tiny_batch.y + 1) % 4)
    assert evaluate(DISCRIMINATOR, "label-prior", other)[0] != loss
    fooling = evaluate(GENERATOR, "label-prior")[0]
    assert evaluate(GENERATOR, "label-prior", other)[0] != fooling


def test_a_plain_adversary_reads_no_label(evaluate, tiny_batch):
    none = replace(tiny_batch, y=None)
    for phase in (DISCRIMINATOR, GENERATOR, RECONSTRUCTION):
        assert evaluate(phase, "aae")[0] == evaluate(phase, "aae", none)[0]


def test_crowded_heads_cost_something(evaluate):
    plain, *_ = evaluate(RECONSTRUCTION, "dim-reduction")
    loss, terms, _, params = evaluate(
        RECONSTRUCTION_WITH_HEADS, "dim-reduction", head_distance=20.0
    )
    # In units of the prior's deviation.
    crowding = losses.cluster_head_loss(params["cluster_heads"]["kernel"], 20.0)
    assert terms == {"reconstruction": plain, "cluster_heads": crowding}
    assert loss == pytest.approx(float(plain + crowding), rel=1e-6)
    assert crowding > 0
