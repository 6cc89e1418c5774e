"""What the host does between two calls of the compiled loop.

It times them, has epochs logged and states saved, and stops when asked. Times decide
when things are seen and saved; they never change a number.
"""

import signal
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from aae_jax.feeds import Feed
from aae_jax.journal import Journal, means
from aae_jax.loop import LoopState
from aae_jax.plan import Plan
from aae_jax.processes import agree, is_first
from aae_jax.reporting import Reporter
from aae_jax.signals import StopRequest
from aae_jax.together import Loops, States

SECONDS_PER_CHUNK = 1.0
SECONDS_BETWEEN_SAVES = 30.0
_FIRST_CHUNK = 5


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
    loop: Loops,
    carries: States,
    *,
    feeds: Sequence[Feed],
    journals: Sequence[Journal],
    stop: StopRequest,
    seconds: float,
) -> tuple[States, float]:
    """Train from `carries` to the end of the plan, or until `stop` is asked for.

    Args:
      plan: how long.
      loop: compiled, see `together`.
      carries: the states to begin with, one for each run; donated.
      feeds: the images of each run.
      journals: where each run is written, by the first process.
      stop: read after each chunk.
      seconds: spent on training before.

    Returns:
      The last states, saved, and the seconds spent on training in all.

    Raises:
      RunError: a loss, gradient or parameter is not finite; nothing of it is saved.
    """
    step, writers = int(carries[0].state.step), journals if is_first() else ()
    clock, last_save = Clock(seconds), time.monotonic()
    until, heard = _end_of_chunk(plan, feeds, step, _FIRST_CHUNK), None
    with Reporter(
        total_steps=plan.total_steps, first_step=step, quiet=plan.quiet
    ) as reporter:
        while step < plan.total_steps and heard is None:
            steps = before, step = step, until
            began = time.perf_counter()
            windows = tuple(feed.window(before) for feed in feeds)
            carries = jax.block_until_ready(loop(carries, windows, np.int32(step)))
            elapsed = time.perf_counter() - began
            for journal, carry in zip(journals, carries, strict=True):
                journal.refuse_not_finite(carry, steps=steps)
            clock.add(elapsed, step - before)
            speed = clock.epoch_steps * plan.batch_size / clock.epoch
            losses = _mean_losses(plan, carries, step)
            if step == plan.epoch_end(before):
                timings = {"seconds": clock.total, "images_per_second": speed}
                if writers:
                    reporter.epoch(
                        journal.end_epoch(carry, steps=steps, timings=timings)
                        for journal, carry in zip(writers, carries, strict=True)
                    )
                clock.new_epoch()
                carries = tuple(map(clear_sums, carries))
            try:
                reporter.chunk(step, losses, len(carries) * speed)
            except BrokenPipeError:  # who watched has gone, as `head` does
                stop.number = stop.number or signal.SIGPIPE
            chunk = max(1, round((step - before) * SECONDS_PER_CHUNK / elapsed))
            wanted = _end_of_chunk(plan, feeds, step, chunk)
            due = time.monotonic() - last_save > SECONDS_BETWEEN_SAVES
            until, due, heard = agree(wanted, due, stop.number)
            if due or heard is not None or step == plan.total_steps:
                for journal, carry in zip(journals, carries, strict=True):
                    journal.save(carry, step=step, seconds=clock.total)
                last_save = time.monotonic()
    stop.number = heard or stop.number
    return carries, clock.total


def _end_of_chunk(plan: Plan, feeds: Sequence[Feed], step: int, n_steps: int) -> int:
    """After so many steps, or where an epoch or a window ends before that."""
    return min(step + n_steps, plan.epoch_end(step), *(f.end(step) for f in feeds))


def _mean_losses(plan: Plan, carries: States, step: int) -> dict[str, float]:
    """Over the epoch's steps so far and over all runs."""
    of_each = [
        means(plan, sums, step)["losses"]
        for sums in jax.device_get([carry.sums for carry in carries])
    ]
    return {
        name: statistics.fmean(each[name] for each in of_each) for name in of_each[0]
    }


def clear_sums(carry: LoopState) -> LoopState:
    """The same state with sums of zero."""
    sums = jax.tree.map(jnp.zeros_like, carry.sums)
    return LoopState(carry.state, sums, carry.first_bad)
