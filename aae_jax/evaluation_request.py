"""What evaluate.py is asked to do, refused here before jax is imported."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from aae_jax.checks import check_name, check_number, nearest
from aae_jax.config import Config
from aae_jax.data import check_dataset_name
from aae_jax.errors import UserError
from aae_jax.export_folder import check_export
from aae_jax.flags import given_fields, parse
from aae_jax.kept_codes import kept_steps
from aae_jax.options import (
    SPLITS,
    EvaluationOptions,
    limit_in_bytes,
    pictures_of,
)
from aae_jax.run_folder import open_run, refuse_made_in_python

MAX_SAMPLES = 1_000_000
TASKS = ("encode", "score", "decode", "sample", "parzen", "export")
"""Each is done alone."""
_WITHOUT_OUT = ("parzen", "export")
_SPLITS_OF = {
    "encode": "--encode itself takes the name of a split",
    "score": "--score itself takes the name of a split",
    "decode": "--decode reads codes",
    "sample": "--sample draws codes",
    "export": "--export writes networks",
    "parzen": "--parzen measures the test images, at the width that validation chooses",
}


def evaluation_request(argv: Sequence[str]) -> EvaluationOptions:
    """What evaluate.py is asked to do.

    Raises:
      UserError: flags that do not go together, no run, an output that cannot be.
    """
    options = parse(
        EvaluationOptions,
        argv,
        script="evaluate.py",
        about="Pictures, metrics, codes and images of a run, finished or not.",
    )
    _check_tasks(options, given_fields(argv))
    check_name("split", options.split, SPLITS[:2])
    if options.sample is not None:
        check_number("sample", options.sample, 1, MAX_SAMPLES, whole=True)
    if options.parzen is not None:
        check_number("parzen", options.parzen, 2, MAX_SAMPLES, whole=True)
    check_number("seed", options.seed, 0, 2**32 - 1, whole=True)
    limit_in_bytes(options.memory_limit)
    if options.export is not None:
        check_export(options.export)
    for name in ("decode", "encode", "score"):
        _check_input(name, getattr(options, name))
    if options.dataset is not None:
        check_dataset_name(options.dataset, data_dir=options.data_dir)
    folder = open_run(options.run_dir)
    record = folder.read_record()
    refuse_made_in_python(folder, record, f"Run.load('{folder.path}', ")
    _refuse_pictures(options.pictures, record.config)
    if options.animate:
        kept_steps(folder)
    return dataclasses.replace(options, run_dir=folder.path)


def _refuse_pictures(names: Sequence[str], config: Config) -> None:
    """Refuse pictures that the run's model has nothing to draw for."""
    has = pictures_of(config)
    for name in names:
        if name not in has:
            flags = ", ".join(f"--{each}" for each in has)
            raise UserError(
                f"a run of model={config.model!r} has no --{name}; it has {flags}"
            )


def _check_tasks(options: EvaluationOptions, given: set[str]) -> None:
    """Refuse tasks that do not go together, and flags that none of them reads."""
    tasks = [name for name in TASKS if getattr(options, name) is not None]
    others = ("explore", "report", "animate", "metrics")
    looks = [*options.pictures, *(name for name in others if getattr(options, name))]
    if len(tasks) > 1 or (tasks and looks):
        *most, last = (f"--{name}" for name in TASKS)
        raise UserError(
            f"got --{' and --'.join([*tasks, *looks])}; give "
            f"{', '.join(most)} or {last} alone"
        )
    if "seed" in given and options.sample is None and options.parzen is None:
        raise UserError(
            "--seed is that of --sample N and --parzen N; leave it out, or add one"
        )
    if tasks and "split" in given:
        raise UserError(
            "--split is that of pictures, pages and --metrics and does nothing with "
            f"--{tasks[0]}; leave it out ({_SPLITS_OF[tasks[0]]})"
        )
    if looks == ["animate"] and "split" in given:
        raise UserError(
            "--split does nothing with --animate, which shows the held-out images that "
            "the training kept codes of; leave it out"
        )
    if tasks and tasks[0] not in _WITHOUT_OUT:
        _check_output(options.out, tasks[0])
    elif options.out is not None:
        _check_folder(options.out, [*tasks, *looks])


def _check_folder(out: Path, asked: Sequence[str]) -> None:
    """Refuse an --out that nothing is written to, or that is no folder."""
    if asked == ["export"]:
        raise UserError(
            f"got --out {out}, and --export names its folder itself; leave --out out"
        )
    if asked in (["parzen"], ["metrics"]):
        raise UserError(
            f"got --out {out} and no picture; --{asked[0]} prints to stdout, so drop "
            "--out"
        )
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file; give --out a folder for pictures")
    if out.suffix.lower() in (".png", ".npz", ".html", ".gif"):
        raise UserError(
            f"got --out {out}, the name of a file; give a folder for pictures"
        )


def _check_input(name: str, value: str | Path | None) -> None:
    """Refuse a path to codes or images at which nothing is."""
    if value is None or value in SPLITS or os.path.exists(os.path.expanduser(value)):
        return
    if name == "decode":
        raise UserError(
            f"{value} does not exist; give --decode an .npz file that holds codes z"
        )
    raise UserError(
        f"{name}={str(value)!r} is no split and no path; choose test, validation or "
        f"train, or name a file or folder of images{nearest(str(value), SPLITS)}"
    )


def _check_output(out: Path | None, task: str) -> None:
    """Refuse a file that is not named, cannot be, or is already there."""
    kind, suffix = ("a", ".csv") if task == "score" else ("an", ".npz")
    if out is None or out.suffix != suffix:
        got = "none" if out is None else str(out)
        raise UserError(
            f"--{task} writes {kind} {suffix} file, got {got}; add --out FILE{suffix}"
        )
    for file in (out, out.with_suffix(".png")) if task == "score" else (out,):
        if file.exists() or file.is_symlink():
            raise UserError(
                f"{file} exists and is not overwritten; choose another --out"
            )
    if not out.absolute().parent.is_dir():
        raise UserError(f"the folder of {out} does not exist; make it first")
