"""Phases and variants: a variant of the autoencoder is a tuple of phases."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from aae_jax import losses
from aae_jax.checks import check_name, check_printable
from aae_jax.config import Config
from aae_jax.errors import UserError
from aae_jax.networks import SUBSETS, Networks, Params, make_networks
from aae_jax.priors import Prior, make_prior
from aae_jax.schedules import make_schedule

Terms = dict[str, Float[Array, ""]]
"""Named losses, for the log."""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Batch:
    """Images of one step; leaves that a variant does not use are None.

    Attributes:
      x: `[batch, height, width, channels]`, images in [0, 1].
      y: `[batch]`, labels, -1 where unlabelled.
      x_labelled, y_labelled: a batch of labelled images alone.
    """

    x: Float[Array, "batch height width channels"]
    y: Int[Array, " batch"] | None = None
    x_labelled: Float[Array, "labelled height width channels"] | None = None
    y_labelled: Int[Array, " labelled"] | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        _, height, width, channels = self.x.shape
        return height, width, channels


@dataclass(frozen=True)
class Model:
    """What a loss reads beside parameters and batch.

    Attributes:
      config, networks, prior: see there.
      step: how many steps are done, for weights that follow a schedule; 0 outside of
        training.
    """

    config: Config
    networks: Networks
    prior: Prior
    step: Int[Array, ""] | int = 0

    def scheduled(self, value: float, *, final: float = 0.0) -> Float[Array, ""]:
        """A weight or noise at this step, see `make_schedule`."""
        schedule = make_schedule(self.config, value, final=final)
        return jnp.asarray(schedule(self.step))


def make_model(
    config: Config,
    *,
    image_shape: tuple[int, int, int],
    prior: Prior | None = None,
    step: Int[Array, ""] | int = 0,
) -> Model:
    """The networks and the prior of a config; `prior` in place of the named one."""
    config = config.with_own_prior(prior)
    prior = prior or make_prior(config)
    return Model(config, make_networks(config, prior, image_shape), prior, step)


OPTIMIZERS = ("reconstruction", "discriminator", "generator")
"""Groups of Adam settings that a config has."""

Loss = Callable[[Params, Batch, PRNGKeyArray, Model], tuple[Float[Array, ""], Terms]]


@dataclass(frozen=True)
class Phase:
    """One loss and the subsets of the parameters that it moves.

    Attributes:
      name: for logs, optimizer states and messages.
      loss: `loss(params, batch, key, model) -> (scalar, terms)`; the scalar is
        differentiated, the terms are logged.
      moves: names of the subsets that this phase changes.
      optimizer: whose rate, beta1 and epsilon it uses: reconstruction, discriminator
        or generator.
    """

    name: str
    loss: Loss
    moves: tuple[str, ...]
    optimizer: str

    def __post_init__(self) -> None:
        """Refuse what would only fail in the middle of a trace.

        Raises:
          UserError: a name that cannot be shown, an unknown subset or optimizer.
        """
        check_printable("phase", self.name)
        if isinstance(self.moves, str) or not set(self.moves) <= set(SUBSETS):
            raise UserError(
                f"phase {self.name!r} moves {self.moves!r}; give a tuple of names out "
                f"of {', '.join(SUBSETS)}"
            )
        check_name("optimizer", self.optimizer, OPTIMIZERS)


def reconstruction_phase_loss(
    params: Params, batch: Batch, key: PRNGKeyArray, model: Model
) -> tuple[Array, Terms]:
    """Mean squared error of the images after a way through the code.

    The noise on what goes in dies out with the rates.
    """
    x = batch.x
    if noise := model.config.hyperparameters.input_noise:
        x = x + model.scheduled(noise) * jax.random.normal(key, x.shape)
    x_hat = model.networks.decode(params, model.networks.encode(params, x))
    loss = losses.reconstruction_loss(batch.x, x_hat)
    return loss, {"reconstruction": loss}


def discriminator_phase_loss(
    params: Params, batch: Batch, key: PRNGKeyArray, model: Model
) -> tuple[Array, Terms]:
    """Cross-entropy of prior samples against codes, plus half the gradient penalty.

    The penalty is taken at the samples and at the codes, with their instance noise,
    and both are added.
    """
    sample_key, real_key, fake_key = jax.random.split(key, 3)
    # Codes are data here: the discriminator must not pull the encoder its way.
    z = jax.lax.stop_gradient(model.networks.encode(params, batch.x))
    z = _with_instance_noise(fake_key, z, model)
    z_prior = model.prior.sample(sample_key, len(z))
    z_prior = _with_instance_noise(real_key, z_prior, model)

    def discriminate(points: Array) -> Array:
        return model.networks.discriminate(params, points)

    loss = losses.discriminator_loss(discriminate(z_prior), discriminate(z))
    terms = {"discriminator": loss}
    if weight := model.config.hyperparameters.gradient_penalty:
        # Slopes a unit of what the discriminator sees: one weight fits every prior.
        unit = model.networks.scale
        loss = loss + weight / 2 * sum(
            losses.gradient_penalty(lambda seen: discriminate(seen * unit), at / unit)
            for at in (z_prior, z)
        )
    return loss, terms


def generator_phase_loss(
    params: Params, batch: Batch, key: PRNGKeyArray, model: Model
) -> tuple[Array, Terms]:
    """Cross-entropy of codes that should pass for prior samples."""
    z = model.networks.encode(params, batch.x)
    z = _with_instance_noise(key, z, model)
    loss = losses.generator_loss(model.networks.discriminate(params, z))
    return loss, {"generator": loss}


def joint_phase_loss(
    params: Params, batch: Batch, key: PRNGKeyArray, model: Model
) -> tuple[Array, Terms]:
    """Weighted reconstruction error plus generator loss.

    The sum fixes their balance. As separate phases each Adam normalizes its own
    gradient, and the balance is left to the learning rates.
    """
    hyper = model.config.hyperparameters
    weight = model.scheduled(
        hyper.reconstruction_weight, final=hyper.reconstruction_weight_final
    )
    error_key, fooling_key = jax.random.split(key)
    error, error_term = reconstruction_phase_loss(params, batch, error_key, model)
    fooling, fooling_term = generator_phase_loss(params, batch, fooling_key, model)
    return weight * error + fooling, error_term | fooling_term


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


RECONSTRUCTION = Phase(
    "reconstruction",
    reconstruction_phase_loss,
    moves=("encoder", "decoder"),
    optimizer="reconstruction",
)
DISCRIMINATOR = Phase(
    "discriminator",
    discriminator_phase_loss,
    moves=("discriminator",),
    optimizer="discriminator",
)
GENERATOR = Phase(
    "generator", generator_phase_loss, moves=("encoder",), optimizer="generator"
)
JOINT = Phase(
    "reconstruction_and_generator",
    joint_phase_loss,
    moves=("encoder", "decoder"),
    optimizer="reconstruction",
)

VARIANTS: Mapping[str, tuple[Phase, ...]] = {
    "autoencoder": (RECONSTRUCTION,),
    "aae": (RECONSTRUCTION, DISCRIMINATOR, GENERATOR),
    "aae-joint": (JOINT, DISCRIMINATOR),
}
"""The phases of each model, in the order in which a step runs them."""


def subsets_of(phases: Iterable[Phase]) -> tuple[str, ...]:
    """The subsets that a variant has: those that its phases move, each once.

    Raises:
      UserError: no phase moves the encoder, or none the decoder.
    """
    subsets = tuple(dict.fromkeys(name for phase in phases for name in phase.moves))
    for needed in ("encoder", "decoder"):
        if needed not in subsets:
            raise UserError(
                f"no phase moves the {needed}; add one that does, such as "
                "VARIANTS['autoencoder'][0]"
            )
    return subsets


def find_phase(phases: tuple[Phase, ...], phase: str | Phase) -> int:
    """Where a phase stands in a variant: the one of that name, or that very phase.

    Raises:
      UserError: the variant does not have it, or has two phases of one name.
    """
    names = [each.name for each in phases]
    if len(set(names)) < len(names):
        raise UserError(f"two phases have the same name: {names}; give each its own")
    if isinstance(phase, str) and phase in names:
        return names.index(phase)
    if phase not in phases:
        name = phase if isinstance(phase, str) else phase.name
        raise UserError(
            f"phase {name!r} is not one of this variant's: {names}; pass one's own "
            "among phases=..."
        )
    return phases.index(phase)
