"""From a phase to the optax optimizer that moves the phase's subsets and no others."""

import optax

from aae_jax.config import Config
from aae_jax.phases import Phase
from aae_jax.schedules import make_schedule


def make_optimizer(config: Config, phase: Phase) -> optax.GradientTransformation:
    """Adam on the subsets that `phase` moves; everything else is held.

    The parameters' top-level keys label the partition.

    Raises:
      UserError: see `make_schedule`.
    """
    rate, beta1, epsilon, final = (
        getattr(config.hyperparameters, f"{phase.optimizer}_{setting}")
        for setting in ("rate", "beta1", "epsilon", "final")
    )
    adam = optax.adam(make_schedule(config, rate, final=final), b1=beta1, eps=epsilon)

    def label(params: dict) -> dict:
        return {name: "train" if name in phase.moves else "freeze" for name in params}

    return optax.partition({"train": adam, "freeze": optax.set_to_zero()}, label)
