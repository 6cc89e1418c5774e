"""What the host does between two calls of the compiled loop.

It times them, checks that numbers are finite, logs epochs, saves, and stops when asked.
Times decide when things are seen and saved; they never change a number.
"""

import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np

from aae_jax.board import Board
from aae_jax.checkpoint import checkpoint_steps, save_checkpoint
from aae_jax.devices import one_copy
from aae_jax.errors import RunError
from aae_jax.loop import NEVER, Loop, LoopState, TrainingData
from aae_jax.measure import Measure
from aae_jax.phases import Model
from aae_jax.reporting import Reporter
from aae_jax.run_folder import RunFolder
from aae_jax.signals import StopRequest
from aae_jax.training import StepInfo

SECONDS_PER_CHUNK = 1.0
SECONDS_BETWEEN_SAVES = 30.0
_FIRST_CHUNK = 5


@dataclass(frozen=True)
class Plan:
    """How long the training is, and where it goes.

    Attributes:
      folder: the run's.
      phases: their names, in the order in which a step runs them.
      total_steps, steps_per_epoch, batch_size: numbers of the resolved config.
      quiet: shows no progress.
    """

    folder: RunFolder
    phases: tuple[str, ...]
    total_steps: int
    steps_per_epoch: int
    batch_size: int
    quiet: bool = False


@dataclass
class Clock:
    """Seconds spent in the compiled loop, over all the run and in this epoch."""

    total: float
    epoch: float = 0.0
    epoch_steps: int = 0

    def add(self, seconds: float, steps: int) -> None:
        """Count a chunk."""
        self.total += seconds
        self.epoch += seconds
        self.epoch_steps += steps

    def new_epoch(self) -> None:
        """Begin to count the next epoch."""
        self.epoch, self.epoch_steps = 0.0, 0


def run_loop(
    plan: Plan,
    loop: Loop,
    *,
    model: Model,
    carry: LoopState,
    data: TrainingData,
    measure: Measure,
    stop: StopRequest,
    seconds: float,
) -> tuple[LoopState, float]:
    """Train from `carry` to the end of the plan, or until `stop` is asked for.

    Args:
      plan: how long, and where to.
      loop: compiled, see `make_loop`.
      model: for what TensorBoard shows.
      carry: the state to begin with; donated.
      data: the images to train on, on the device.
      measure: metrics of parameters on held-out images.
      stop: read after each chunk.
      seconds: spent on training before.

    Returns:
      The last state, saved, and the seconds spent on training in all.

    Raises:
      RunError: a loss, gradient or parameter is not finite; nothing of it is saved.
    """
    step = int(carry.state.step)
    clock, last_save, chunk = Clock(seconds), time.monotonic(), _FIRST_CHUNK
    board = Board(plan.folder, model, first_step=step)
    reporter = Reporter(total_steps=plan.total_steps, first_step=step, quiet=plan.quiet)
    with board, reporter:
        while step < plan.total_steps:
            before = step
            step = min(step + chunk, _epoch_end(plan, step))
            began = time.perf_counter()
            carry = loop(carry, data, np.int32(step))
            sums, first_bad = jax.device_get((carry.sums, carry.first_bad))
            elapsed = time.perf_counter() - began
            refuse_not_finite(plan, carry, first_bad=first_bad, steps=(before, step))
            clock.add(elapsed, step - before)
            chunk = max(1, round((step - before) * SECONDS_PER_CHUNK / elapsed))
            speed = clock.epoch_steps * plan.batch_size / clock.epoch
            if step == _epoch_end(plan, before):
                line = log_line(plan, sums, step=step, clock=clock)
                weights = one_copy(carry.state.weights)
                try:
                    line["validation"], z = measure(weights)
                except FloatingPointError:
                    what = "the codes or errors of held-out images"
                    _refuse(plan, what, steps=(before, step))
                plan.folder.append_log(line)
                reporter.epoch(line)
                board.epoch(line, weights, z)
                clock.new_epoch()
                carry = clear_sums(carry)
            try:
                reporter.chunk(step, _means(plan, sums, step)["losses"], speed)
            except BrokenPipeError:  # who watched has gone, as `head` does
                stop.number = stop.number or signal.SIGPIPE
            due = time.monotonic() - last_save > SECONDS_BETWEEN_SAVES
            if due or stop.number is not None or step == plan.total_steps:
                save(plan, carry, step=step, seconds=clock.total)
                last_save = time.monotonic()
            if stop.number is not None:
                break
    return carry, clock.total


def save(plan: Plan, carry: LoopState, *, step: int, seconds: float) -> None:
    """Save a checkpoint.

    Raises:
      RunError: the disk refuses.
    """
    save_checkpoint(
        plan.folder.checkpoints, carry, step=step, record={"seconds": seconds}
    )


def refuse_not_finite(
    plan: Plan,
    carry: LoopState,
    *,
    first_bad: Mapping[str, Any],
    steps: tuple[int, int],
) -> None:
    """Stop where a gradient, loss or parameter is not finite, and name the phase.

    Raises:
      RunError: with the phase, the steps, and the last good checkpoint.
    """
    # Of those that went wrong in the same step, the phase that the others followed.
    phase = min(plan.phases, key=lambda name: int(first_bad[name]))
    if first_bad[phase] != NEVER:
        first = int(first_bad[phase])
        _refuse(plan, f"the gradient of the {phase} phase", steps=steps, first=first)
    named = {f"the {name} loss": value for name, value in carry.sums.losses.items()}
    named |= {f"the {name}": params for name, params in carry.state.params.items()}
    for name, finite in jax.device_get(_finite(named)).items():
        if not finite:
            _refuse(plan, name, steps=steps)


@jax.jit
def _finite(trees: dict[str, Any]) -> dict[str, jax.Array]:
    """For each tree of arrays whether all its numbers are finite."""
    return {
        name: jnp.array(
            [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]
        ).all()
        for name, tree in trees.items()
    }


def _refuse(
    plan: Plan, what: str, *, steps: tuple[int, int], first: int | None = None
) -> NoReturn:
    before, step = steps
    when = f"between steps {before} and {step}"
    if first is not None:
        when = f"at step {first}, {when}"
    saved = checkpoint_steps(plan.folder.checkpoints)
    good = f"that of step {saved[0]}" if saved else "none, the run had not saved yet"
    raise RunError(
        f"{what} became NaN or infinite {when}; nothing after it was saved, the last "
        f"good checkpoint is {good} in {plan.folder.checkpoints}; try lower rates, "
        "such as --reconstruction-rate 0.0003"
    )


def clear_sums(carry: LoopState) -> LoopState:
    """The same state with sums of zero."""
    sums = jax.tree.map(jnp.zeros_like, carry.sums)
    return LoopState(carry.state, sums, carry.first_bad)


def log_line(plan: Plan, sums: StepInfo, *, step: int, clock: Clock) -> dict[str, Any]:
    """A line of metrics.jsonl: means over the epoch's steps, and the timings."""
    return {
        "epoch": -(-step // plan.steps_per_epoch),
        "step": step,
        **_means(plan, sums, step),
        "seconds": clock.total,
        "images_per_second": clock.epoch_steps * plan.batch_size / clock.epoch,
    }


def _means(plan: Plan, sums: StepInfo, step: int) -> dict[str, dict[str, float]]:
    n_steps = (step - 1) % plan.steps_per_epoch + 1
    return {
        name: {key: float(value) / n_steps for key, value in group.items()}
        for name, group in vars(sums).items()
    }


def _epoch_end(plan: Plan, step: int) -> int:
    """The first step after `step` at which an epoch, or the training, ends."""
    end = (step // plan.steps_per_epoch + 1) * plan.steps_per_epoch
    return min(end, plan.total_steps)
