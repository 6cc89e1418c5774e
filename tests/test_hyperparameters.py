"""What a training reads of its config: a change makes another program, or is unread."""

from dataclasses import replace

import jax
import pytest

from aae_jax.config import Config
from aae_jax.priors import make_prior
from aae_jax.recipes import UNREAD
from aae_jax.training import init, make_step
from aae_jax.variants import VARIANTS

pytestmark = pytest.mark.usefixtures("without_coverage")

SHAPE = (8, 8, 1)


@pytest.mark.parametrize("model", VARIANTS)
def test_what_is_said_to_do_nothing_in_a_variant_does_nothing(
    model, tiny_config_of, tiny_batch
):
    """A training is another program when a hyper-parameter changes, or it is unread."""
    config = tiny_config_of(model)
    base = Config(
        model=model,
        prior=config.prior,
        n_classes=4,
        hidden=(4,),
        batch_size=20,
        steps=60,
    )

    def program(**changed):
        config = replace(base, **changed)

        def train(key):
            state = init(config, key, image_shape=SHAPE)
            return make_step(config)(state, tiny_batch)

        return str(jax.make_jaxpr(train)(jax.random.key(0)))

    unchanged = program()
    unread = set()
    for name, value in vars(base.hyperparameters).items():
        other = {"initializer": "normal", "schedule": "constant", "steps": 61}.get(name)
        if name == "epochs":
            continue  # another way to say steps
        if other is None:
            other = not value if isinstance(value, bool) else value / 2 + 0.013
        if program(**{name: other}) == unchanged:
            unread.add(name)
    assert unread == set(UNREAD[model])


def test_a_prior_of_one_s_own_has_its_recipe_wherever_it_is_passed(tiny_batch):
    def program(config, prior):
        def train(key):
            state = init(config, key, image_shape=SHAPE, prior=prior)
            return make_step(config, prior=prior)(state, tiny_batch)

        return str(jax.make_jaxpr(train)(jax.random.key(0)))

    config = Config(hidden=(4,), batch_size=20, steps=60)
    own = make_prior(config)
    custom = replace(config, prior="custom")
    assert program(config, own) == program(custom, own) != program(config, None)
