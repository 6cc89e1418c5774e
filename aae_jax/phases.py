"""What a phase is: one loss and the subsets of the parameters that it moves."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from aae_jax.architecture import make_networks
from aae_jax.checks import check_name, check_printable
from aae_jax.config import Config
from aae_jax.errors import UserError
from aae_jax.networks import SUBSETS, Networks, Params
from aae_jax.priors import Prior, make_prior
from aae_jax.recipes import OPTIMIZERS
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


Loss = Callable[[Params, Batch, PRNGKeyArray, Model], tuple[Float[Array, ""], Terms]]


@dataclass(frozen=True)
class Phase:
    """One loss and the subsets of the parameters that it moves.

    Attributes:
      name: for logs, optimizer states and messages.
      loss: `loss(params, batch, key, model) -> (scalar, terms)`; the scalar is
        differentiated, the terms are logged.
      moves: names of the subsets that this phase changes.
      optimizer: whose rate, beta1 and epsilon it uses, one of `OPTIMIZERS`.
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
