"""The algorithm: init, one update a phase, the step that composes them.

Training is a pure function of (Config, data, seed). `TrainState.key` is the run's key
and never changes; randomness comes from it by `fold_in`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from aae_jax.checks import check_printable
from aae_jax.config import Config
from aae_jax.errors import UserError
from aae_jax.networks import SUBSETS, Params
from aae_jax.optimizers import make_optimizer
from aae_jax.phases import (
    Batch,
    Model,
    Phase,
    Terms,
    find_phase,
    make_model,
    subsets_of,
)
from aae_jax.priors import Prior
from aae_jax.variants import phases_of

# Streams of the run's key. Steps count up from 0, these down from the top.
INIT_STREAM = 2**32 - 1
ORDER_STREAM = 2**32 - 2
LABELLED_ORDER_STREAM = 2**32 - 3
LABELS_STREAM = 2**32 - 4
SHIFT_STREAM = 2**32 - 5
_STATISTICS_STREAM = 2**32 - 1  # of a step's key; its phases count up from 0
_AVERAGED_STEPS = 100


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """Everything that a training carries from one step to the next.

    Attributes:
      params: the networks' parameters by subset.
      optimizer_states: one a phase, by the phase's name.
      key: the run's key, typed, constant.
      step: how many steps are done, int32.
      statistics: running averages of `Networks.statistics`; empty without batch
        normalization.
    """

    params: Params
    optimizer_states: dict[str, Any]
    key: PRNGKeyArray
    step: Int[Array, ""]
    statistics: Params

    @property
    def weights(self) -> Params:
        """What evaluation reads: the parameters, and the statistics beside them."""
        return self.params | self.statistics


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class StepInfo:
    """What a step has to say; never carried into the next one.

    Attributes:
      losses: each term of the phases' losses, by name.
      gradient_norms: Euclidean norm of each phase's gradient, by the phase's name.
    """

    losses: dict[str, Float[Array, ""]]
    gradient_norms: dict[str, Float[Array, ""]]


Update = Callable[[TrainState, Batch], tuple[TrainState, StepInfo]]


def init(
    config: Config,
    key: PRNGKeyArray,
    *,
    image_shape: tuple[int, int, int],
    prior: Prior | None = None,
    phases: tuple[Phase, ...] | None = None,
) -> TrainState:
    """The state before the first step.

    Args:
      config: which networks and optimizers.
      key: typed key of the run, such as `jax.random.key(config.seed)`.
      image_shape: `(height, width, channels)`.
      prior: in place of the config's.
      phases: in place of the variant's.

    Raises:
      UserError: no phase moves the encoder, or none the decoder; the length is in
        epochs, which only the data turn into steps.
    """
    config = config.with_own_prior(prior)
    phases = phases or phases_of(config)
    networks = make_model(config, image_shape=image_shape, prior=prior).networks
    params = networks.init(jax.random.fold_in(key, INIT_STREAM), subsets_of(phases))
    optimizer_states = {
        phase.name: make_optimizer(config, phase).init(params) for phase in phases
    }
    x = jnp.zeros((2, *image_shape))
    seen = jax.eval_shape(networks.statistics, params, x, key)
    return TrainState(
        params,
        optimizer_states,
        key,
        jnp.zeros((), jnp.int32),
        statistics=jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), seen),
    )


def make_update(
    config: Config,
    phase: str | Phase,
    *,
    prior: Prior | None = None,
    phases: tuple[Phase, ...] | None = None,
) -> Update:
    """One phase of a step, compiled: `update(state, batch) -> (state, info)`.

    The loss is differentiated with respect to the phase's own subsets alone, and only
    those are written back: all else in the state stays as it was, bit for bit. The
    step count is left alone too.

    Args:
      config: rates, weights, networks.
      phase: a phase of the variant, or its name.
      prior: in place of the config's.
      phases: in place of the variant's; the phase's place among them picks its stream
        of random numbers.

    Raises:
      UserError: the variant has no such phase; when the update is called, a loss that
        returns anything but a scalar and named scalars, or reads a subset that the
        variant does not have.
    """
    config = config.with_own_prior(prior)
    phases = phases or phases_of(config)
    index = find_phase(phases, phase)
    phase = phases[index]
    optimizer = make_optimizer(config, phase)

    def update(state: TrainState, batch: Batch) -> tuple[TrainState, StepInfo]:
        model = make_model(
            config, image_shape=batch.image_shape, prior=prior, step=state.step
        )
        key = _phase_key(state, index)
        moved = {name: state.params[name] for name in phase.moves}

        def loss(moved: Params) -> tuple[Array, Terms]:
            return _evaluate(phase, state.params | moved, batch, key, model)

        gradients, terms = jax.grad(loss, has_aux=True)(moved)
        # optax.partition wants the whole tree; it never reads what it holds.
        held = jax.tree.map(jnp.zeros_like, state.params)
        updates, optimizer_state = optimizer.update(
            held | gradients, state.optimizer_states[phase.name], state.params
        )
        changed: Any = optax.apply_updates(state.params, updates)
        state = replace(
            state,
            params=state.params | {name: changed[name] for name in phase.moves},
            optimizer_states=state.optimizer_states | {phase.name: optimizer_state},
        )
        return state, StepInfo(terms, {phase.name: _norm(gradients)})

    return jax.jit(update, inline=True)  # see make_step


def _norm(gradients: Params) -> Float[Array, ""]:
    # XLA would write the squares out once, for the norm and for Adam, whose pass over
    # the parameters then takes longer than to square twice.
    gradients = jax.tree.map(jax.lax.optimization_barrier, gradients)
    return optax.tree.norm(gradients)


def _phase_key(state: TrainState, stream: int) -> PRNGKeyArray:
    """The key of a phase in this step, or of what comes after the phases."""
    return jax.random.fold_in(jax.random.fold_in(state.key, state.step), stream)


def _running_average(average: Params, seen: Params, step: Array) -> Params:
    """The mean over all steps so far, later over about the last `_AVERAGED_STEPS`."""
    share = 1 / (1 + jnp.minimum(step, _AVERAGED_STEPS)).astype(jnp.float32)
    return jax.tree.map(lambda old, new: old + share * (new - old), average, seen)


def _evaluate(
    phase: Phase, params: Params, batch: Batch, key: PRNGKeyArray, model: Model
) -> tuple[Array, Terms]:
    """The loss of a phase, which may be a user's own: its mistakes told in words."""
    try:
        result: Any = phase.loss(params, batch, key, model)
    except KeyError as error:
        if error.args[0] not in SUBSETS:
            raise
        raise UserError(
            f"phase {phase.name!r} reads {error}, which no phase of this variant "
            "moves; add one that does"
        ) from error
    if not _is_loss_and_terms(result):
        raise UserError(
            f"the loss of phase {phase.name!r} returned {result!r}; return (loss, "
            "terms), a scalar and a dict of the named scalars that are to be logged"
        )
    for name in result[1]:
        check_printable("term", name)
    return result


def _is_loss_and_terms(result: Any) -> bool:
    if not isinstance(result, tuple) or len(result) != 2:
        return False
    loss, terms = result
    return isinstance(terms, dict) and all(
        jnp.shape(each) == () for each in (loss, *terms.values())
    )


def make_step(
    config: Config,
    *,
    prior: Prior | None = None,
    phases: tuple[Phase, ...] | None = None,
) -> Update:
    """All phases in order on one batch: `step(state, batch) -> (state, info)`.

    Compiled. Each phase sees the parameters as the phase before left them. Statistics
    for batch normalization are averaged after the last.

    Raises:
      UserError: when the step is called, two phases that log a term of one name.

    Source: the guide's part 2: reconstruction, discriminator, generator.
    """
    phases = phases or phases_of(config)
    updates = [
        make_update(config, phase, prior=prior, phases=phases) for phase in phases
    ]

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, StepInfo]:
        losses, gradient_norms = {}, {}
        for update in updates:
            state, info = update(state, batch)
            if repeated := losses.keys() & info.losses.keys():
                raise UserError(
                    f"two phases return a term named {min(repeated)!r}; give each "
                    "term a name of its own, or the log would show only one of them"
                )
            losses |= info.losses
            gradient_norms |= info.gradient_norms
        model = make_model(config, image_shape=batch.image_shape, prior=prior)
        key = _phase_key(state, _STATISTICS_STREAM)
        seen = model.networks.statistics(state.params, batch.x, key)
        state = replace(
            state,
            step=state.step + 1,
            statistics=_running_average(state.statistics, seen, state.step),
        )
        return state, StepInfo(losses, gradient_norms)

    # Traced once, however often it is part of other programs.
    return jax.jit(step, inline=True)
