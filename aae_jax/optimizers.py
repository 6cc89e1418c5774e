"""From a phase to the optax optimizer that moves the phase's subsets and no others."""

import optax

from aae_jax.config import Config
from aae_jax.phases import Phase
from aae_jax.schedules import make_rate_schedule


def make_optimizer(config: Config, phase: Phase) -> optax.GradientTransformation:
    """Adam, or SGD, on the subsets that `phase` moves; everything else is held.

    The parameters' top-level keys label the partition.

    Raises:
      UserError: see `make_rate_schedule`.
    """
    hyper = config.hyperparameters
    rate, beta1, epsilon, final = (
        getattr(hyper, f"{phase.optimizer}_{setting}")
        for setting in ("rate", "beta1", "epsilon", "final")
    )
    schedule = make_rate_schedule(config, rate, final=final)
    if hyper.optimizer == "sgd":
        moving = optax.sgd(schedule, momentum=beta1)
    else:
        moving = optax.adam(schedule, b1=beta1, eps=epsilon)

    def label(params: dict) -> dict:
        return {name: "train" if name in phase.moves else "freeze" for name in params}

    return optax.partition({"train": moving, "freeze": optax.set_to_zero()}, label)
