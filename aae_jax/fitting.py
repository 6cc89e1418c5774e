"""One training in one folder, from its first file to its last picture."""

import shlex
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from aae_jax.config import Config
from aae_jax.data import Dataset
from aae_jax.devices import make_mesh, on_each, one_copy
from aae_jax.first_state import first_state, make_start
from aae_jax.holdout import hold_out, watched
from aae_jax.host_loop import Plan, run_loop
from aae_jax.loop import Loop, LoopState, TrainingData, make_loop
from aae_jax.measure import Measure, make_measure
from aae_jax.messages import Say, say_on_stderr
from aae_jax.options import RunOptions
from aae_jax.phases import Model, Phase, make_model
from aae_jax.priors import Prior
from aae_jax.run import Run
from aae_jax.run_folder import RunFolder
from aae_jax.run_lock import run_lock
from aae_jax.run_record import RunRecord
from aae_jax.run_start import (
    claim_folder,
    kept_labels,
    load_data,
    make_record,
    settle,
    write_or_check_record,
)
from aae_jax.signals import Interrupted, StopRequest
from aae_jax.small_files import write_json
from aae_jax.splits import images_of_split, metrics_of_split
from aae_jax.training import make_step
from aae_jax.variants import phases_of


def fit(
    config: Config,
    *,
    dataset: Dataset | None = None,
    prior: Prior | None = None,
    phases: tuple[Phase, ...] | None = None,
    options: RunOptions | None = None,
    say: Say = say_on_stderr,
) -> Run:
    """Train a model in a run folder of its own, or go on with one that was stopped.

    A function of config, data and first weights (the seed's, or another run's): stopped
    and resumed on the same machine, it ends with the same bits.

    Args:
      config: what to train.
      dataset: images; by default those that `config.dataset` names.
      prior: in place of the one that `config.prior` names.
      phases: in place of the variant's.
      options: where and how; with `resume` the training goes on in `run_dir`, whose
        stored config must be `config`.
      say: is told what a user should know, a line at a time.

    Returns:
      The trained run, with test metrics in its folder, and figures unless the options
      want none.

    Raises:
      UserError: data that cannot be read or does not fit the config; a folder that is
        in use, or exists, or holds another config.
      RunError: a loss or gradient that is not finite; a disk that is full.
      Interrupted: SIGINT, SIGTERM or SIGHUP came; everything is saved.
    """
    options = options or RunOptions()
    mesh = make_mesh(options.devices, batch_size=config.hyperparameters.batch_size)
    dataset = load_data(config, options, given=dataset, say=say)
    config = settle(config, dataset, options, prior=prior)
    y_train = kept_labels(config, dataset, say=None if options.quiet else say)
    record = make_record(config, dataset, options, phases=phases)
    step = make_step(config, prior=prior, phases=phases)
    # Read before anything is written: it may be refused.
    start = make_start(
        config,
        step=step,
        image_shape=dataset.image_shape,
        prior=prior,
        phases=phases,
        init_from=options.init_from,
        say=say,
    )
    folder = claim_folder(config, options)
    with run_lock(folder.path):
        # Until all is saved a signal is a request; after that it ends us at once.
        with StopRequest() as stop:
            record = write_or_check_record(folder, record, options=options, say=say)
            plan = _plan(config, record, folder, phases, quiet=options.quiet)
            carry, seconds = first_state(plan, record, start, say=say)
            model = make_model(config, image_shape=dataset.image_shape, prior=prior)
            data, measure = _split(dataset, model, y_train)
            carry, data = on_each((carry, data), mesh)
            loop = make_loop(config, step, mesh=mesh)
            carry = _compile(loop, carry, data, say=None if options.quiet else say)
            carry, seconds = run_loop(
                plan,
                loop,
                model=model,
                carry=carry,
                data=data,
                measure=measure,
                stop=stop,
                seconds=seconds,
            )
        if stop.number is not None:
            raise _stopped(plan, int(carry.state.step), stop.number)
        weights = one_copy(carry.state.weights)
        run = Run(folder, record, model, weights, plan.total_steps)
        if not folder.metrics_file.exists():
            _finish(run, plan, dataset, seconds, options=options, say=say)
    return run


def _plan(
    config: Config,
    record: RunRecord,
    folder: RunFolder,
    phases: tuple[Phase, ...] | None,
    *,
    quiet: bool,
) -> Plan:
    return Plan(
        folder=folder,
        phases=tuple(phase.name for phase in phases or phases_of(config)),
        total_steps=config.total_steps(),
        steps_per_epoch=config.steps_per_epoch(record.n_train),
        batch_size=config.hyperparameters.batch_size,
        quiet=quiet,
    )


def _compile(
    loop: Loop, carry: LoopState, data: TrainingData, *, say: Say | None
) -> LoopState:
    """A call of no steps, before the clock starts: seconds are those of training."""
    if say is not None:
        say("compiling; the first step comes in a few seconds")
    return loop(carry, data, np.int32(carry.state.step))


def _stopped(plan: Plan, step: int, number: int) -> Interrupted:
    place = shlex.quote(str(plan.folder.path))
    return Interrupted(
        number,
        f"stopped and saved at step {step} of {plan.total_steps}; go on with 'python "
        f"train.py --resume --run-dir {place}'",
    )


def _split(
    dataset: Dataset, model: Model, y_train: NDArray[np.int32] | None
) -> tuple[TrainingData, Measure]:
    """What to train on, on the device; and what measures on the images held out.

    `y_train` are labels of the images that are not held out.
    """
    train_rows, held_out_rows = hold_out(len(dataset.x_train))
    rows = watched(held_out_rows)
    x, y = dataset.x_train, dataset.y_train
    measure = make_measure(model, x[rows], None if y is None else y[rows])
    data = TrainingData(jnp.asarray(x[train_rows]))
    if y_train is not None:
        labelled = np.flatnonzero(y_train >= 0).astype(np.int32)
        # Labelled images beside images that all are would be the same ones again.
        again = model.networks.wiring.parts_prior and len(labelled) == len(y_train)
        data = replace(
            data,
            y=jnp.asarray(y_train),
            labelled=jnp.asarray(labelled) if len(labelled) and not again else None,
        )
    return data, measure


def _finish(
    run: Run,
    plan: Plan,
    dataset: Dataset,
    seconds: float,
    *,
    options: RunOptions,
    say: Say,
) -> None:
    """Read the test set, once: the figures, then metrics.json, which tells the end."""
    if not options.quiet:
        then = "" if options.no_figures else ", and drawing"
        say(f"measuring on the test images{then}")
    if not options.no_figures:
        from aae_jax.pictures import draw_pictures  # matplotlib takes seconds to import

        test = images_of_split(dataset, "test")
        draw_pictures(run, lambda: test, out=run.folder.figures)
    write_json(
        run.folder.metrics_file,
        {
            **metrics_of_split(run, dataset, "test"),
            "steps": plan.total_steps,
            "epochs": plan.total_steps / plan.steps_per_epoch,
            "seconds": seconds,
            "images_per_second": plan.total_steps * plan.batch_size / seconds,
        },
    )
