"""One training in one folder, from its first file to its last picture."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from aae_jax import environment
from aae_jax.checkpoint import load_checkpoint
from aae_jax.config import Config, resumed
from aae_jax.data import Dataset, load_dataset
from aae_jax.errors import UserError
from aae_jax.holdout import hold_out, split_sizes
from aae_jax.host_loop import Plan, run_loop, save
from aae_jax.metrics import make_measure
from aae_jax.options import RunOptions
from aae_jax.phases import Batch, Phase, make_model
from aae_jax.priors import Prior
from aae_jax.reporting import say_on_stderr
from aae_jax.run import Run
from aae_jax.run_folder import RunFolder, RunRecord, new_run_folder, write_json
from aae_jax.run_lock import run_lock
from aae_jax.signals import StopRequest
from aae_jax.training import LoopState, make_loop, make_step, start

WATCHED_CODES = 2_000
"""Held-out images that are measured after each epoch."""

Say = Callable[[str], None]


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

    The result is a function of (config, data, seed): a run that was stopped and
    resumed on the same machine ends with the same bits as one that was not.

    Args:
      config: what to train.
      dataset: images; by default those that `config.dataset` names.
      prior: in place of the one that `config.prior` names.
      phases: in place of the variant's.
      options: where and how; with `resume` the training goes on in `run_dir`, whose
        stored config must be `config`.
      say: is told what a user should know, a line at a time.

    Returns:
      The trained run, with test metrics and figures in its folder.

    Raises:
      UserError: data that cannot be read or does not fit the config; a folder that is
        in use, or exists, or holds another config.
      RunError: a loss or gradient that is not finite; a disk that is full.
      Interrupted: SIGINT or SIGTERM came; everything is saved.
    """
    options = options or RunOptions()
    dataset = dataset or load_data(config, options, say=say)
    config = settle(config, dataset, prior=prior)
    if options.resume and options.run_dir is not None:
        folder = RunFolder(options.run_dir)
    else:
        folder = new_run_folder(options.run_dir, config)
    folder.path.mkdir(parents=True, exist_ok=True)
    with run_lock(folder.path), StopRequest() as stop:
        record = _begin_or_check(folder, config, dataset, options, say=say)
        plan = Plan(
            folder=folder,
            total_steps=config.total_steps(),
            steps_per_epoch=config.steps_per_epoch(record.n_train),
            batch_size=config.batch_size,
            quiet=options.quiet,
        )
        carry, seconds = _first_state(
            plan, record, prior, phases, init_from=options.init_from, say=say
        )
        train_rows, held_out_rows = hold_out(config.seed, len(dataset.x_train))
        watched = held_out_rows[:WATCHED_CODES]
        labels = None if dataset.y_train is None else dataset.y_train[watched]
        model = make_model(config, image_shape=record.image_shape, prior=prior)
        measure = make_measure(model, dataset.x_train[watched], labels)
        data = Batch(jnp.asarray(dataset.x_train[train_rows]))
        loop = make_loop(config, make_step(config, prior=prior, phases=phases))
        # Compiled before the clock starts: seconds count training alone.
        compiled = loop.lower(carry, data, np.int32(0)).compile()
        carry, seconds = run_loop(
            plan, model, compiled, carry, data, measure, stop, seconds=seconds
        )
        run = Run(folder, record, model, carry.state.params, plan.total_steps)
        _finish(run, plan, dataset, seconds, say=say)
    return run


def load_data(config: Config, options: RunOptions, *, say: Say) -> Dataset:
    """The images that a config names, see `load_dataset`."""
    limit = options.memory_limit
    return load_dataset(
        config.dataset,
        data_dir=options.data_dir,
        memory_limit=None if limit is None else int(limit * 2**30),
        image_size=config.image_size,
        say=say,
    )


def settle(config: Config, dataset: Dataset, *, prior: Prior | None = None) -> Config:
    """The config with all that only the data decide: their name, the length in steps.

    Raises:
      UserError: too few images, or fewer than a batch; a prior of another dimension.
    """
    n_train, _ = split_sizes(len(dataset.x_train))
    steps = config.total_steps(n_train)
    config.steps_per_epoch(n_train)  # refuses a batch larger than the data
    # Spelled out, so that a later change of a recipe cannot change this run.
    values = dataclasses.asdict(config.hyperparameters)
    values |= {"steps": steps, "epochs": None, "prior_scale": config.scale}
    config = dataclasses.replace(config, **values)
    if prior is not None:
        if len(prior.mean) != config.z_dim:
            raise UserError(
                f"the prior {prior.name!r} has {len(prior.mean)} dimensions and the "
                f"config z_dim={config.z_dim}; make them equal"
            )
        config = dataclasses.replace(config, prior="custom")
    if config.dataset == "auto":
        return dataclasses.replace(config, dataset=dataset.name)
    return config


def _begin_or_check(
    folder: RunFolder,
    config: Config,
    dataset: Dataset,
    options: RunOptions,
    *,
    say: Say,
) -> RunRecord:
    """config.json of a new run, written; or that of the run to go on with, checked."""
    record = RunRecord(
        config=config,
        image_shape=dataset.image_shape,
        n_train=split_sizes(len(dataset.x_train))[0],
        dataset={
            "name": dataset.name,
            "fingerprint": dataset.fingerprint(),
            "class_names": dataset.class_names,
        },
        environment=environment.describe(),
        command=" ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    )
    if not (options.resume and folder.config_file.exists()):
        folder.write_record(record)
        return record
    stored = folder.read_record()
    given = dataclasses.asdict(config) | {"epochs": None}
    resumed(stored.config, given, n_train=stored.n_train)
    if stored.dataset.get("fingerprint") != record.dataset["fingerprint"]:
        raise UserError(
            f"the images are not those that {folder.path} was trained on "
            f"({stored.dataset.get('name')}); give the same --dataset"
        )
    changed = environment.difference(stored.environment, record.environment)
    if changed:
        say(f"this is not where the run began, so bits may differ: {changed}")
    return stored


def _first_state(
    plan: Plan,
    record: RunRecord,
    prior: Prior | None,
    phases: tuple[Phase, ...] | None,
    *,
    init_from: Path | None,
    say: Say,
) -> tuple[LoopState, float]:
    """The newest checkpoint and the seconds behind it; or the start of a new run."""
    carry = start(
        record.config,
        jax.random.key(record.config.seed),
        image_shape=record.image_shape,
        prior=prior,
        phases=phases,
    )
    loaded = load_checkpoint(plan.folder.checkpoints, carry, say=say)
    plan.folder.cut_log(loaded.step if loaded else 0)
    if loaded is not None:
        return loaded.state, float(loaded.record["seconds"])
    if init_from is not None:
        carry = _with_weights_of(Run.load(init_from, prior=prior, say=say), carry)
        # Saved at once: whoever resumes this run need not have the other one.
        save(plan, carry, 0, 0.0)
    return carry, 0.0


def _with_weights_of(run: Run, carry: LoopState) -> LoopState:
    """`carry` with the parameters of another run, subset by subset.

    Raises:
      UserError: a subset is missing there, or has other shapes.
    """
    params = carry.state.params
    for subset, ours in params.items():
        theirs = run.params.get(subset)
        if theirs is None or jax.tree.map(jnp.shape, ours) != jax.tree.map(
            jnp.shape, theirs
        ):
            raise UserError(
                f"the {subset} of {run.folder.path} is missing or has another shape; "
                "start from a run with the same model, z_dim, hidden and image size"
            )
    state = dataclasses.replace(
        carry.state, params={subset: run.params[subset] for subset in params}
    )
    return dataclasses.replace(carry, state=state)


def _finish(
    run: Run, plan: Plan, dataset: Dataset, seconds: float, *, say: Say
) -> None:
    """Read the test set, once: metrics.json and the figures."""
    from aae_jax.pictures import draw_pictures  # matplotlib takes seconds to import

    measured = run.metrics(dataset.x_test, dataset.y_test)
    write_json(
        run.folder.metrics_file,
        {
            "split": "test",
            "images": len(dataset.x_test),
            **measured,
            "steps": plan.total_steps,
            "epochs": plan.total_steps / plan.steps_per_epoch,
            "seconds": seconds,
            "images_per_second": plan.total_steps * plan.batch_size / seconds,
        },
    )
    draw_pictures(run, dataset.x_test, dataset.y_test, out=run.folder.figures)
