"""The compiled loop: many steps in one call, on a data set that stays on the device."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Int, PRNGKeyArray, UInt8

from aae_jax.config import Config
from aae_jax.devices import split
from aae_jax.phases import Batch, Phase
from aae_jax.priors import Prior
from aae_jax.training import (
    LABELLED_ORDER_STREAM,
    ORDER_STREAM,
    SHIFT_STREAM,
    StepInfo,
    TrainState,
    Update,
    init,
)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LoopState:
    """What the compiled loop carries, and a checkpoint holds.

    Attributes:
      state: see there.
      sums: the infos of the epoch's steps so far, added up.
      first_bad: for each phase the first step whose gradient was not finite, int32;
        `NEVER` where there was none.
    """

    state: TrainState
    sums: StepInfo
    first_bad: dict[str, Int[Array, ""]]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainingData:
    """All images to train on, on the device.

    Attributes:
      x: `[n, height, width, channels]`, uint8.
      y: `[n]`, labels, -1 where there is none; None for data without labels.
      labelled: `[m]`, rows of the images with a label; None for data without.
    """

    x: UInt8[Array, "n height width channels"]
    y: Int[Array, " n"] | None = None
    labelled: Int[Array, " m"] | None = None


NEVER = np.int32(2**31 - 1)
Loop = Callable[[LoopState, TrainingData, np.int32], LoopState]


def data_order(key: PRNGKeyArray, epoch: Array, *, n_images: int) -> Int[Array, " n"]:
    """The order of the images in an epoch: a permutation of (run's key, epoch)."""
    key = jax.random.fold_in(jax.random.fold_in(key, ORDER_STREAM), epoch)
    return jax.random.permutation(key, n_images)


def labelled_order(
    key: PRNGKeyArray, epoch: Array, labelled: Int[Array, " m"], *, n: int
) -> Int[Array, " n"]:
    """n labelled rows for an epoch of all images: each as often as any, but for one."""
    key = jax.random.fold_in(jax.random.fold_in(key, LABELLED_ORDER_STREAM), epoch)
    passes = -(-n // len(labelled))
    keys = jax.random.split(key, passes)
    orders = jax.vmap(lambda key: jax.random.permutation(key, labelled))(keys)
    return orders.reshape(-1)[:n]


def init_loop(
    config: Config,
    key: PRNGKeyArray,
    *,
    step: Update,
    image_shape: tuple[int, int, int],
    prior: Prior | None = None,
    phases: tuple[Phase, ...] | None = None,
) -> LoopState:
    """What the loop starts from: see `init` for the other arguments.

    `step`, made from the same config, prior and phases, is traced and not run; its
    infos tell which sums there are.

    Raises:
      UserError: see `make_step`.
    """
    state = init(config, key, image_shape=image_shape, prior=prior, phases=phases)
    batch_size = config.hyperparameters.batch_size
    x = jnp.zeros((batch_size, *image_shape), jnp.float32)
    y = jnp.zeros(batch_size, jnp.int32)  # for phases that read labels
    _, info = jax.eval_shape(step, state, Batch(x, y, x, y))
    return LoopState(
        state=state,
        sums=jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), info),
        first_bad={name: jnp.array(NEVER) for name in info.gradient_norms},
    )


def make_loop(config: Config, step: Update, *, mesh: Mesh | None = None) -> Loop:
    """Many steps in one compiled call: `loop(carry, data, until)`.

    Batches are gathered and scaled on the device. The loop runs until the state's step
    is `until`, which must not lie beyond the end of the epoch. Where calls begin and
    end never changes a number. `carry` is donated: use the returned one.

    With a mesh each of its devices takes a part of every batch; `carry` and `data` must
    be on each of them.
    """

    batch_size = config.hyperparameters.batch_size

    def loop(carry: LoopState, data: TrainingData, until: Array) -> LoopState:
        n_images = data.x.shape[0]
        steps_per_epoch = config.steps_per_epoch(n_images)
        first_step = carry.state.step
        epoch = first_step // steps_per_epoch
        orders = [data_order(carry.state.key, epoch, n_images=n_images)]
        if data.labelled is not None:
            n = steps_per_epoch * batch_size
            orders += [labelled_order(carry.state.key, epoch, data.labelled, n=n)]

        def body(index: Array, carry: LoopState) -> LoopState:
            first = (index - epoch * steps_per_epoch) * batch_size
            rows = [
                jax.lax.dynamic_slice(order, (first,), (batch_size,))
                for order in orders
            ]
            key = jax.random.fold_in(carry.state.key, SHIFT_STREAM)
            key = jax.random.fold_in(key, index)
            batch = shifted(take(data, *rows), key, config.hyperparameters.shift)
            state, info = step(carry.state, split(batch, mesh))
            sums = jax.tree.map(jnp.add, carry.sums, info)
            first_bad = {
                name: jnp.where(jnp.isfinite(norm), NEVER, index)
                for name, norm in info.gradient_norms.items()
            }
            return LoopState(
                state, sums, jax.tree.map(jnp.minimum, carry.first_bad, first_bad)
            )

        return jax.lax.fori_loop(first_step, until, body, carry)

    return jax.jit(loop, donate_argnums=0)


def shifted(batch: Batch, key: PRNGKeyArray, pixels: int) -> Batch:
    """Each image moved by up to so many pixels both ways; its edge fills what is bare.

    The labelled images are moved apart from the others.
    """
    if not pixels:
        return batch
    keys = jax.random.split(key)
    x_labelled = batch.x_labelled
    if x_labelled is not None:
        x_labelled = _shifted(x_labelled, keys[1], pixels)
    return replace(batch, x=_shifted(batch.x, keys[0], pixels), x_labelled=x_labelled)


def _shifted(x: Array, key: PRNGKeyArray, pixels: int) -> Array:
    around = ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0))
    padded = jnp.pad(x, around, mode="edge")
    first = jax.random.randint(key, (len(x), 2), 0, 2 * pixels + 1)

    def cut(image: Array, first: Array) -> Array:
        return jax.lax.dynamic_slice(image, (*first, 0), x.shape[1:])

    return jax.vmap(cut)(padded, first)


def take(
    data: TrainingData,
    rows: Int[Array, " batch"],
    labelled_rows: Int[Array, " labelled"] | None = None,
) -> Batch:
    """The named rows of the data, images scaled to [0, 1]."""
    x, y = _take(data, rows)
    if labelled_rows is None:
        return Batch(x, y)
    return Batch(x, y, *_take(data, labelled_rows))


def _take(data: TrainingData, rows: Array) -> tuple[Array, Array | None]:
    x = data.x[rows].astype(jnp.float32) / 255
    return x, None if data.y is None else data.y[rows]
