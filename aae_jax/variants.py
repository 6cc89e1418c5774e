"""The variants of the adversarial autoencoder: each is a tuple of phases."""

from collections.abc import Mapping

from aae_jax.config import Config
from aae_jax.phase_losses import (
    classification_phase_loss,
    discriminator_phase_loss,
    generator_phase_loss,
    joint_phase_loss,
    label_discriminator_phase_loss,
    label_generator_phase_loss,
    reconstruction_phase_loss,
    reconstruction_with_heads_phase_loss,
)
from aae_jax.phases import Phase

RECONSTRUCTION = Phase(
    "reconstruction",
    reconstruction_phase_loss,
    moves=("encoder", "decoder"),
    optimizer="reconstruction",
)
RECONSTRUCTION_WITH_HEADS = Phase(
    "reconstruction_with_heads",
    reconstruction_with_heads_phase_loss,
    moves=("encoder", "decoder", "cluster_heads"),
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
LABEL_DISCRIMINATOR = Phase(
    "label_discriminator",
    label_discriminator_phase_loss,
    moves=("label_discriminator",),
    optimizer="discriminator",
)
LABEL_GENERATOR = Phase(
    "label_generator",
    label_generator_phase_loss,
    moves=("encoder",),
    optimizer="label_generator",
)
CLASSIFICATION = Phase(
    "classification",
    classification_phase_loss,
    moves=("encoder",),
    optimizer="classification",
)

_AAE = (RECONSTRUCTION, DISCRIMINATOR, GENERATOR)
_LABEL_ADVERSARY = (LABEL_DISCRIMINATOR, LABEL_GENERATOR)

VARIANTS: Mapping[str, tuple[Phase, ...]] = {
    "autoencoder": (RECONSTRUCTION,),
    "aae": _AAE,
    "aae-joint": (JOINT, DISCRIMINATOR),
    "supervised": _AAE,
    "label-prior": _AAE,
    "semi-supervised": (*_AAE, *_LABEL_ADVERSARY, CLASSIFICATION),
    "clustering": (*_AAE, *_LABEL_ADVERSARY),
    "dim-reduction": (
        RECONSTRUCTION_WITH_HEADS,
        DISCRIMINATOR,
        GENERATOR,
        *_LABEL_ADVERSARY,
        CLASSIFICATION,
    ),
}
"""The phases of each model, in the order in which a step runs them.

`supervised` and `label-prior` are the phases of `aae`: what differs is what their
networks read, see `wirings.WIRINGS`.
"""


def phases_of(config: Config) -> tuple[Phase, ...]:
    """The phases of a config's model; without labels nothing is classified."""
    phases = VARIANTS[config.model]
    if config.finds_clusters:
        return tuple(phase for phase in phases if phase is not CLASSIFICATION)
    return phases
