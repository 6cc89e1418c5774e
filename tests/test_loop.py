"""The compiled loop, and that training is a pure function of its inputs."""

import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from states import assert_same_bits

from aae_jax.data.stored import stored_array
from aae_jax.disk_feed import AT_ONCE, DiskFeed
from aae_jax.feeds import MemoryFeed, TrainingData, data_order
from aae_jax.loop import (
    NEVER,
    init_loop,
    make_loop,
    shifted,
)
from aae_jax.phases import Batch, Phase
from aae_jax.training import make_step
from aae_jax.variants import RECONSTRUCTION
from aae_jax.windows import Shuffled

pytestmark = pytest.mark.usefixtures("optimized", "without_coverage")

SHAPE = (8, 8, 1)
# 20 images a batch: 5 full batches an epoch, and 10 images left over.
N_IMAGES, STEPS_PER_EPOCH = 110, 5


@pytest.fixture(scope="module")
def data(tiny_dataset):
    return TrainingData(jnp.asarray(tiny_dataset.x_train[:N_IMAGES]))


@pytest.fixture(scope="module")
def step(tiny_config):
    return make_step(tiny_config)


@pytest.fixture(scope="module")
def loop(tiny_config, step):
    return make_loop(tiny_config, step)


@pytest.fixture(scope="module")
def begin(tiny_config, step):
    """`begin(seed)`: what the loop starts from, a new copy to give away."""

    @functools.cache
    def first(seed):
        return init_loop(
            tiny_config, jax.random.key(seed), step=step, image_shape=SHAPE
        )

    return lambda seed=0: jax.tree.map(jnp.copy, first(seed))


@pytest.fixture(scope="module")
def window_of(tiny_config):
    """`window_of(data, seed, step)`: what the loop takes in that step's epoch."""

    def window_of(data, seed=0, step=0):
        return MemoryFeed(tiny_config, data, jax.random.key(seed)).window(step)

    return window_of


@pytest.fixture(scope="module")
def run(begin, loop, data, tiny_config):
    """`run(ends, seed)`: the loop's state after calls that end at the given steps."""

    def run(ends, seed=0):
        carry, feed = begin(seed), MemoryFeed(tiny_config, data, jax.random.key(seed))
        for end in ends:
            window = feed.window(int(carry.state.step))
            carry = loop(carry, window, np.int32(end))
        return carry

    return run


@pytest.fixture(scope="module")
def single_step(step, data):
    """The step on named rows of the data, outside the loop."""
    return jax.jit(lambda state, rows: step(state, whole(data).take(rows)))


def whole(data):
    """The data as a window of which nobody has asked in which order."""
    return Shuffled(data.x, data.y, jnp.arange(len(data.x)), None, jnp.int32(0))


def test_loop_equals_single_steps(single_step, run, begin):
    """Across the end of an epoch, bit for bit."""
    state = begin().state
    for index in range(7):
        epoch, position = divmod(index, STEPS_PER_EPOCH)
        order = data_order(state.key, jnp.int32(epoch), n_images=N_IMAGES)
        state, _ = single_step(state, order[20 * position : 20 * position + 20])
    assert_same_bits(run([5, 7]).state, state)


def test_where_calls_of_the_loop_end_changes_nothing(run):
    whole = run([5, 10, 15])
    assert_same_bits(run([1, 2, 5, 9, 10, 13, 14, 15]), whole)
    assert whole.state.step == 15


def test_loop_is_compiled_once(run, loop):
    run([1, 5, 7, 10, 12])
    run([4, 5], seed=1)
    assert loop._cache_size() == 1


def test_loop_gives_its_carry_away(begin, loop, data, window_of):
    carry = begin()
    before = jax.tree.leaves(carry.state.params)
    loop(carry, window_of(data), np.int32(1))
    assert all(leaf.is_deleted() for leaf in before)


def test_the_seed_decides_every_bit(run):
    first, again, other = run([5]), run([5]), run([5], seed=1)
    assert_same_bits(first, again)
    with pytest.raises(AssertionError, match="differs"):
        assert_same_bits(first.state.params, other.state.params)


@pytest.mark.parametrize("steps_of_window", [2, 3])
def test_batches_from_disk_give_the_bits_of_images_in_memory(
    tiny_config, steps_of_window
):
    """Two are the least: of a single step XLA made another program."""
    config = replace(tiny_config, hidden=(64, 64))
    x = np.random.default_rng(0).integers(0, 256, (N_IMAGES, 28, 28, 1), np.uint8)
    key, images, step = jax.random.key, stored_array(x, "x"), make_step(config)
    loop, carries = make_loop(config, step), []
    limit = steps_of_window * AT_ONCE * 20 * 28 * 28
    for feed in (
        MemoryFeed(config, TrainingData(jnp.asarray(x)), key(0)),
        DiskFeed(config, images, None, None, key(0), memory_limit=limit),
    ):
        carry, done = init_loop(config, key(0), step=step, image_shape=(28, 28, 1)), 0
        while done < STEPS_PER_EPOCH:
            window, done = feed.window(done), min(feed.end(done), STEPS_PER_EPOCH)
            carry = loop(carry, window, np.int32(done))
        carries.append(carry)
        feed.close()
    assert len(window.x) == steps_of_window
    assert_same_bits(*carries)


def test_sums_are_those_of_the_steps(run, single_step, begin):
    state = begin().state
    order = data_order(state.key, jnp.int32(0), n_images=N_IMAGES)
    infos = []
    for position in range(3):
        state, info = single_step(state, order[20 * position : 20 * position + 20])
        infos.append(info)
    sums = run([3]).sums
    for field in ("losses", "gradient_norms"):
        for name, total in getattr(sums, field).items():
            terms = [float(getattr(info, field)[name]) for info in infos]
            assert total == pytest.approx(sum(terms), rel=1e-6)
            assert len(set(terms)) == 3


def test_no_bad_step_is_never(run):
    assert {int(step) for step in run([5]).first_bad.values()} == {int(NEVER)}


def test_training_lowers_the_reconstruction_error(run):
    sums = [
        float(run(range(5, end + 1, 5)).sums.losses["reconstruction"])
        for end in (5, 55, 60)
    ]
    first, last = sums[0] / 5, (sums[2] - sums[1]) / 5
    assert last < 0.7 * first


def watching_phase():
    """A phase that moves nothing much and logs which rows it was given."""

    def loss(params, batch, key, model):
        rows = batch.y.astype(jnp.float32)
        nothing = 0 * params["encoder"]["Dense_2"]["bias"].sum()
        return nothing, {"rows": rows.sum(), "squares": (rows * rows).sum()}

    return Phase("watching", loss, ("encoder", "decoder"), "generator")


def test_the_loop_takes_each_epoch_s_images_once_in_a_new_order(tiny_config, data):
    phases = (watching_phase(),)
    config = replace(tiny_config, schedule="constant")
    labelled = TrainingData(data.x, jnp.arange(N_IMAGES))
    key = jax.random.key(0)
    step = make_step(config, phases=phases)
    carry = init_loop(config, key, step=step, image_shape=SHAPE, phases=phases)
    loop = make_loop(config, step)
    orders = [
        np.asarray(data_order(key, jnp.int32(epoch), n_images=110)) for epoch in (0, 1)
    ]
    seen, feed = 0, MemoryFeed(config, labelled, jax.random.key(0))
    for step in range(2 * STEPS_PER_EPOCH):
        carry = loop(carry, feed.window(step), np.int32(step + 1))
        epoch, position = divmod(step, STEPS_PER_EPOCH)
        rows = orders[epoch][20 * position : 20 * position + 20]
        # Sums of 110 rows' squares are whole numbers that float32 holds exactly.
        squares = int(carry.sums.losses["squares"])
        assert squares - seen == (rows**2).sum()
        seen = squares


def test_a_step_is_traced_once_for_its_sums_and_the_loop(tiny_config, data, window_of):
    traced = []

    def loss(params, batch, key, model):
        traced.append(batch.x.shape)
        return length_loss(params, batch, key, model)

    phases = (Phase("counted", loss, ("encoder", "decoder"), "generator"),)
    step, key = make_step(tiny_config, phases=phases), jax.random.key(0)
    carry = init_loop(tiny_config, key, step=step, image_shape=SHAPE, phases=phases)
    y = jnp.zeros(N_IMAGES, jnp.int32)
    labelled = TrainingData(data.x, y, jnp.arange(5))
    make_loop(tiny_config, step)(carry, window_of(labelled), np.int32(2))
    assert traced == [(20, *SHAPE)]


def test_data_order_is_a_permutation_of_key_and_epoch():
    order = data_order
    orders = {
        (seed, epoch): np.asarray(order(jax.random.key(seed), epoch, n_images=110))
        for seed in (0, 1)
        for epoch in (0, 1, 7)
    }
    for rows in orders.values():
        np.testing.assert_array_equal(np.sort(rows), range(110))
    assert len({rows.tobytes() for rows in orders.values()}) == 6
    np.testing.assert_array_equal(
        order(jax.random.key(1), 7, n_images=110), orders[1, 7]
    )


def test_take_scales_bytes_to_the_unit_interval():
    data = TrainingData(
        jnp.array([0, 51, 255], jnp.uint8).reshape(3, 1, 1, 1), jnp.array([4, -1, 6])
    )
    batch = whole(data).take(jnp.array([2, 1]))
    assert batch.x.dtype == jnp.float32
    np.testing.assert_allclose(batch.x.ravel(), [1.0, 0.2])
    np.testing.assert_array_equal(batch.y, [6, -1])
    assert whole(TrainingData(data.x)).take(jnp.array([0])).y is None


def length_loss(params, batch, key, model):
    z = model.networks.encode(params, batch.x).z
    return (z * z).mean(), {}


def test_first_bad_names_the_phase_and_the_step(tiny_config, data, window_of):
    """One white image poisons a phase; the next is ill at once, the first later."""

    def poisoned_loss(params, batch, key, model):
        loss, _ = length_loss(params, batch, key, model)
        return jnp.where(batch.x.max() == 1, jnp.nan, 1.0) * loss, {}

    phases = (
        RECONSTRUCTION,
        Phase("poison", poisoned_loss, ("encoder",), "generator"),
        Phase("after", length_loss, ("encoder",), "generator"),
    )
    key, bad = jax.random.key(0), 2
    row = data_order(key, jnp.int32(0), n_images=N_IMAGES)[20 * bad + 7]
    white = TrainingData(data.x.at[row].set(255))
    step = make_step(tiny_config, phases=phases)
    loop = make_loop(tiny_config, step)
    carry = init_loop(tiny_config, key, step=step, image_shape=SHAPE, phases=phases)
    never = int(NEVER)
    for end, expected in (
        (bad, [never, never, never]),
        (bad + 1, [never, bad, bad]),
        (bad + 3, [bad + 1, bad, bad]),
    ):
        carry = loop(carry, window_of(white), np.int32(end))
        names = ("reconstruction", "poison", "after")
        assert [int(carry.first_bad[name]) for name in names] == expected


def test_shifted_images_are_the_images_elsewhere():
    """Each by its own whole number of pixels, the same for all channels."""
    x = jax.random.uniform(jax.random.key(3), (200, 6, 7, 3))
    batch = Batch(x, jnp.arange(200), x[:50], jnp.arange(50))
    moved = shifted(batch, jax.random.key(0), 2)
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
    steps = [(down, right) for down in range(5) for right in range(5)]
    for before, after in ((padded, moved.x), (padded[:50], moved.x_labelled)):
        found = []
        for image, ours in zip(before, np.asarray(after), strict=True):
            fits = [
                step
                for step in steps
                if (image[step[0] : step[0] + 6, step[1] : step[1] + 7] == ours).all()
            ]
            assert len(fits) == 1
            found += fits
        assert len(set(found)) > 15
    np.testing.assert_array_equal(moved.y, batch.y)
    assert not np.array_equal(moved.x[:50], moved.x_labelled)
    assert shifted(batch, jax.random.key(0), 0) is batch
    assert shifted(Batch(x), jax.random.key(0), 1).x_labelled is None


def test_a_training_with_shifts_is_another(
    tiny_config, step, begin, loop, data, window_of
):
    moving, window = make_loop(replace(tiny_config, shift=1), step), window_of(data)
    plain = loop(begin(), window, np.int32(1)).state.params
    moved = moving(begin(), window, np.int32(1)).state.params
    with pytest.raises(AssertionError, match="differs"):
        assert_same_bits(plain, moved)
