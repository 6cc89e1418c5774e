"""From a phase to the optax optimizer that moves the phase's subsets and no others."""

import optax

from aae_jax.config import Config
from aae_jax.phases import Phase

FINAL_RATE = 0.01
"""Where the cosine schedule ends, as a share of the first rate."""


def make_schedule(config: Config, rate: float) -> optax.ScalarOrSchedule:
    """A learning rate over the steps of a run, by the config's schedule."""
    if config.hyperparameters.schedule == "constant":
        return rate
    return optax.cosine_decay_schedule(rate, config.total_steps(), alpha=FINAL_RATE)


def make_optimizer(config: Config, phase: Phase) -> optax.GradientTransformation:
    """Adam on the subsets that `phase` moves; everything else is held.

    The parameters' top-level keys label the partition.

    Raises:
      UserError: the schedule needs the run's length in steps and the config gives it
        in epochs alone.
    """
    hyper = config.hyperparameters
    adversarial = phase.optimizer != "reconstruction"
    adam = optax.adam(
        make_schedule(config, getattr(hyper, f"{phase.optimizer}_rate")),
        b1=hyper.adversarial_beta1 if adversarial else hyper.reconstruction_beta1,
        eps=hyper.adversarial_epsilon if phase.optimizer == "generator" else 1e-8,
    )

    def label(params: dict) -> dict:
        return {name: "train" if name in phase.moves else "freeze" for name in params}

    return optax.partition({"train": adam, "freeze": optax.set_to_zero()}, label)
