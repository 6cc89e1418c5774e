"""The compiled loop: many steps in one call, on images that are on the device."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Int, PRNGKeyArray

from aae_jax.config import Config
from aae_jax.devices import split
from aae_jax.phases import Batch, Phase
from aae_jax.priors import Prior
from aae_jax.training import (
    SHIFT_STREAM,
    StepInfo,
    TrainState,
    Update,
    init,
)
from aae_jax.windows import Window


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


NEVER = np.int32(2**31 - 1)
Loop = Callable[[LoopState, Window, np.int32], LoopState]


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
    """Many steps in one compiled call: `loop(carry, window, until)`.

    Batches are taken and scaled on the device. The loop runs until the state's step
    is `until`, which must not lie beyond the last batch of the window. Where calls
    begin and end never changes a number. `carry` is donated: use the returned one.

    With a mesh each of its devices takes a part of every batch; `carry` and `window`
    must be on each of them.
    """

    batch_size = config.hyperparameters.batch_size

    def loop(carry: LoopState, window: Window, until: Array) -> LoopState:
        def body(index: Array, carry: LoopState) -> LoopState:
            key = jax.random.fold_in(carry.state.key, SHIFT_STREAM)
            key = jax.random.fold_in(key, index)
            batch = window.batch(index, batch_size)
            batch = shifted(batch, key, config.hyperparameters.shift)
            state, info = step(carry.state, split(batch, mesh))
            sums = jax.tree.map(jnp.add, carry.sums, info)
            first_bad = {
                name: jnp.where(jnp.isfinite(norm), NEVER, index)
                for name, norm in info.gradient_norms.items()
            }
            return LoopState(
                state, sums, jax.tree.map(jnp.minimum, carry.first_bad, first_bad)
            )

        return jax.lax.fori_loop(carry.state.step, until, body, carry)

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
