"""Where a training begins: its own checkpoint, another run's weights, random ones."""

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
from jax import Array

from aae_jax.checkpoint import load_checkpoint
from aae_jax.config import Config
from aae_jax.errors import UserError
from aae_jax.host_loop import Plan, save
from aae_jax.loop import LoopState, init_loop
from aae_jax.messages import Say
from aae_jax.networks import Params
from aae_jax.phases import Phase
from aae_jax.priors import Prior
from aae_jax.run import Run
from aae_jax.run_folder import open_run
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
      UserError: no such run, or its weights do not fit.
    """
    begin = partial(
        init_loop,
        config,
        step=step,
        image_shape=image_shape,
        prior=prior,
        phases=phases,
    )
    like = jax.eval_shape(begin, jax.random.key(config.seed))
    weights = _weights_of(init_from, like, prior=prior, phases=phases, say=say)
    return Start(begin, like, weights)


def first_state(
    plan: Plan, record: RunRecord, start: Start, *, say: Say
) -> tuple[LoopState, float]:
    """The newest checkpoint and the seconds behind it; or the start of a new run.

    Raises:
      UserError: the run was to begin with the weights of another, which are neither
        saved here nor given.
    """
    loaded = load_checkpoint(plan.folder.checkpoints, start.like, say=say)
    plan.folder.cut_log(loaded.step if loaded else 0)
    lost = loaded is None and plan.folder.metrics_file.exists()
    if loaded is None or loaded.step < plan.total_steps:
        plan.folder.metrics_file.unlink(missing_ok=True)  # measured again at the end
    if loaded is not None:
        if not plan.quiet:
            say(f"going on from step {loaded.step} of {plan.total_steps}")
        return loaded.state, float(loaded.record["seconds"])
    if lost:
        say(f"{plan.folder.path} has lost its checkpoints; it begins again at step 0")
    if record.init_from is not None and start.weights is None:
        raise UserError(
            f"{plan.folder.path} was stopped before it had saved the weights that it "
            f"was to begin with; add --init-from {shlex.quote(record.init_from)}"
        )
    carry = start.begin(jax.random.key(record.config.seed))
    if (weights := start.weights) is not None:
        state = replace(
            carry.state,
            params={name: weights[name] for name in carry.state.params},
            statistics={name: weights[name] for name in carry.state.statistics},
        )
        carry = replace(carry, state=state)
        # Saved at once: whoever resumes this run need not have the other one.
        save(plan, carry, step=0, seconds=0.0)
    return carry, 0.0


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
                "with the same model, z_dim, hidden, encoder, classes or clusters, and "
                "image size"
            )
    return {subset: run.params[subset] for subset in like.state.weights}


def _kernels(params: Params | None) -> str:
    """The shapes of a subset's kernels, for a message."""
    leaves = [] if params is None else jax.tree.leaves(params)
    shapes = ("x".join(map(str, leaf.shape)) for leaf in leaves if leaf.ndim > 1)
    return " ".join(shapes) or "none"
