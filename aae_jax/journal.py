"""What is written of a run while it trains: log, curves, codes, checkpoints."""

from collections import deque
from collections.abc import Mapping
from typing import Any, NoReturn, Self

import jax
import jax.numpy as jnp

from aae_jax.board import Board
from aae_jax.checkpoint import newest_in, save_checkpoint, where_to_go_on
from aae_jax.devices import one_copy
from aae_jax.errors import RunError
from aae_jax.kept_codes import keep_codes
from aae_jax.loop import NEVER, LoopState
from aae_jax.measure import Measure
from aae_jax.messages import Say
from aae_jax.phases import Model
from aae_jax.plan import Plan
from aae_jax.run_folder import RunFolder
from aae_jax.stalemate import WINDOW, stalemate
from aae_jax.training import StepInfo


class Journal:
    """Log, curves, codes and checkpoints of one run; what is not finite stays out.

    It writes between `__enter__` and `__exit__`.
    """

    def __init__(
        self,
        folder: RunFolder,
        plan: Plan,
        model: Model,
        measure: Measure,
        *,
        first_step: int,
        say: Say,
    ) -> None:
        self.folder = folder
        self._plan, self._measure = plan, measure
        self._model, self._first_step = model, first_step
        self._say = say
        self._told: set[str] = set()
        self._last: deque[dict[str, Any]] = deque(maxlen=WINDOW)

    def __enter__(self) -> Self:
        self._board = Board(
            self.folder, self._model, first_step=self._first_step, say=self._say
        )
        return self

    def __exit__(self, *exception: object) -> None:
        self._board.__exit__(*exception)

    def refuse_not_finite(self, carry: LoopState, *, steps: tuple[int, int]) -> None:
        """Stop where a gradient, loss or parameter is not finite, and name the phase.

        Args:
          steps: between which it must have happened.

        Raises:
          RunError: with the phase, the steps, and the last good checkpoint.
        """
        first_bad = jax.device_get(carry.first_bad)
        # Of those that went wrong in the same step, the phase that the others followed.
        phase = min(self._plan.phases, key=lambda name: int(first_bad[name]))
        if first_bad[phase] != NEVER:
            first = int(first_bad[phase])
            self._refuse(f"the gradient of the {phase} phase", steps, first)
        named = {f"the {name} loss": value for name, value in carry.sums.losses.items()}
        named |= {f"the {name}": value for name, value in carry.state.params.items()}
        for name, finite in jax.device_get(_finite(named)).items():
            if not finite:
                self._refuse(name, steps)

    def end_epoch(
        self,
        carry: LoopState,
        *,
        steps: tuple[int, int],
        timings: Mapping[str, float],
    ) -> dict[str, Any]:
        """Measure on held-out images; keep codes, write and return the line of the log.

        Raises:
          RunError: codes or errors are not finite; the disk refuses.
        """
        step, weights = steps[1], one_copy(carry.state.weights)
        line = {
            "epoch": -(-step // self._plan.steps_per_epoch),
            "step": step,
            **means(self._plan, jax.device_get(carry.sums), step),
            **timings,
        }
        try:
            measured = self._measure(weights)
        except FloatingPointError:
            self._refuse("the codes or errors of held-out images", steps)
        line["validation"] = measured.metrics
        try:
            keep_codes(
                self.folder,
                measured.codes,
                measured.y,
                step=step,
                steps_per_epoch=self._plan.steps_per_epoch,
            )
            self.folder.append_log(line)
        except RunError as error:
            place = self.folder.checkpoints
            raise RunError(f"{error}; {where_to_go_on(place)}") from error
        self._board.epoch(line, weights, measured.z)
        self._last.append(line)
        self._tell_stalemate()
        return line

    def save(self, carry: LoopState, *, step: int, seconds: float) -> None:
        """Save a checkpoint.

        Raises:
          RunError: the disk refuses.
        """
        record = {"seconds": seconds}
        save_checkpoint(self.folder.checkpoints, carry, step=step, record=record)

    def _tell_stalemate(self) -> None:
        """Say that a discriminator has won or died, each once."""
        learns = self._model.config.hyperparameters.discriminator_rate > 0
        found = stalemate(self._last) if learns else None
        if found is not None and found not in self._told:
            self._told.add(found)
            self._say(f"{self.folder}: {found}")

    def _refuse(
        self, what: str, steps: tuple[int, int], first: int | None = None
    ) -> NoReturn:
        before, step = steps
        when = f"between steps {before} and {step}"
        if first is not None:
            when = f"at step {first}, {when}"
        raise RunError(
            f"{what} became NaN or infinite {when}; nothing after it was saved; "
            f"{newest_in(self.folder.checkpoints)}; begin a new run with a lower "
            "--reconstruction-rate, --generator-rate or --discriminator-rate"
        )


def means(plan: Plan, sums: StepInfo, step: int) -> dict[str, dict[str, float]]:
    """Of the epoch's steps so far, from their sums."""
    n_steps = plan.steps_of_epoch(step)
    return {
        name: {key: float(value) / n_steps for key, value in group.items()}
        for name, group in vars(sums).items()
    }


@jax.jit
def _finite(trees: dict[str, Any]) -> dict[str, jax.Array]:
    """For each tree of arrays whether all its numbers are finite."""
    return {
        name: jnp.array(
            [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]
        ).all()
        for name, tree in trees.items()
    }
