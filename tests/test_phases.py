"""Phases: what their losses are made of, and the table of variants."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aae_jax import losses
from aae_jax.errors import UserError
from aae_jax.networks import Networks
from aae_jax.phases import Batch, find_phase, make_model, subsets_of
from aae_jax.priors import normal
from aae_jax.recipes import MODELS
from aae_jax.variants import DISCRIMINATOR, GENERATOR, JOINT, RECONSTRUCTION, VARIANTS

KEY = jax.random.key(11)


@pytest.fixture
def evaluate(tiny_config, tiny_state, tiny_batch):
    """`evaluate(phase, **settings)`: its loss and terms, and the model."""

    def evaluate(phase, step=0, **settings):
        quiet = {"instance_noise": 0.0, "input_noise": 0.0}
        config = replace(tiny_config, **(quiet | settings))
        model = make_model(config, image_shape=(8, 8, 1), step=step)
        params = tiny_state("aae").params
        return *phase.loss(params, tiny_batch, KEY, model), model

    return evaluate


def test_every_model_of_the_recipes_is_a_variant():
    assert set(VARIANTS) == set(MODELS)
    for phases in VARIANTS.values():
        names = [phase.name for phase in phases]
        assert len(set(names)) == len(names)


def test_subsets_are_named_once_in_the_order_of_the_phases():
    assert subsets_of(VARIANTS["autoencoder"]) == ("encoder", "decoder")
    both = ("encoder", "decoder", "discriminator")
    assert subsets_of(VARIANTS["aae"]) == subsets_of(VARIANTS["aae-joint"]) == both
    assert subsets_of([GENERATOR, RECONSTRUCTION]) == ("encoder", "decoder")
    with pytest.raises(UserError, match="no phase moves the decoder; add one"):
        subsets_of([GENERATOR, DISCRIMINATOR])


def test_a_phase_is_found_by_itself_or_by_its_name():
    phases = VARIANTS["aae"]
    for index, phase in enumerate(phases):
        assert find_phase(phases, phase) == find_phase(phases, phase.name) == index
    with pytest.raises(UserError, match=r"'generator' is not one .*\['reconstruction'"):
        find_phase(VARIANTS["autoencoder"], GENERATOR)
    with pytest.raises(UserError, match="'reconstructoin'"):
        find_phase(phases, "reconstructoin")


def test_image_shape_of_a_batch_is_without_the_count():
    assert Batch(jnp.zeros((5, 3, 4, 1))).image_shape == (3, 4, 1)


def test_reconstruction_compares_the_image_with_what_comes_back(
    evaluate, tiny_state, tiny_batch
):
    loss, terms, model = evaluate(RECONSTRUCTION, input_noise=0.0)
    params = tiny_state("aae").params
    x_hat = model.networks.decode(params, model.networks.encode(params, tiny_batch.x).z)
    assert loss == pytest.approx(float(((x_hat - tiny_batch.x) ** 2).mean()), rel=1e-6)
    assert terms == {"reconstruction": loss}


def test_noise_is_added_to_what_goes_in_not_to_what_should_come_out(
    evaluate, tiny_state, tiny_batch
):
    loss, _, model = evaluate(RECONSTRUCTION, input_noise=0.3, schedule="constant")
    params = tiny_state("aae").params
    noisy = tiny_batch.x + 0.3 * jax.random.normal(KEY, tiny_batch.x.shape)
    x_hat = model.networks.decode(params, model.networks.encode(params, noisy).z)
    assert loss == pytest.approx(float(((x_hat - tiny_batch.x) ** 2).mean()), rel=1e-6)
    assert loss != evaluate(RECONSTRUCTION, input_noise=0.0)[0]


def test_discriminator_phase_compares_codes_with_samples_of_the_prior(
    tiny_config, tiny_state, tiny_batch
):
    samples = 5 * jax.random.normal(KEY, (20, 2))
    prior = replace(normal(), sample=lambda key, n: samples[:n])
    config = replace(tiny_config, instance_noise=0.0, gradient_penalty=0.0)
    model = make_model(config, image_shape=(8, 8, 1), prior=prior)
    params = tiny_state("aae").params
    loss, terms = DISCRIMINATOR.loss(params, tiny_batch, KEY, model)
    z = model.networks.encode(params, tiny_batch.x).z
    real = model.networks.discriminate(params, samples)
    fake = model.networks.discriminate(params, z)
    assert loss == losses.discriminator_loss(real, fake)
    assert terms == {"discriminator": loss}


def test_gradient_penalty_is_added_by_its_weight_and_kept_out_of_the_log(evaluate):
    plain, _, _ = evaluate(DISCRIMINATOR, gradient_penalty=0.0)
    extra = []
    for weight in (0.1, 1.0):
        loss, terms, _ = evaluate(DISCRIMINATOR, gradient_penalty=weight)
        assert terms["discriminator"] == pytest.approx(float(plain), rel=1e-6)
        extra.append(float(loss - plain))
    assert extra[0] > 0
    assert extra[1] == pytest.approx(10 * extra[0], rel=1e-3)


def test_gradient_penalty_of_standardized_codes_does_not_depend_on_the_scale(
    evaluate, tiny_config, tiny_state, tiny_batch
):
    """One weight fits a prior of any scale: stretch codes and prior together."""
    extra = []
    for scale in (1.0, 5.0):
        settings = {"prior_scale": scale, "standardize_codes": True}
        params = dict(tiny_state("aae").params)
        encoder = dict(params["encoder"])
        encoder["Dense_2"] = {
            name: scale * leaf for name, leaf in encoder["Dense_2"].items()
        }
        params["encoder"] = encoder
        plain, penalized = (
            DISCRIMINATOR.loss(
                params,
                tiny_batch,
                KEY,
                make_model(
                    replace(tiny_config, gradient_penalty=weight, **settings),
                    image_shape=(8, 8, 1),
                ),
            )[0]
            for weight in (0.0, 1.0)
        )
        extra.append(float(penalized - plain))
    assert extra[0] == pytest.approx(extra[1], rel=1e-3)


def test_generator_phase_asks_codes_to_pass_for_samples(
    evaluate, tiny_state, tiny_batch
):
    loss, terms, model = evaluate(GENERATOR)
    params = tiny_state("aae").params
    z = model.networks.encode(params, tiny_batch.x).z
    assert loss == losses.generator_loss(model.networks.discriminate(params, z))
    assert terms == {"generator": loss}


def test_joint_phase_is_the_weighted_sum(evaluate):
    loss, terms, _ = evaluate(JOINT, reconstruction_weight=7.0)
    error, _, _ = evaluate(RECONSTRUCTION)
    fooling, _, _ = evaluate(GENERATOR)
    assert terms == {"reconstruction": error, "generator": fooling}
    assert loss == pytest.approx(float(7 * error + fooling), rel=1e-6)


def test_noise_dies_out_with_the_rates(evaluate):
    settings = {"schedule": "cosine", "steps": 10}
    noises = {"input_noise": 0.5, "instance_noise": 0.5, "instance_noise_final": 0.0}
    for phase in (RECONSTRUCTION, GENERATOR):
        plain, _, _ = evaluate(phase, 0, **settings)
        distances = [
            abs(float(evaluate(phase, step, **settings, **noises)[0] - plain))
            for step in (0, 9, 10)
        ]
        assert distances[0] > distances[1] > distances[2] == 0


def test_instance_noise_falls_to_its_final_share(evaluate):
    settings = {"schedule": "cosine", "steps": 10}
    for final, noise in ((1.0, 0.5), (0.5, 0.25)):
        last, _, _ = evaluate(
            GENERATOR, 10, **settings, instance_noise=0.5, instance_noise_final=final
        )
        settings_of_noise = {"schedule": "constant", "instance_noise": noise}
        assert last == evaluate(GENERATOR, 10, **settings_of_noise)[0]


def test_weight_of_the_joint_phase_falls_with_the_steps(evaluate):
    settings = {"schedule": "cosine", "steps": 10, "reconstruction_weight_final": 0.25}
    weights = []
    for step in (0, 5, 10):
        settings["reconstruction_weight"] = 8.0
        loss, terms, _ = evaluate(JOINT, step, **settings)
        weights.append(float((loss - terms["generator"]) / terms["reconstruction"]))
    assert weights == pytest.approx([8, 5, 2], rel=1e-4)


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_instance_noise_is_the_same_on_codes_and_samples(
    scale, standardize, tiny_config, tiny_state, monkeypatch
):
    """In units of the prior's deviation, for the discriminator's eyes only."""
    seen = []

    class Watched(Networks):
        def discriminate(self, params, z):
            return z

    for name in ("discriminator_loss", "generator_loss"):
        monkeypatch.setattr(
            losses, name, lambda *shown: seen.extend(shown) or jnp.zeros(())
        )

    config = replace(tiny_config, instance_noise=0.5, prior_scale=scale)
    config = replace(config, standardize_codes=standardize, gradient_penalty=0.0)
    model = make_model(config, image_shape=(8, 8, 1))
    model = replace(model, networks=Watched(**vars(model.networks)))
    same = Batch(jnp.full((5000, 8, 8, 1), 0.5))
    params = tiny_state("aae").params
    DISCRIMINATOR.loss(params, same, KEY, model)
    GENERATOR.loss(params, same, KEY, model)
    real, fake, again = map(np.asarray, seen)
    assert real.std(axis=0) == pytest.approx([scale * 1.25**0.5] * 2, rel=0.05)
    assert fake.std(axis=0) == pytest.approx([scale * 0.5] * 2, rel=0.05)
    assert again.std(axis=0) == pytest.approx([scale * 0.5] * 2, rel=0.05)
    z = model.networks.encode(params, same.x).z
    assert (fake - z).mean(axis=0) == pytest.approx([0, 0], abs=0.05 * scale)
    assert abs(np.corrcoef(fake[:, 0], real[:, 0])[0, 1]) < 0.1


def test_a_prior_from_python_takes_the_place_of_the_named_one(tiny_config):
    prior = normal(2, scale=3.0)
    model = make_model(tiny_config, image_shape=(8, 8, 1), prior=prior)
    assert model.prior is prior
    standardized = make_model(
        replace(tiny_config, standardize_codes=True), image_shape=(8, 8, 1), prior=prior
    )
    np.testing.assert_array_equal(standardized.networks.scale, [[3.0, 3.0]])
