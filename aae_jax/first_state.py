"""Where a training begins: its own checkpoint, another run's weights, random ones."""

import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from aae_jax.checkpoint import (
    Loaded,
    checkpoint_steps,
    load_checkpoint,
    save_checkpoint,
)
from aae_jax.config import Config
from aae_jax.data.files import memory_bytes
from aae_jax.errors import RunError, UserError
from aae_jax.kept_codes import cut_codes
from aae_jax.loop import LoopState, init_loop
from aae_jax.measured_values import is_number
from aae_jax.messages import Say
from aae_jax.networks import Params
from aae_jax.phases import Phase
from aae_jax.plan import Plan
from aae_jax.priors import Prior
from aae_jax.processes import is_first
from aae_jax.run import Run
from aae_jax.run_folder import RunFolder, open_run
from aae_jax.run_record import RunRecord
from aae_jax.training import Update


@dataclass(frozen=True)
class Start:
    """What a run begins with where nothing of it is saved.

    Attributes:
      begin: `begin(key) -> LoopState`, random weights.
      like: shapes and dtypes of what it gives.
      weights: those of another run, in place of the random ones.
    """

    begin: Callable[[Array], LoopState]
    like: LoopState
    weights: Params | None


def make_start(
    config: Config,
    *,
    step: Update,
    image_shape: tuple[int, int, int],
    prior: Prior | None,
    phases: tuple[Phase, ...] | None,
    init_from: Path | None,
    say: Say,
) -> Start:
    """Shapes, and another run's weights if there is a path; nothing is computed yet.

    Raises:
      UserError: more numbers than the memory holds; no such run, or its weights do not
        fit.
    """
    # One program: as many small ones as there are arrays take seconds to compile.
    begin = jax.jit(
        partial(
            init_loop,
            config,
            step=step,
            image_shape=image_shape,
            prior=prior,
            phases=phases,
        )
    )
    like = jax.eval_shape(begin, jax.random.key(config.seed))
    _refuse_too_large(like)
    weights = _weights_of(init_from, like, prior=prior, phases=phases, say=say)
    return Start(begin, like, weights)


def _refuse_too_large(like: LoopState) -> None:
    """Refuse a state that no checkpoint could be made of, before it is made."""
    n_bytes = sum(math.prod(leaf.shape) * 4 for leaf in jax.tree.leaves(like))
    if n_bytes > (memory := memory_bytes()):
        raise UserError(
            f"the networks and their optimizers would take {n_bytes / 2**30:,.0f} GiB "
            f"and the memory has {memory / 2**30:,.0f}; use a smaller --hidden, or "
            "smaller images by --image-size"
        )


def first_states(
    plan: Plan,
    folders: Sequence[RunFolder],
    records: Sequence[RunRecord],
    start: Start,
    *,
    say: Say,
) -> tuple[tuple[LoopState, ...], float]:
    """For each run what it goes on from, and the seconds of training behind all.

    That is its newest checkpoint of a step that all have one of, or the start of a new
    run.

    Raises:
      UserError: a run was to begin with the weights of another, which are neither
        saved here nor given; or it has ended and lost its checkpoints.
    """
    loaded = _load_same_step(folders, start.like, say=say)
    step = loaded[0].step if loaded[0] else 0
    if loaded[0] and not plan.quiet:
        say(f"going on from step {step} of {plan.total_steps}")
    carries = []
    for folder, record, found in zip(folders, records, loaded, strict=True):
        if is_first():
            _go_back(folder, step, plan, say=say)
        carries.append(found.state if found else _begin(folder, record, start))
    return tuple(carries), _seconds(loaded[0], folders[0]) if loaded[0] else 0.0


def _seconds(loaded: Loaded, folder: RunFolder) -> float:
    """Of the training behind a checkpoint.

    Raises:
      RunError: it does not tell them.
    """
    seconds: Any = loaded.record.get("seconds")
    if not is_number(seconds) or seconds < 0:
        raise RunError(
            f"the checkpoint of step {loaded.step} in {folder.checkpoints} does not "
            "tell how long its training took; put an intact copy back"
        )
    return float(seconds)


def _go_back(folder: RunFolder, step: int, plan: Plan, *, say: Say) -> None:
    """Take out of a run's folder what its training will write anew after a step.

    Raises:
      UserError: it has ended, and would begin again at step 0.
    """
    if step == 0 and folder.metrics_file.exists():
        raise UserError(
            f"{folder.path} has ended, and its checkpoints are gone; put them back, or "
            f"delete {folder.metrics_file}, and --resume trains it again"
        )
    folder.cut_log(step)
    cut_codes(folder, step)
    n_epochs, n_lines = step // plan.steps_per_epoch, len(folder.read_log())
    if n_lines < n_epochs:
        say(f"{folder.log_file} has {n_lines} lines of the {n_epochs} epochs so far")
    if step < plan.total_steps:
        folder.metrics_file.unlink(missing_ok=True)  # measured again at the end


def _load_same_step(
    folders: Sequence[RunFolder], like: LoopState, *, say: Say
) -> list[Loaded | None]:
    """The newest checkpoints that are of one step; None for each where none are.

    A process that was killed may have saved some of its runs and not yet the others.

    Raises:
      UserError: no step is common to all, and more would be lost than a first save.
    """
    up_to = None
    while True:
        loaded = [
            load_checkpoint(folder.checkpoints, like, up_to=up_to, say=say)
            for folder in folders
        ]
        steps = {-1 if found is None else found.step for found in loaded}
        if len(steps) == 1:
            if loaded[0] is None:
                refuse_apart(folders)
            return loaded
        up_to = min(steps)


def refuse_apart(folders: Sequence[RunFolder]) -> None:
    """Refuse to begin all runs anew where any has more behind it than its first save.

    Raises:
      UserError: with the step that each was saved at last.
    """
    if any(map(_is_far, folders)):
        raise UserError(_apart(folders))


def _is_far(folder: RunFolder) -> bool:
    """Whether a run has more behind it than its first save."""
    saved = checkpoint_steps(folder.checkpoints)
    return len(saved) > 1 or (bool(saved) and folder.metrics_file.exists())


def _apart(folders: Sequence[RunFolder]) -> str:
    saved = {each.name: checkpoint_steps(each.checkpoints) for each in folders}
    steps = ", ".join(
        f"{name} at step {steps[0]}" if steps else f"{name} nowhere"
        for name, steps in saved.items()
    )
    return (
        f"the seeds in {folders[0].path.parent} were not saved at a common step "
        f"({steps}); give --seeds and --seed those that were trained together, or "
        "another --run-dir"
    )


def _begin(folder: RunFolder, record: RunRecord, start: Start) -> LoopState:
    """Random weights by the record's seed, or those of another run."""
    if record.init_from is not None and start.weights is None:
        raise UserError(
            f"{folder.path} was stopped before it had saved the weights that it "
            f"was to begin with; add --init-from {shlex.quote(record.init_from)}"
        )
    carry = start.begin(jax.random.key(record.config.seed))
    if start.weights is None:
        return carry
    # Copies: what several runs begin with is donated by each of them.
    weights = jax.tree.map(jnp.copy, start.weights)
    state = replace(
        carry.state,
        params={name: weights[name] for name in carry.state.params},
        statistics={name: weights[name] for name in carry.state.statistics},
    )
    carry = replace(carry, state=state)
    # Saved at once: whoever resumes this run need not have the other one.
    save_checkpoint(folder.checkpoints, carry, step=0, record={"seconds": 0.0})
    return carry


def _weights_of(
    path: Path | None,
    like: LoopState,
    *,
    prior: Prior | None,
    phases: tuple[Phase, ...] | None,
    say: Say,
) -> Params | None:
    """The parameters of another run, of the shapes that this one needs.

    A run with a prior or phases of its own is opened with those of this one.

    Raises:
      UserError: no such run, or a subset is missing there, or has other shapes.
    """
    if path is None:
        return None
    record = open_run(path).read_record()
    run = Run.load(
        path,
        prior=prior if record.config.prior == "custom" else None,
        phases=phases if record.phases is not None else None,
        say=say,
    )
    for subset, ours in like.state.weights.items():
        theirs = run.params.get(subset)
        if jax.tree.map(jnp.shape, theirs) != jax.tree.map(jnp.shape, ours):
            raise UserError(
                f"the {subset} of {path} is missing or has another shape: kernels "
                f"{_kernels(theirs)} there, {_kernels(ours)} here; start from a run "
                "with the same model, z_dim, network, hidden, encoder, classes or "
                "clusters, and image size"
            )
    return {subset: run.params[subset] for subset in like.state.weights}


def _kernels(params: Params | None) -> str:
    """The shapes of a subset's kernels, for a message."""
    leaves = [] if params is None else jax.tree.leaves(params)
    shapes = ("x".join(map(str, leaf.shape)) for leaf in leaves if leaf.ndim > 1)
    return " ".join(shapes) or "none"
