"""Values that change over the steps of a run: rates and weights."""

import optax

from aae_jax.config import Config


def make_schedule(config: Config, value: float, *, final: float) -> optax.Schedule:
    """`schedule(step)`: `value` at step 0, `final` times that when all steps are done.

    By half a cosine where that is the config's schedule, else constant.

    Raises:
      UserError: a cosine needs the run's length in steps, and the config gives it in
        epochs alone.
    """
    if config.hyperparameters.schedule != "cosine":
        return optax.constant_schedule(value)
    return optax.cosine_decay_schedule(value, config.total_steps(), alpha=final)


def make_rate_schedule(config: Config, rate: float, *, final: float) -> optax.Schedule:
    """The same for a learning rate, which the schedule `steps` cuts twice.

    To a tenth when a hundredth, and again when a fifth of the steps are done.

    Source: Makhzani et al. 2015, appendix A: at epochs 50 and 1000 of 5000.
    """
    if config.hyperparameters.schedule != "steps":
        return make_schedule(config, rate, final=final)
    steps = config.total_steps()
    return optax.piecewise_constant_schedule(rate, {steps // 100: 0.1, steps // 5: 0.1})
