"""Trainings in their folders, from the first file to the last picture."""

import shlex
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from aae_jax.checkpoint import checkpoint_steps, require_space
from aae_jax.config import Config
from aae_jax.data import Dataset
from aae_jax.devices import on_each, one_copy
from aae_jax.errors import UserError
from aae_jax.feeds import Feed
from aae_jax.first_state import first_states, refuse_apart
from aae_jax.host_loop import run_loop
from aae_jax.job import Job, prepare
from aae_jax.journal import Journal
from aae_jax.messages import Say, say_on_stderr
from aae_jax.metrics import numbers_in
from aae_jax.options import RunOptions, check_seeds
from aae_jax.phases import Phase
from aae_jax.priors import Prior
from aae_jax.processes import (
    copied_from_first,
    is_first,
    told_by_first,
)
from aae_jax.report import write_report
from aae_jax.run import Run
from aae_jax.run_folder import RunFolder, summary_file
from aae_jax.run_lock import run_lock
from aae_jax.run_record import RunRecord
from aae_jax.run_start import claim_folders, write_or_check_record
from aae_jax.signals import Interrupted, StopRequest
from aae_jax.small_files import write_json
from aae_jax.splits import measured_of_split, metrics_of_split
from aae_jax.together import Loops, States


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
      RunError: a loss or gradient that is not finite; a disk that is full; images on
        disk that cannot be read any more.
      Interrupted: SIGINT, SIGTERM or SIGHUP came; everything is saved.
    """
    options, say = _heard(options or RunOptions(), say)
    job = prepare(
        config,
        (config.seed,),
        dataset=dataset,
        prior=prior,
        phases=phases,
        options=options,
        say=say,
    )
    (run,) = _train(job, None, options=options, say=say)
    return run


def fit_seeds(
    config: Config,
    n_seeds: int,
    *,
    dataset: Dataset | None = None,
    prior: Prior | None = None,
    phases: tuple[Phase, ...] | None = None,
    options: RunOptions | None = None,
    say: Say = say_on_stderr,
) -> list[Run]:
    """Train a model with several seeds, all in one compiled program.

    The seeds count up from the config's; each has a run folder of its own, `seedN` in
    the folder that `options` name, beside a summary.json. Its numbers are those of
    `fit` with that seed, up to rounding, and always the same bits among the same seeds.

    Args:
      n_seeds: see `check_seeds`.
      config, dataset, prior, phases, options, say: see `fit`.

    Raises:
      UserError, RunError, Interrupted: see `fit`; what stops one run stops them all.
    """
    check_seeds(n_seeds, first=config.seed)
    seeds = range(config.seed, config.seed + n_seeds)
    options, say = _heard(options or RunOptions(), say)
    job = prepare(
        config,
        seeds,
        dataset=dataset,
        prior=prior,
        phases=phases,
        options=options,
        say=say,
    )
    runs = _train(job, seeds, options=options, say=say)
    if is_first():
        place = runs[0].folder.path.parent
        write_json(summary_file(place), _summarized(runs))
    return runs


def _summarized(runs: Sequence[Run]) -> dict[str, Any]:
    """The seeds, and of each metric the mean and the standard deviation over them."""
    of_each = [dict(numbers_in(run.metrics())) for run in runs]
    for run, metrics in zip(runs, of_each, strict=True):
        if metrics.keys() != of_each[0].keys():
            raise UserError(
                f"{run.folder.metrics_file} has not the metrics of the other seeds; "
                "delete it, and 'python train.py --resume' measures again"
            )
    values = {name: [each[name] for each in of_each] for name in of_each[0]}
    return {
        "seeds": [run.record.config.seed for run in runs],
        "mean": {name: statistics.fmean(each) for name, each in values.items()},
        "sd": {name: statistics.stdev(each) for name, each in values.items()}
        if len(runs) > 1
        else None,
    }


def _heard(options: RunOptions, say: Say) -> tuple[RunOptions, Say]:
    """The first process speaks for all."""
    if is_first():
        return options, say
    return replace(options, quiet=True), lambda line: None


def _train(
    job: Job, seeds: Sequence[int] | None, *, options: RunOptions, say: Say
) -> list[Run]:
    """Train in folders of their own; measure and draw what came out."""
    plan = job.plan
    with ExitStack() as locks:
        folders = _claim(job, seeds, locks, options=options)
        # Until all is saved a signal is a request; after that it ends us at once.
        with StopRequest() as stop:
            records, carries, seconds = _begin(job, folders, options=options, say=say)
            carries, seconds = _run_loop(
                job, folders, carries, stop=stop, seconds=seconds, say=say
            )
        if stop.number is not None:
            step = int(carries[0].state.step)
            raise _stopped(job, folders, step, stop.number, options=options)
        runs = [
            Run(record, job.model, carry.state.weights, folder, plan.total_steps)
            for folder, record, carry in zip(folders, records, carries, strict=True)
        ]
        for run in runs if is_first() else ():
            if not run.folder.metrics_file.exists():
                _finish(run, job, seconds, options=options, say=say)
    return runs


def _claim(
    job: Job, seeds: Sequence[int] | None, locks: ExitStack, *, options: RunOptions
) -> list[RunFolder]:
    """The folders, locked by the first process."""

    def claim() -> list[str]:
        folders = claim_folders(job.config, options, seeds)
        for folder in folders:
            locks.enter_context(run_lock(folder.path))
        return [str(folder) for folder in folders]

    return [RunFolder(Path(path)) for path in told_by_first(claim)]


def _begin(
    job: Job, folders: Sequence[RunFolder], *, options: RunOptions, say: Say
) -> tuple[list[RunRecord], States, float]:
    """Records and first states of the runs, and the seconds of training behind them."""
    records = list(job.records)

    def write_or_check() -> None:
        nonlocal records
        places = [folder.checkpoints for folder in folders]
        if any(checkpoint_steps(p)[:1] != [job.plan.total_steps] for p in places):
            require_space(places, job.start.like)
        if not all(folder.config_file.exists() for folder in folders):
            refuse_apart(folders)
        records = [
            write_or_check_record(folder, record, options=options, say=say)
            for folder, record in zip(folders, job.records, strict=True)
        ]

    told_by_first(write_or_check)
    carries, seconds = first_states(job.plan, folders, records, job.start, say=say)
    # Processors of several kinds may draw weights that differ in their last bits.
    return records, copied_from_first(carries), seconds


def _run_loop(
    job: Job,
    folders: Sequence[RunFolder],
    carries: States,
    *,
    stop: StopRequest,
    seconds: float,
    say: Say,
) -> tuple[States, float]:
    """`run_loop` from the first states to states on a single device."""
    carries = on_each(carries, job.mesh)
    loop = job.loop()
    with ExitStack() as opened:
        for feed in job.feeds:
            opened.enter_context(closing(feed))
        with ThreadPoolExecutor(1) as beside:
            measure = beside.submit(job.measure)  # it takes seconds, as compiling does
            say_compiling = None if job.plan.quiet else say
            carries = _compile(loop, carries, job.feeds, say=say_compiling)
        step = int(carries[0].state.step)
        journals = [
            Journal(
                folder, job.plan, job.model, measure.result(), first_step=step, say=say
            )
            for folder in folders
        ]
        for journal in journals if is_first() else ():
            opened.enter_context(journal)
        carries, seconds = run_loop(
            job.plan,
            loop,
            carries,
            feeds=job.feeds,
            journals=journals,
            stop=stop,
            seconds=seconds,
        )
    return one_copy(carries), seconds


def _compile(
    loop: Loops, carries: States, feeds: Sequence[Feed], *, say: Say | None
) -> States:
    """A call of no steps, before the clock starts: seconds are those of training."""
    if say is not None:
        say("compiling; the first step comes in a few seconds")
    step = int(carries[0].state.step)
    return loop(carries, tuple(feed.window(step) for feed in feeds), np.int32(step))


def _stopped(
    job: Job,
    folders: Sequence[RunFolder],
    step: int,
    number: int,
    *,
    options: RunOptions,
) -> Interrupted:
    place = folders[0].path
    again: list[Any] = []
    if len(folders) > 1:
        again = ["--seeds", len(folders), "--seed", job.config.seed]
        place = place.parent
    again += options.flags_to_go_on
    command = ["python", "train.py", "--resume", "--run-dir", place, *again]
    return Interrupted(
        number,
        f"stopped and saved at step {step} of {job.plan.total_steps}; go on with "
        f"'{shlex.join(map(str, command))}'",
    )


def _finish(
    run: Run, job: Job, seconds: float, *, options: RunOptions, say: Say
) -> None:
    """Read the test set, once: figures, report; then metrics.json, which ends it."""
    if not options.quiet:
        then = "" if options.no_figures else ", and drawing"
        say(f"measuring on the test images{then}")
    pictures = None
    if not options.no_figures:
        from aae_jax.pictures import draw_pictures  # matplotlib takes seconds to import

        test = measured_of_split(job.dataset, "test")
        pictures = draw_pictures(run, lambda: test, out=run.folder.figures)
    plan = job.plan
    metrics = {
        **metrics_of_split(run, job.dataset, "test"),
        "steps": plan.total_steps,
        "epochs": plan.total_steps / plan.steps_per_epoch,
        "seconds": seconds,
        "images_per_second": plan.total_steps * plan.batch_size / seconds,
    }
    if pictures is not None:
        write_report(run, pictures, out=run.folder.report_file, metrics=metrics)
    write_json(run.folder.metrics_file, metrics)
