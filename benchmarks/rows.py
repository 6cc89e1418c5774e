"""The trainings that the documents tell of: their flags, their folders, their runs."""

import dataclasses
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aae_jax import Run
from aae_jax.cli import training_request
from aae_jax.run_folder import RunFolder, seed_folder

ROOT = Path(__file__).resolve().parents[1]
MNIST_TRAIN = 54_000
"""Images that MNIST has for training, those held out not counted."""


@dataclass(frozen=True)
class Row:
    """A row of the table: flags for train.py, and the seeds that they are run with."""

    name: str
    flags: str
    seeds: tuple[int, ...] = (0, 1, 2)
    lengths: int = 1
    """How many times the recipe's length in steps."""

    def argv(self, seed: int) -> list[str]:
        """Flags for train.py, without its paths."""
        argv = [*self.flags.split(), "--seed", str(seed)]
        if self.lengths > 1:
            steps = training_request(argv).config.total_steps(MNIST_TRAIN)
            argv += ["--steps", str(self.lengths * steps)]
        return argv


FIVE = (0, 1, 2, 3, 4)
ROWS = (
    Row("aae", "--model aae", FIVE),
    Row("aae-joint", "--model aae-joint", FIVE),
    Row("aae-twice", "--model aae", lengths=2),
    Row("aae-joint-twice", "--model aae-joint", lengths=2),
    *(
        Row(f"{model}-{prior}", f"--model {model} --prior {prior}", (0,))
        for prior in ("uniform", "gamma", "mixture", "swiss-roll")
        for model in ("aae", "aae-joint")
    ),
    Row("guide", "--recipe guide --epochs 30"),
    Row("autoencoder", "--model autoencoder"),
)
ROW_OF = {row.name: row for row in ROWS}


def run_folder(runs: Path, row: Row, seed: int) -> RunFolder:
    """Where a row's run with a seed is kept."""
    return seed_folder(runs / row.name, seed)


def finished_seeds(runs: Path, row: Row) -> list[int]:
    """Those seeds of a row whose trainings have ended."""
    return [
        seed for seed in row.seeds if run_folder(runs, row, seed).metrics_file.exists()
    ]


def train(
    rows: Sequence[Row],
    seeds: Sequence[int],
    *,
    data: str,
    runs: Path,
    together: bool = False,
) -> None:
    """Run what is not finished of those seeds; stop at the first failure.

    `together` trains the seeds of a row in one program, which they must have begun in.
    """
    runs.mkdir(parents=True, exist_ok=True)
    for row in rows:
        wanted = [seed for seed in row.seeds if seed in seeds]
        if not wanted:
            continue
        for seed in wanted:
            if run_folder(runs, row, seed).config_file.exists():
                refuse_stale(run_folder(runs, row, seed), row, seed)
        left = [seed for seed in wanted if seed not in finished_seeds(runs, row)]
        if together and wanted != list(range(wanted[0], wanted[-1] + 1)):
            sys.exit(f"seeds {wanted} do not follow one another: leave out --together")
        if left and together:
            place = ["--seeds", str(len(wanted)), "--run-dir", str(runs / row.name)]
            _run_train_py([*row.argv(wanted[0]), *place], data)
        elif left:
            for seed in left:
                place = ["--run-dir", str(run_folder(runs, row, seed).path)]
                _run_train_py([*row.argv(seed), *place], data)


def _run_train_py(argv: Sequence[str], data: str) -> None:
    command = [sys.executable, str(ROOT / "train.py"), *argv]
    command += ["--dataset", data, "--resume"]
    print(" ".join(command), flush=True)
    subprocess.run(command, check=True, cwd=ROOT)


def todays_config(row: Row, seed: int) -> dict[str, Any]:
    """What a run of the row has in its config today, as far as it is read.

    Without what the data decide.
    """
    config = training_request(row.argv(seed)).config
    values = dataclasses.asdict(config) | dataclasses.asdict(config.hyperparameters)
    values |= {"steps": config.total_steps(MNIST_TRAIN), "epochs": None}
    values |= {"prior_scale": config.scale}
    decided = {"dataset"} if config.n_classes else {"dataset", "n_classes"}
    return {
        name: value
        for name, value in values.items()
        if name not in {*config.unread, *decided}
    }


def fingerprint(row: Row, seed: int) -> str:
    """Twelve digits that tell one state of a row's recipe from another."""
    text = json.dumps(todays_config(row, seed), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def refuse_stale(folder: RunFolder, row: Row, seed: int) -> None:
    """Refuse a run whose hyper-parameters, of those it uses, are not today's."""
    record = folder.read_record()
    today = todays_config(row, seed)
    stored = dataclasses.asdict(record.config)
    names = [name for name in today if stored[name] != today[name]]
    if record.n_train != MNIST_TRAIN:
        names.append("data set")
    if names:
        sys.exit(
            f"{folder.path} was trained with another {', '.join(names)} than its row "
            "has today; delete it, or name another place with --runs"
        )


def load(runs: Path, name: str, seed: int) -> Run:
    """A finished run of a row."""
    folder = run_folder(runs, ROW_OF[name], seed)
    refuse_stale(folder, ROW_OF[name], seed)
    return Run.load(folder.path)
