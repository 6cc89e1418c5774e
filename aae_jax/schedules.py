"""Values that change over the steps of a run: rates and weights."""

import optax

from aae_jax.config import Config


def make_schedule(config: Config, value: float, *, final: float) -> optax.Schedule:
    """`schedule(step)`: `value` at step 0, `final` times that when all steps are done.

    By half a cosine; or constant, as the config says.

    Raises:
      UserError: a cosine needs the run's length in steps, and the config gives it in
        epochs alone.
    """
    if config.hyperparameters.schedule == "constant":
        return optax.constant_schedule(value)
    return optax.cosine_decay_schedule(value, config.total_steps(), alpha=final)
