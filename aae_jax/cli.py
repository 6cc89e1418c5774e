"""The command line of both scripts: flags, one-sentence errors, exit statuses.

Everything that can be refused is refused here, before jax is imported.
"""

import contextlib
import dataclasses
import io
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import tyro

from aae_jax.config import Config, resumed
from aae_jax.data import check_dataset_name, resolve
from aae_jax.errors import RunError, UserError
from aae_jax.options import EvaluationOptions, RunOptions
from aae_jax.run_folder import RunFolder, new_run_folder, newest_run, open_run
from aae_jax.signals import Interrupted

Flags = TypeVar("Flags")
MAX_SAMPLES = 1_000_000


class _ConfigFlags(Config):
    """A config as it was typed, not yet checked: tyro would box our sentences."""

    def __post_init__(self) -> None:
        pass


@dataclass(frozen=True)
class TrainFlags:
    """All flags of train.py."""

    config: _ConfigFlags
    options: RunOptions


@dataclass(frozen=True)
class TrainingRequest:
    """What train.py is asked to do, checked. `finished` where nothing is left to do."""

    config: Config
    options: RunOptions
    finished: RunFolder | None = None


def exit_status(main: Callable[[], None], *, script: str) -> int:
    """Run a script's body; tell failures in one sentence on stderr.

    Returns:
      0 done, 2 the input is at fault, 1 anything else that went wrong, 130 or 143
      stopped by SIGINT or SIGTERM after saving.
    """
    try:
        main()
    except UserError as error:
        return _tell(script, error, 2)
    except RunError as error:
        return _tell(script, error, 1)
    except Interrupted as stopped:
        return _tell(script, stopped, stopped.exit_status)
    except ModuleNotFoundError as error:
        return _tell(
            script,
            f"the package {error.name} is not installed; type 'make setup', then "
            "'source .venv/bin/activate'",
            2,
        )
    except KeyboardInterrupt:
        return _tell(script, "stopped before anything was trained", 130)
    except OSError as error:
        return _tell(script, error, 1)
    except MemoryError:
        return _tell(script, "the machine's memory is full; try a smaller network", 1)
    return 0


def parse(flags: type[Flags], argv: Sequence[str], *, script: str, about: str) -> Flags:
    """Flags of a script from its arguments; prints the help and exits 0 for --help.

    Raises:
      UserError: a flag that does not exist, or a value of the wrong kind.
    """
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            return tyro.cli(
                flags,
                prog=script,
                description=about,
                args=list(argv),
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
            )
    except SystemExit as stopped:
        if stopped.code in (0, None):
            raise
        raise UserError(_one_sentence(told.getvalue(), script)) from None


def _one_sentence(box: str, script: str) -> str:
    """The message in the box that tyro draws, without the frame and the advice."""
    rows = [row.strip("│ ") for row in box.splitlines() if row.startswith("│")]
    rule = next((i for i, row in enumerate(rows) if set(row) <= {"─"}), len(rows))
    message = " ".join(rows[:rule])
    similar = [row for row in rows[rule:] if row.startswith("--")]
    flag = re.match(r"--[\w-]+", similar[0]) if similar else None
    guess = f"; did you mean {flag[0]}?" if flag and "nrecognized" in message else ""
    return f"{message}{guess}; 'python {script} --help' lists all flags"


def given_fields(argv: Sequence[str]) -> set[str]:
    """Names of the fields whose flags were typed."""
    return {
        word[2:].split("=")[0].replace("-", "_")
        for word in argv
        if word.startswith("--")
    }


def training_request(argv: Sequence[str]) -> TrainingRequest:
    """What train.py is asked to do.

    Raises:
      UserError: anything that can be known to be wrong without reading data.
    """
    flags = parse(
        TrainFlags,
        argv,
        script="train.py",
        about="Train an adversarial autoencoder; ends with pictures and metrics.",
    )
    config = Config(**_fields(flags.config))
    options = flags.options
    if config.prior == "custom":
        raise UserError("prior='custom' is for Python; choose a named --prior here")
    if "dataset" in given_fields(argv) or not options.resume:
        config = _with_settled_dataset(config, options)
    if not options.resume:
        new_run_folder(options.run_dir, config)
        return TrainingRequest(config, options)
    folder = RunFolder(options.run_dir) if options.run_dir else newest_run()
    options = dataclasses.replace(options, run_dir=folder.path)
    if not folder.config_file.exists():
        new_run_folder(folder.path, config)  # refuses a folder of something else
        return TrainingRequest(_with_settled_dataset(config, options), options)
    record = folder.read_record()
    if record.config.prior == "custom":
        raise UserError(
            f"{folder.path} was trained on a prior made in Python; resume it there "
            "with fit(config, prior=..., options=RunOptions(resume=True, run_dir=...))"
        )
    typed = {k: v for k, v in _fields(config).items() if k in given_fields(argv)}
    config = resumed(record.config, typed, n_train=record.n_train)
    done = folder.metrics_file.exists()
    return TrainingRequest(config, options, finished=folder if done else None)


def _with_settled_dataset(config: Config, options: RunOptions) -> Config:
    check_dataset_name(config.dataset, data_dir=options.data_dir)
    name = resolve(config.dataset, data_dir=options.data_dir)
    return dataclasses.replace(config, dataset=name)


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
    tasks = [name for name in ("encode", "decode", "sample") if name in _given(options)]
    looks = [*options.pictures, *(["metrics"] if options.metrics else [])]
    if len(tasks) > 1 or (tasks and looks):
        raise UserError(
            f"got --{' and --'.join([*tasks, *looks])}; give --encode, --decode or "
            "--sample alone"
        )
    if options.split not in ("test", "validation"):
        raise UserError(
            f"split={options.split!r} is unknown; choose test or validation"
        )
    if tasks:
        _check_output(options.out, tasks[0])
    if options.sample is not None and not 1 <= options.sample <= MAX_SAMPLES:
        raise UserError(
            f"sample={options.sample} is out of range; give --sample a value from 1 "
            f"to {MAX_SAMPLES:,}"
        )
    if options.decode is not None and not options.decode.is_file():
        raise UserError(
            f"{options.decode} does not exist; give an .npz file that holds codes z"
        )
    folder = open_run(options.run_dir)
    return dataclasses.replace(options, run_dir=folder.path)


def _given(options: EvaluationOptions) -> set[str]:
    return {name for name, value in vars(options).items() if value is not None}


def _check_output(out: Path | None, task: str) -> None:
    """Refuse an .npz file that is not named, cannot be, or is already there."""
    if out is None or out.suffix != ".npz":
        got = "none" if out is None else str(out)
        raise UserError(f"--{task} writes an .npz file, got {got}; add --out FILE.npz")
    if out.exists():
        raise UserError(f"{out} exists and is not overwritten; choose another --out")
    if not out.absolute().parent.is_dir():
        raise UserError(f"the folder of {out} does not exist; make it first")


def _fields(config: Config) -> dict[str, Any]:
    return {
        each.name: getattr(config, each.name) for each in dataclasses.fields(Config)
    }


def _tell(script: str, what: object, status: int) -> int:
    sentence = " ".join(str(what).split())
    print(f"{script}: {sentence}", file=sys.stderr)
    return status
