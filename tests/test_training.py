"""The first state, the update of a phase, and the step."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from states import assert_same_bits

from aae_jax.errors import UserError
from aae_jax.networks import STATISTICS
from aae_jax.phases import Phase, make_model
from aae_jax.training import (
    TrainState,
    _running_average,
    init,
    make_step,
    make_update,
)
from aae_jax.variants import GENERATOR, JOINT, RECONSTRUCTION, VARIANTS

pytestmark = pytest.mark.usefixtures("without_coverage")

SHAPE = (8, 8, 1)


@pytest.mark.parametrize("model", VARIANTS)
def test_first_state(model, tiny_state):
    state = tiny_state(model)
    assert state.step == 0
    assert state.step.dtype == jnp.int32
    assert jnp.issubdtype(state.key.dtype, jax.dtypes.prng_key)
    # Nothing that a second call would see as another type, and compile again.
    arrays = (state.params, state.optimizer_states, state.step)
    assert not any(leaf.weak_type for leaf in jax.tree.leaves(arrays))


@pytest.mark.parametrize("model", VARIANTS)
def test_step_is_the_updates_in_order(
    model, tiny_config_of, tiny_state, tiny_update, tiny_batch
):
    """Each phase sees the parameters as the one before left them, on the same batch."""
    step = make_step(tiny_config_of(model))
    state = tiny_state(model)
    after, info = step(state, tiny_batch)
    losses, norms = {}, {}
    for phase in VARIANTS[model]:
        state, one = tiny_update(model, phase.name)(state, tiny_batch)
        losses |= one.losses
        norms |= one.gradient_norms
    assert after.step == state.step + 1
    assert_same_bits(after.key, state.key)
    for ours, theirs in (
        (after.params, state.params),
        (after.optimizer_states, state.optimizer_states),
        (info.losses, losses),
        (info.gradient_norms, norms),
    ):
        assert_same_bits(ours, theirs)


def test_update_is_by_the_phase_or_its_name(tiny_config, tiny_state, tiny_batch):
    state = tiny_state("aae")
    by_name, by_phase = (
        jax.make_jaxpr(make_update(tiny_config, phase))(state, tiny_batch)
        for phase in ("generator", GENERATOR)
    )
    assert str(by_name) == str(by_phase)
    with pytest.raises(UserError, match="'classification' is not one of"):
        make_update(tiny_config, "classification")


def test_gradient_norm_is_that_of_the_whole_gradient(tiny_config, tiny_batch):
    """One number out of all of a phase's leaves: a loss of slopes 3 and 4 has 5."""

    def loss(params, batch, key, model):
        layer = params["encoder"]["Dense_2"]["bias"]
        return (layer * jnp.array([3.0, 4.0])).sum(), {}

    phase = Phase("linear", loss, ("encoder", "decoder"), "generator")
    state = init(tiny_config, jax.random.key(0), image_shape=SHAPE, phases=(phase,))
    _, info = make_update(tiny_config, phase, phases=(phase,))(state, tiny_batch)
    assert info.gradient_norms["linear"] == pytest.approx(5.0)


def test_a_phase_s_weight_follows_the_state_s_step(tiny_config, tiny_batch):
    quiet = {"instance_noise": 0.0, "input_noise": 0.0, "schedule": "cosine"}
    config = replace(
        tiny_config,
        model="aae-joint",
        steps=10,
        reconstruction_weight=1e6,
        reconstruction_weight_final=0.0,
        **quiet,
    )
    update = make_update(config, JOINT)
    state = init(config, jax.random.key(0), image_shape=SHAPE)
    norms = []
    for step in (0, 5):
        _, info = update(replace(state, step=jnp.int32(step)), tiny_batch)
        norms.append(float(info.gradient_norms[JOINT.name]))
    assert norms[1] == pytest.approx(norms[0] / 2, rel=1e-3)


def test_training_can_be_mapped_over_seeds(tiny_config, tiny_batch):
    """Training is a function of a key: init and step take many at once."""
    step = make_step(tiny_config)

    def train(key):
        return step(init(tiny_config, key, image_shape=SHAPE), tiny_batch)

    keys = jax.random.split(jax.random.key(0), 3)
    states, infos = jax.eval_shape(jax.vmap(train), keys)
    alone, info = jax.eval_shape(train, keys[0])
    for many, one in ((states, alone), (infos, info)):
        shapes = jax.tree.map(lambda leaf: (3, *leaf.shape), one)
        assert jax.tree.map(lambda leaf: leaf.shape, many) == shapes


def test_each_of_many_seeds_is_trained_as_if_alone(
    tiny_config, tiny_state, tiny_update, tiny_batch
):
    step = make_step(replace(tiny_config, model="autoencoder"))
    alone = tiny_state("autoencoder")
    other = jax.tree.map(lambda leaf: leaf[::-1], alone.params)
    both = replace(
        jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), alone),
        params=jax.tree.map(lambda *leaves: jnp.stack(leaves), other, alone.params),
    )
    states, infos = jax.jit(jax.vmap(step, in_axes=(0, None)))(both, tiny_batch)
    after, info = tiny_update("autoencoder", "reconstruction")(alone, tiny_batch)
    assert states.step.tolist() == [1, 1]
    errors = infos.losses["reconstruction"]
    # Products of a stack add up in another order: not bit for bit.
    assert errors[1] == pytest.approx(float(info.losses["reconstruction"]), rel=1e-5)
    assert errors[0] != pytest.approx(float(errors[1]), rel=1e-3)
    moments = (states.optimizer_states, after.optimizer_states)
    for many, one in zip(*map(jax.tree.leaves, moments), strict=True):
        np.testing.assert_allclose(many[1], one, rtol=1e-3, atol=1e-6)


def test_two_terms_of_one_name_are_refused(tiny_config, tiny_batch):
    again = replace(RECONSTRUCTION, name="again")
    phases = (RECONSTRUCTION, again)
    state = init(tiny_config, jax.random.key(0), image_shape=SHAPE, phases=phases)
    with pytest.raises(UserError, match="two phases return a term named 'reconstruc"):
        make_step(tiny_config, phases=phases)(state, tiny_batch)


def length_loss(params, batch, key, model):
    z = model.networks.encode(params, batch.x).z
    length = (z * z).mean()
    return length, {"length": length}


def test_phases_from_python_take_the_place_of_the_variant_s(tiny_config, tiny_batch):
    phases = (RECONSTRUCTION, Phase("shrink", length_loss, ("encoder",), "generator"))
    config = replace(tiny_config, reconstruction_rate=0.0, generator_rate=0.01)
    state = init(config, jax.random.key(0), image_shape=SHAPE, phases=phases)
    assert set(state.params) == {"encoder", "decoder"}
    assert set(state.optimizer_states) == {"reconstruction", "shrink"}
    step = make_step(config, phases=phases)
    lengths = []
    for _ in range(20):
        state, info = step(state, tiny_batch)
        lengths.append(float(info.losses["length"]))
    assert lengths[-1] < lengths[0] / 2
    assert isinstance(state, TrainState)


def test_a_phase_that_reads_what_no_phase_moves_is_refused(tiny_config, tiny_batch):
    phases = (RECONSTRUCTION, GENERATOR)
    state = init(tiny_config, jax.random.key(0), image_shape=SHAPE, phases=phases)
    step = make_step(tiny_config, phases=phases)
    with pytest.raises(UserError, match="'generator' reads 'discriminator', which no"):
        step(state, tiny_batch)

    def careless(params, batch, key, model):
        return {}["own"], {}

    own = Phase("own", careless, ("encoder", "decoder"), "reconstruction")
    with pytest.raises(KeyError, match="own"):
        make_step(tiny_config, phases=(own,))(state, tiny_batch)


def test_statistics_are_the_mean_over_steps(tiny_config, tiny_batch):
    """Of the parameters after each step; an update by a phase leaves them alone."""
    config = replace(tiny_config, batch_norm=True)
    state = init(config, jax.random.key(0), image_shape=SHAPE)
    networks = make_model(config, image_shape=SHAPE).networks
    step, update = make_step(config), make_update(config, "reconstruction")
    seen = []
    for shift in (0.0, 0.1, 0.2):
        batch = replace(tiny_batch, x=tiny_batch.x * (1 - shift))
        after, _ = update(state, batch)
        assert_same_bits(after.statistics, state.statistics)
        state, _ = step(state, batch)
        seen.append(networks.statistics(state.params, batch.x, state.key))
    mean = jax.tree.map(lambda *leaves: sum(leaves) / 3, *seen)
    assert set(state.statistics) == {STATISTICS}
    for ours, theirs in zip(
        *map(jax.tree.leaves, (state.statistics, mean)), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    assert set(state.weights) == {*state.params, STATISTICS}


def test_old_statistics_are_forgotten():
    average, batch = {"mean": jnp.zeros(1)}, {"mean": jnp.ones(1)}
    for step in range(500):
        average = _running_average(average, {"mean": jnp.full(1, 7.0)}, jnp.int32(step))
    assert average["mean"] == pytest.approx(7.0)
    for step in range(500, 800):
        average = _running_average(average, batch, jnp.int32(step))
    assert average["mean"] == pytest.approx(1.0, abs=0.5)


def test_without_batch_normalization_there_are_no_statistics(tiny_state):
    state = tiny_state("aae")
    assert state.statistics == {}
    assert state.weights == state.params
