"""What is settled, checked and written before the first step of a run."""

import dataclasses
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from aae_jax.changed_data import changed_data
from aae_jax.config import Config
from aae_jax.data import Dataset, load_dataset, resolve
from aae_jax.environment import difference, this_environment
from aae_jax.errors import UserError
from aae_jax.holdout import hold_out, split_sizes
from aae_jax.labels import count_classes, keep_labels
from aae_jax.messages import Say
from aae_jax.options import RunOptions
from aae_jax.phases import Phase
from aae_jax.priors import MOST_PARTS, Prior
from aae_jax.run_folder import (
    SEEDS_NEED_A_PLACE,
    RunFolder,
    make_new_folder,
    newest_run,
    seed_folder,
)
from aae_jax.run_record import RunRecord


def load_data(
    config: Config,
    options: RunOptions,
    *,
    given: Dataset | None = None,
    say: Say,
) -> Dataset:
    """The images that are given, or that the config names, see `load_dataset`.

    Raises:
      UserError: what is given is no Dataset; what is named cannot be read.
    """
    if isinstance(given, Dataset):
        return given
    if given is not None:
        raise UserError(
            f"dataset is a {type(given).__name__}; give Dataset.from_arrays(x, y) or "
            "load_dataset(...)"
        )
    name = config.dataset
    return load_dataset(
        # What `auto` is gets announced, but for those who want to hear nothing.
        resolve(name, data_dir=options.data_dir) if options.quiet else name,
        data_dir=options.data_dir,
        memory_limit=options.memory_limit,
        image_size=config.image_size,
        say=say,
    )


def settle(
    config: Config, dataset: Dataset, options: RunOptions, *, prior: Prior | None = None
) -> Config:
    """The config with all that only the data decide: their name, the length in steps.

    Raises:
      UserError: too few images, or fewer than a batch; a prior whose mean,
        samples or log-density have another shape or type.
    """
    if prior is not None:
        _check_prior(prior, config.z_dim)
    config = config.with_own_prior(prior)
    n_train, _ = split_sizes(len(dataset.x_train))
    if len(dataset.x_test) < 2:
        raise UserError(
            f"the data set has {len(dataset.x_test)} test images; give 2 or more"
        )
    if config.reads_labels:
        config = _with_classes(config, dataset)
    steps = config.total_steps(n_train)
    config.steps_per_epoch(n_train)  # refuses a batch larger than the data
    if config.dataset == "auto":
        name = dataset.name
    else:
        name = resolve(config.dataset, data_dir=options.data_dir)
    # Spelled out, so that a later change of a recipe cannot change this run.
    values: dict[str, Any] = dataclasses.asdict(config.hyperparameters)
    values |= {"steps": steps, "epochs": None, "prior_scale": config.scale}
    return dataclasses.replace(config, dataset=name, **values)


def _with_classes(config: Config, dataset: Dataset) -> Config:
    """The config with the number of classes; refuses labels that do not serve it."""
    found = count_classes(dataset.y_train, dataset.y_test)
    without = "--labels 0" if config.wiring.adds_heads else "--model clustering"
    if dataset.y_train is None or (dataset.y_train < 0).all():
        raise UserError(
            f"model={config.model!r} learns from labels, and the data set "
            f"{dataset.name!r} has none; give labels y or a folder for each class, or "
            f"use {without}"
        )
    n_classes = found if config.n_classes is None else config.n_classes
    if found > n_classes:
        raise UserError(
            f"n_classes={n_classes} and the data have the label {found - 1}; labels go "
            "from 0 to n_classes - 1"
        )
    classes = np.unique(dataset.y_train[dataset.y_train >= 0])
    if len(classes) < 2:
        raise UserError(
            f"all labels that are trained on are {classes[0]}; there is no class to "
            "learn, so give images of two or more"
        )
    named = config.prior != "custom"  # a prior of one's own may have any number
    if config.wiring.parts_prior and named and n_classes > MOST_PARTS:
        raise UserError(
            f"there are {n_classes} classes, and prior={config.prior!r} has room for "
            f"{MOST_PARTS}; use fewer, or --model supervised"
        )
    return dataclasses.replace(config, n_classes=n_classes)


def kept_labels(
    config: Config, dataset: Dataset, *, say: Say | None = None
) -> NDArray[np.int32] | None:
    """Labels of the images that are trained on, as many as the config uses.

    `say` is told where they leave a class out.

    Raises:
      UserError: see `keep_labels`.
    """
    if dataset.y_train is None:
        return None
    train_rows, _ = hold_out(len(dataset.y_train))
    y = keep_labels(dataset.y_train[train_rows], config.labels, seed=config.seed)
    if config.reads_labels and say is not None:
        unseen = config.n_categories - len(np.unique(y[y >= 0]))
        if unseen:
            say(
                f"{unseen} of {config.n_categories} classes "
                f"{'has' if unseen == 1 else 'have'} no labelled image to learn from"
            )
    return y


def _check_prior(prior: Prior, z_dim: int) -> None:
    """Refuse a prior of one's own that does not fit, before anything is written."""
    if prior.mean.shape != (z_dim,):
        raise UserError(
            f"the prior {prior.name!r} has a mean of shape {prior.mean.shape} and the "
            f"config z_dim={z_dim}; make it ({z_dim},)"
        )
    z = np.asarray(prior.sample(jax.random.key(0), 3))
    if z.shape != (3, z_dim) or z.dtype != np.float32:
        raise UserError(
            f"sample(key, 3) of the prior {prior.name!r} is {z.dtype} of shape "
            f"{z.shape}; with z_dim={z_dim} it is float32 of shape (3, {z_dim})"
        )
    if prior.log_density is not None:
        shape = np.shape(prior.log_density(jnp.asarray(z)))
        if shape != (3,):
            raise UserError(
                f"log_density of the prior {prior.name!r} gives shape {shape} for "
                f"codes of shape {z.shape}; it is one number a code, shape (3,)"
            )
    if (z == z[0]).all() or not np.isfinite(z).all():
        raise UserError(
            f"sample(key, 3) of the prior {prior.name!r} is {z.tolist()}; it must draw "
            "finite numbers that vary"
        )


def make_record(
    config: Config,
    dataset: Dataset,
    options: RunOptions,
    *,
    phases: tuple[Phase, ...] | None,
    say: Say | None,
    together: int = 1,
) -> RunRecord:
    """What config.json is to say of a run, one of those that are trained together.

    `say` is told of what takes long.
    """
    init_from = options.init_from
    return RunRecord(
        config=config,
        image_shape=dataset.image_shape,
        n_train=split_sizes(len(dataset.x_train))[0],
        dataset={
            "name": dataset.name,
            "fingerprint": dataset.fingerprint(say=say),
            "class_names": dataset.class_names,
            "shapes": dataset.shapes,
        },
        environment=this_environment(devices=options.devices, together=together),
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        phases=None if phases is None else tuple(phase.name for phase in phases),
        init_from=None if init_from is None else str(init_from.resolve()),
    )


def claim_folders(
    config: Config, options: RunOptions, seeds: Sequence[int] | None = None
) -> list[RunFolder]:
    """The folders of new runs, or of those to go on with, made where they are absent.

    That is one folder, or one for each seed, `seedN` in that folder.

    Raises:
      UserError: a new run's folder holds something already; or it cannot be made.
    """
    place = options.run_dir
    if place is None and options.resume and seeds is not None:
        raise UserError(SEEDS_NEED_A_PLACE)
    if place is None:
        made = newest_run() if options.resume else make_new_folder(config)
        place = made.path
    folders = [RunFolder(place)]
    if seeds is not None:
        folders = [seed_folder(place, seed) for seed in seeds]
    if not options.resume:
        for folder in folders:
            folder.refuse_content()
    for folder in folders:
        folder.make()
    return folders


def write_or_check_record(
    folder: RunFolder, record: RunRecord, *, options: RunOptions, say: Say
) -> RunRecord:
    """Write config.json of a new run; check that of the run to go on with.

    Returns:
      What config.json says.

    Raises:
      UserError: config, data, phases or first weights are not those that the run
        began with.
    """
    if not (options.resume and folder.config_file.exists()):
        folder.refuse_content()  # somebody may have been faster
        if options.resume and not options.quiet:
            say(f"{folder.path} holds no run to go on with: a new one begins")
        folder.write_record(record)
        return record
    stored = folder.read_record()
    stored.resumed(dataclasses.asdict(record.config) | {"epochs": None})
    changed = changed_data(folder, stored, options, now=record)
    if stored.phases != record.phases:
        raise UserError(
            f"{folder.path} was trained with phases={stored.phases}, got "
            f"phases={record.phases}; give the same phases"
        )
    if record.init_from not in (None, stored.init_from):
        raise UserError(
            f"{folder.path} began with {stored.init_from or 'random weights'}, got "
            f"--init-from {record.init_from}; leave it out, or begin a new run"
        )
    elsewhere = difference(stored.environment, record.environment)
    if elsewhere:
        say(f"this is not where the run began, so bits may differ: {elsewhere}")
    if changed:
        say(f"going on with other data: {changed}")
        before = [*stored.dataset.get("before", ()), stored.dataset["fingerprint"]]
        stored = dataclasses.replace(
            stored, dataset={**record.dataset, "before": before}
        )
        folder.write_record(stored)
        folder.metrics_file.unlink(missing_ok=True)  # measured again on these data
    return stored
