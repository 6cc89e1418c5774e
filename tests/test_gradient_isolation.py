"""A phase moves its own subsets of the parameters; all else stays, bit for bit.

`MOVES` is said here a second time, on purpose: `phases.py` must agree with it.
"""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from aae_jax.optimizers import make_optimizer
from aae_jax.phases import make_model, subsets_of
from aae_jax.training import init, make_update
from aae_jax.variants import (
    DISCRIMINATOR,
    GENERATOR,
    LABEL_DISCRIMINATOR,
    VARIANTS,
)

pytestmark = pytest.mark.usefixtures("without_coverage")

MOVES = {
    "reconstruction": {"encoder", "decoder"},
    "discriminator": {"discriminator"},
    "generator": {"encoder"},
    "reconstruction_and_generator": {"encoder", "decoder"},
    "reconstruction_with_heads": {"encoder", "decoder", "cluster_heads"},
    "label_discriminator": {"label_discriminator"},
    "label_generator": {"encoder"},
    "classification": {"encoder"},
}
AAE = {"encoder", "decoder", "discriminator"}
SUBSETS = {
    "autoencoder": {"encoder", "decoder"},
    "aae": AAE,
    "aae-joint": AAE,
    "supervised": AAE,
    "label-prior": AAE,
    "semi-supervised": AAE | {"label_discriminator"},
    "clustering": AAE | {"label_discriminator"},
    "dim-reduction": AAE | {"label_discriminator", "cluster_heads"},
}
EVERY_PHASE = [(model, phase.name) for model in VARIANTS for phase in VARIANTS[model]]


def bits(tree):
    """Each leaf's path, type and bytes."""
    return {
        jax.tree_util.keystr(path): (leaf.dtype, leaf.shape, np.asarray(leaf).tobytes())
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def assert_moves_only(name, before, after):
    """An update by the phase changes what `MOVES` says, and nothing else."""
    for subset in before.params:
        old, new = bits(before.params[subset]), bits(after.params[subset])
        if subset in MOVES[name]:
            still = [path for path in old if old[path] == new[path]]
            if name == "generator":  # it reads codes, and no category
                still = [path for path in still if "BatchNorm_2" not in path]
            assert not still, f"{name} leaves {subset} {still} where they were"
        else:
            assert old == new, f"{name} moves {subset}"
    for other in before.optimizer_states:
        old, new = (
            bits(before.optimizer_states[other]),
            bits(after.optimizer_states[other]),
        )
        if other == name:
            assert old != new, f"the optimizer of {name} is left as it was"
        else:
            assert old == new, f"{name} changes the optimizer of {other}"
    for field in ("key", "step"):
        old, new = getattr(before, field), getattr(after, field)
        assert old.dtype == new.dtype
        assert jnp.all(old == new), f"{name} changes {field}"


def assert_holds_moments_of(name, state):
    """Adam's two moments of the subsets in `MOVES`, and next to nothing else."""
    moved = [
        leaf.size
        for subset in MOVES[name]
        for leaf in jax.tree.leaves(state.params[subset])
    ]
    sizes = [leaf.size for leaf in jax.tree.leaves(state.optimizer_states[name])]
    arrays = [size for size in sizes if size > 1]
    counters = len(sizes) - len(arrays)
    # A discriminator's last bias is a single number, and no counter.
    singles = 2 * moved.count(1)
    assert sum(arrays) + singles == 2 * sum(moved)
    assert counters - singles <= 2


def assert_isolated(name, before, after):
    assert_moves_only(name, before, after)
    assert_holds_moments_of(name, after)


@pytest.fixture(scope="module")
def trained(tiny_state, tiny_update, tiny_batch):
    """`trained(model)`: a state whose optimizers have all left zero."""

    @functools.cache
    def make(model):
        state = tiny_state(model)
        for phase in VARIANTS[model]:
            state, _ = tiny_update(model, phase.name)(state, tiny_batch)
        return replace(state, step=state.step + 1)

    return make


@pytest.mark.parametrize(("model", "phase"), EVERY_PHASE)
def test_phase_moves_its_own_subsets_and_nothing_else(
    model, phase, trained, tiny_update, tiny_batch
):
    before = trained(model)
    after, _ = tiny_update(model, phase)(before, tiny_batch)
    assert_moves_only(phase, before, after)


@pytest.mark.parametrize(("model", "phase"), EVERY_PHASE)
def test_held_subsets_take_no_memory_in_the_optimizer(model, phase, trained):
    assert_holds_moments_of(phase, trained(model))


def test_phases_of_convolutional_networks_move_their_own_subsets(
    tiny_config_of, tiny_batch
):
    """In a variant that has most phases, and batch normalization."""
    config = replace(tiny_config_of("semi-supervised"), network="conv", z_dim=3)
    state = init(config, jax.random.key(0), image_shape=tiny_batch.x.shape[1:])
    for phase in VARIANTS["semi-supervised"]:
        update = make_update(config, phase)
        before, _ = update(state, tiny_batch)  # its optimizer has left zero
        after, _ = update(replace(before, step=before.step + 1), tiny_batch)
        assert_isolated(phase.name, replace(before, step=before.step + 1), after)


@pytest.mark.parametrize("model", VARIANTS)
def test_phases_together_move_every_parameter(model, tiny_state):
    state = tiny_state(model)
    names = {phase.name for phase in VARIANTS[model]}
    moved = set().union(*(MOVES[name] for name in names))
    assert set(state.params) == moved == SUBSETS[model]
    assert set(subsets_of(VARIANTS[model])) == moved
    assert set(state.optimizer_states) == names


def gradients_of(phase, state, batch, config):
    """Of a phase's loss, with respect to all parameters, whatever the phase moves."""
    model = make_model(config, image_shape=batch.x.shape[1:])

    @jax.jit
    def gradients(params):
        return jax.grad(
            lambda params: phase.loss(params, batch, jax.random.key(2), model)[0]
        )(params)

    return gradients(state.params)


@pytest.mark.parametrize(
    ("model", "phase", "settings"),
    [
        ("aae", DISCRIMINATOR, {"gradient_penalty": 0.0}),
        ("aae", DISCRIMINATOR, {"gradient_penalty": 0.1}),
        ("semi-supervised", DISCRIMINATOR, {}),
        ("semi-supervised", LABEL_DISCRIMINATOR, {"aggregated_categories": False}),
        ("semi-supervised", LABEL_DISCRIMINATOR, {"aggregated_categories": True}),
    ],
)
def test_no_gradient_of_a_discriminator_loss_reaches_the_encoder(
    model, phase, settings, tiny_config_of, tiny_state, tiny_batch
):
    config = replace(tiny_config_of(model), **settings)
    gradients = gradients_of(phase, tiny_state(model), tiny_batch, config)
    for subset in ("encoder", "decoder"):
        assert all(not leaf.any() for leaf in jax.tree.leaves(gradients[subset]))
    (moved,) = MOVES[phase.name]
    assert all(leaf.any() for leaf in jax.tree.leaves(gradients[moved]))


def test_the_gradient_of_the_generator_loss_does_reach_the_encoder(
    tiny_config, tiny_state, tiny_batch
):
    gradients = gradients_of(GENERATOR, tiny_state("aae"), tiny_batch, tiny_config)
    assert all(leaf.any() for leaf in jax.tree.leaves(gradients["encoder"]))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("generator", ("decoder",)),
        ("generator", ("encoder", "discriminator")),
        ("discriminator", ("discriminator", "encoder")),
        ("reconstruction", ("encoder",)),
    ],
)
def test_the_checks_above_fail_for_a_mislabelled_phase(
    name, wrong, tiny_config, tiny_batch, trained
):
    phases = tuple(
        replace(phase, moves=wrong) if phase.name == name else phase
        for phase in VARIANTS["aae"]
    )
    (phase,) = (phase for phase in phases if phase.name == name)
    state = trained("aae")
    fresh = {name: make_optimizer(tiny_config, phase).init(state.params)}
    before = replace(state, optimizer_states=state.optimizer_states | fresh)
    update = make_update(tiny_config, phase, phases=phases)
    after, _ = update(before, tiny_batch)
    with pytest.raises(AssertionError):
        assert_isolated(name, before, after)


def test_the_check_fails_for_each_thing_that_must_not_change(
    trained, tiny_update, tiny_batch
):
    before = trained("aae")
    after, _ = tiny_update("aae", "generator")(before, tiny_batch)
    assert_isolated("generator", before, after)
    others = dict(
        after.optimizer_states,
        discriminator=jax.tree.map(
            lambda leaf: leaf + 1, after.optimizer_states["discriminator"]
        ),
    )
    layer = after.params["decoder"]["Dense_0"]
    nudged = {**layer, "bias": layer["bias"] + 1e-7}
    decoder = {**after.params["decoder"], "Dense_0": nudged}
    for changed in (
        replace(after, step=after.step + 1),
        replace(after, key=jax.random.key(9)),
        replace(after, optimizer_states=others),
        replace(after, optimizer_states=before.optimizer_states),
        replace(after, params=before.params),
        replace(after, params=dict(after.params, decoder=decoder)),
    ):
        with pytest.raises(AssertionError):
            assert_isolated("generator", before, changed)
