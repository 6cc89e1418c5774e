"""The losses that phases are made of: `loss(params, batch, key, model)`.

Each returns the scalar that is differentiated, and the named terms that are logged.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from aae_jax import losses
from aae_jax.consistency import consistency_loss
from aae_jax.networks import Code, Params
from aae_jax.phases import Batch, Model, Terms

_ENCODER_STREAM = 2**32 - 1  # no part of a `split`, whose parts count up from 0


def reconstruction_phase_loss(
    params: Params, batch: Batch, key: PRNGKeyArray, model: Model
) -> tuple[Array, Terms]:
    """Mean squared error of the images after a way through the code."""
    x = _with_input_noise(key, batch.x, model)
    code = model.networks.encode(params, x, _encoder_key(key))
    x_hat = model.networks.decode_code(params, code, batch.y)
    loss = losses.reconstruction_loss(batch.x, x_hat)
    return loss, {"reconstruction": loss}


def reconstruction_with_heads_phase_loss(
    params: Params, batch: Batch, key: PRNGKeyArray, model: Model
) -> tuple[Array, Terms]:
    """Weighted reconstruction error plus the cost of cluster heads near each other."""
    error, terms = reconstruction_phase_loss(params, batch, key, model)
    heads = params["cluster_heads"]["kernel"]
    apart = model.config.hyperparameters.head_distance
    crowding = losses.cluster_head_loss(heads, apart)
    loss = _reconstruction_weight(model) * error + crowding
    return loss, terms | {"cluster_heads": crowding}


def discriminator_phase_loss(
    params: Params, batch: Batch, key: PRNGKeyArray, model: Model
) -> tuple[Array, Terms]:
    """Cross-entropy of prior samples against codes, plus half the gradient penalty.

    Where the discriminator sees labels, the codes of each class are to follow the
    prior, or the part of it that the label chooses. The penalty is taken at the samples
    and at the codes (R1 and R2 of Mescheder et al. 2018), with their instance noise,
    and both are added.
    """
    sample_key, real_key, fake_key = jax.random.split(key, 3)
    batch, seen = _as_discriminated(batch, model)
    # Codes are data here: the discriminator must not pull the encoder its way.
    z = jax.lax.stop_gradient(_encode(params, batch, key, model).z)
    z = _with_instance_noise(fake_key, z, model)
    chosen = seen if model.networks.wiring.parts_prior else ()
    z_prior = model.prior.sample(sample_key, len(z), *chosen)
    z_prior = _with_instance_noise(real_key, z_prior, model)

    def discriminate(points: Array) -> Array:
        return model.networks.discriminate(params, points, *seen)

    # One product a layer for both, and each its own mean where there is batch norm.
    real, fake = jax.vmap(discriminate)(jnp.stack([z_prior, z]))
    loss = losses.discriminator_loss(real, fake)
    terms = {"discriminator": loss}
    if weight := model.config.hyperparameters.gradient_penalty:
        # Slopes a unit of what the discriminator sees: one weight fits every prior.
        unit = model.networks.scale
        loss = loss + weight / 2 * sum(
            losses.gradient_penalty(lambda each: discriminate(each * unit), at / unit)
            for at in (z_prior, z)
        )
    return loss, terms


def generator_phase_loss(
    params: Params, batch: Batch, key: PRNGKeyArray, model: Model
) -> tuple[Array, Terms]:
    """Cross-entropy of codes that should pass for prior samples."""
    batch, seen = _as_discriminated(batch, model)
    z = _encode(params, batch, key, model).z
    z = _with_instance_noise(key, z, model)
    logits = model.networks.discriminate(params, z, *seen)
    loss = losses.generator_loss(logits)
    return loss, {"generator": loss}


def joint_phase_loss(
    params: Params, batch: Batch, key: PRNGKeyArray, model: Model
) -> tuple[Array, Terms]:
    """Weighted reconstruction error plus generator loss.

    The sum fixes their balance. As separate phases each Adam normalizes its own
    gradient, and the balance is left to the learning rates.
    """
    error_key, fooling_key = jax.random.split(key)
    error, error_term = reconstruction_phase_loss(params, batch, error_key, model)
    fooling, fooling_term = generator_phase_loss(params, batch, fooling_key, model)
    loss = _reconstruction_weight(model) * error + fooling
    return loss, error_term | fooling_term


def label_discriminator_phase_loss(
    params: Params, batch: Batch, key: PRNGKeyArray, model: Model
) -> tuple[Array, Terms]:
    """Cross-entropy of uniform categories against those inferred.

    Of each image, or, with `aggregated_categories`, of the batch together.

    Source: Makhzani et al. 2015, section 5: q(y) is matched to Cat(y).
    """
    networks = model.networks
    y = jax.lax.stop_gradient(_encode(params, batch, key, model).y)
    if model.config.hyperparameters.aggregated_categories:
        logits = _logits_of_categories(params, model)
        loss = losses.aggregated_discriminator_loss(logits, y.mean(axis=0))
        return loss, {"label_discriminator": loss}
    drawn = jax.random.randint(key, (len(y),), 0, networks.n_categories)
    y_prior = jax.nn.one_hot(drawn, networks.n_categories)
    real, fake = jax.vmap(partial(networks.discriminate_category, params))(
        jnp.stack([y_prior, y])
    )
    loss = losses.discriminator_loss(real, fake)
    return loss, {"label_discriminator": loss}


def label_generator_phase_loss(
    params: Params, batch: Batch, key: PRNGKeyArray, model: Model
) -> tuple[Array, Terms]:
    """Cross-entropy of inferred categories that should pass for uniform ones.

    Plus, by their weights, how undecided they are, and how much they change under small
    changes of the images.
    """
    hyper, networks = model.config.hyperparameters, model.networks
    code = _encode(params, batch, key, model)
    if hyper.aggregated_categories:
        logits = _logits_of_categories(params, model)
        loss = losses.aggregated_generator_loss(logits, code.y.mean(axis=0))
        terms = {"label_divergence": loss}  # its equilibrium is 0, not ln 2
    else:
        loss = losses.generator_loss(networks.discriminate_category(params, code.y))
        terms = {"label_generator": loss}
    if hyper.entropy_weight:
        terms["entropy"] = losses.entropy_loss(code.require_logits())
        loss = loss + hyper.entropy_weight * terms["entropy"]
    if hyper.consistency_weight:
        terms["consistency"] = consistency_loss(
            lambda x: networks.encode(params, x, _encoder_key(key)).require_logits(),
            batch.x,
            key,
            radius=hyper.consistency_radius,
            probe=hyper.consistency_probe,
        )
        loss = loss + hyper.consistency_weight * terms["consistency"]
    return loss, terms


def classification_phase_loss(
    params: Params, batch: Batch, key: PRNGKeyArray, model: Model
) -> tuple[Array, Terms]:
    """Cross-entropy of the categories inferred from labelled images.

    Source: Makhzani et al. 2015, section 5, the semi-supervised classification phase.
    """
    x_labelled, y_labelled = _labelled(batch)
    x = _with_input_noise(key, x_labelled, model)
    code = model.networks.encode(params, x, _encoder_key(key))
    loss = losses.classification_loss(code.require_logits(), y_labelled)
    return loss, {"classification": loss}


def _reconstruction_weight(model: Model) -> Float[Array, ""]:
    """Of the error in a sum of losses."""
    hyper = model.config.hyperparameters
    return model.scheduled(
        hyper.reconstruction_weight, final=hyper.reconstruction_weight_final
    )


def _encode(params: Params, batch: Batch, key: PRNGKeyArray, model: Model) -> Code:
    """Codes of the batch as the adversaries see them, without noise on the images."""
    return model.networks.encode(params, batch.x, _encoder_key(key))


def _labelled(batch: Batch) -> tuple[Array, Array]:
    if batch.x_labelled is None or batch.y_labelled is None:
        raise ValueError(
            "this phase learns from labelled images; give the batch x_labelled and "
            "y_labelled"
        )
    return batch.x_labelled, batch.y_labelled


def _logits_of_categories(params: Params, model: Model) -> Float[Array, " categories"]:
    """What the label discriminator says of each category for certain."""
    certain = jnp.eye(model.networks.n_categories)
    return model.networks.discriminate_category(params, certain)


def _encoder_key(key: PRNGKeyArray) -> PRNGKeyArray:
    """For what is random in the encoder; apart from all that a phase draws itself."""
    return jax.random.fold_in(key, _ENCODER_STREAM)


def _as_discriminated(
    batch: Batch, model: Model
) -> tuple[Batch, tuple[Int[Array, " batch"], ...]]:
    """The images whose codes the discriminator sees, and their labels if it sees them.

    Where labels choose the part of the prior, and the batch has labelled images apart,
    these stand beside the others, which may have few labels.
    """
    wiring = model.networks.wiring
    if not wiring.discriminates_y:
        return batch, ()
    if batch.y is None:
        raise ValueError(
            "the discriminator of this model sees labels; give the batch y"
        )
    if not wiring.parts_prior or batch.x_labelled is None:
        return batch, (batch.y,)
    x_labelled, y_labelled = _labelled(batch)
    x = jnp.concatenate([batch.x, x_labelled])
    y = jnp.concatenate([batch.y, y_labelled])
    return Batch(x, y), (y,)


def _with_input_noise(
    key: PRNGKeyArray, x: Float[Array, "batch height width channels"], model: Model
) -> Float[Array, "batch height width channels"]:
    """Images as reconstruction and classification show them to the encoder.

    Under a cosine schedule the noise falls to 0.
    """
    if noise := model.config.hyperparameters.input_noise:
        return x + model.scheduled(noise) * jax.random.normal(key, x.shape)
    return x


def _with_instance_noise(
    key: PRNGKeyArray, z: Float[Array, "batch z_dim"], model: Model
) -> Float[Array, "batch z_dim"]:
    """Codes or samples as the discriminator is shown them, in training.

    Source: instance noise, Sonderby et al. 2017, "Amortised MAP inference for image
    super-resolution", section 3.2.
    """
    hyper = model.config.hyperparameters
    if not hyper.instance_noise:
        return z
    noise = model.scheduled(hyper.instance_noise, final=hyper.instance_noise_final)
    deviation = noise * model.prior.std[None]
    return z + deviation * jax.random.normal(key, z.shape)
