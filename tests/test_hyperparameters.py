"""What a training reads of its hyper-parameters."""

from dataclasses import replace

import jax
import pytest

from aae_jax.config import Config
from aae_jax.loop import init_loop, make_loop
from aae_jax.priors import make_prior
from aae_jax.training import init, make_step
from aae_jax.variants import VARIANTS
from aae_jax.windows import Shuffled

pytestmark = pytest.mark.usefixtures("without_coverage")

SHAPE = (8, 8, 1)


class Watched:
    """Hyper-parameters that remember which of them were asked for."""

    def __init__(self, hyper):
        self.hyper, self.read = hyper, set()

    def __getattr__(self, name):
        self.read.add(name)
        return getattr(self.hyper, name)


@pytest.mark.parametrize(
    ("model", "labels"), [*((model, 8) for model in VARIANTS), ("dim-reduction", 0)]
)
def test_what_is_said_to_do_nothing_in_a_variant_is_never_read(
    model, labels, tiny_config_of, monkeypatch
):
    # What is read only where something else is not 0 is read here.
    config = replace(tiny_config_of(model), consistency_weight=1.0, instance_noise=0.1)
    config = replace(config, schedule="cosine", labels=labels)
    watched = Watched(config.hyperparameters)
    monkeypatch.setattr(Config, "hyperparameters", watched)

    step, rows = make_step(config), jax.numpy.arange(20)
    x = jax.numpy.zeros((20, *SHAPE), "uint8")
    window = Shuffled(x, rows, rows, rows, jax.numpy.int32(0))

    def train(key):
        carry = init_loop(config, key, step=step, image_shape=SHAPE)
        return make_loop(config, step)(carry, window, 1)

    jax.eval_shape(train, jax.random.key(0))
    # Steps are given; networks are described whether a variant has them or not.
    apart = {"epochs", "standardize_codes"}
    unread = set(vars(watched.hyper)) - watched.read
    assert unread - apart == set(config.unread) - apart


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
