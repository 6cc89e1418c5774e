"""The trainings that the documents tell of: their flags, their folders, their runs."""

import dataclasses
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aae_jax import Run
from aae_jax.cli import training_request
from aae_jax.run_folder import RunFolder

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
    return RunFolder(runs / f"{row.name}-seed{seed}")


def finished_seeds(runs: Path, row: Row) -> list[int]:
    """Those seeds of a row whose trainings have ended."""
    return [
        seed for seed in row.seeds if run_folder(runs, row, seed).metrics_file.exists()
    ]


def train(rows: Sequence[Row], seeds: Sequence[int], *, data: str, runs: Path) -> None:
    """Run what is not finished of those seeds; stop at the first failure."""
    runs.mkdir(parents=True, exist_ok=True)
    for row in rows:
        for seed in (seed for seed in row.seeds if seed in seeds):
            folder = run_folder(runs, row, seed)
            if folder.config_file.exists():
                refuse_stale(folder, row, seed)
            if folder.metrics_file.exists():
                continue
            argv = [sys.executable, str(ROOT / "train.py"), *row.argv(seed)]
            argv += ["--dataset", data, "--run-dir", str(folder.path), "--resume"]
            print(" ".join(argv), flush=True)
            subprocess.run(argv, check=True, cwd=ROOT)


def refuse_stale(folder: RunFolder, row: Row, seed: int) -> None:
    """Refuse a run whose hyper-parameters, of those it uses, are not today's."""
    record = folder.read_record()
    today = training_request(row.argv(seed)).config
    wanted = dataclasses.asdict(today) | dataclasses.asdict(today.hyperparameters)
    wanted |= {"steps": today.total_steps(record.n_train), "epochs": None}
    wanted |= {"prior_scale": today.scale, "dataset": record.config.dataset}
    if today.n_classes is None:  # those of the data
        wanted["n_classes"] = record.config.n_classes
    stored = dataclasses.asdict(record.config)
    names = [
        name
        for name in wanted
        if stored[name] != wanted[name] and name not in today.unread
    ]
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
