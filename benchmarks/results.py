"""Train every row of docs/results.md, and write its table from what they measured.

    python benchmarks/results.py train --data path/to/mnist --runs path/to/keep
    python benchmarks/results.py write --runs path/to/keep
    python benchmarks/results.py origin --data path/to/mnist --runs path/to/keep
    python benchmarks/results.py blocks --data path/to/mnist --runs path/to/keep

`train` runs train.py once a row and seed, one after the other, skips what is finished
and resumes what was stopped. `write` reads each run's metrics.json and metrics.jsonl,
so that a number on the page is one that a command has printed. `origin` compares what
the code (0, 0) decodes to with and without an adversary; `blocks` shows how much the
latent ratio differs from one block of training images to the next. A run that was
trained with other hyper-parameters than the recipe has today is refused.
"""

import argparse
import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aae_jax.cli import training_request
from aae_jax.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[1]
MNIST_TRAIN = 54_000
"""Images that MNIST has for training, those held out not counted."""
PAGE = ROOT / "docs" / "results.md"
BEGIN, END = "<!-- the table: results.py write -->\n", "<!-- end of the table -->\n"


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
    Row("uniform", "--prior uniform", (0,)),
    Row("gamma", "--prior gamma", (0,)),
    Row("mixture", "--prior mixture", (0,)),
    Row("swiss-roll", "--prior swiss-roll", (0,)),
    Row("guide", "--recipe guide --epochs 30"),
    Row("autoencoder", "--model autoencoder"),
)


# What the project set out to reach on the test set, with every seed.
_AAE = {"mse": 0.035, "ratio": 1.25, "gap": 0.03, "knn": 0.86}
_JOINT = {"mse": 0.034, "ratio": 1.25, "knn": 0.87}
_PRIOR = {"ratio": 2.0, "gap": 0.05}
TARGETS = {
    "aae": _AAE,
    "aae-joint": _JOINT,
    "uniform": _PRIOR,
    "gamma": _PRIOR,
    "mixture": _PRIOR,
    "swiss-roll": _PRIOR,
}
METRICS = {
    "mse": ("test MSE", 4),
    "ratio": ("latent ratio", 2),
    "gap": ("gap fraction", 3),
    "knn": ("5-NN", 3),
}
"""What a metric is called, and its digits behind the point."""
PICTURES = (("aae", "grid"), ("aae", "latent"))
"""Figures of a row's seed 0 that the documents show."""


def run_folder(runs: Path, row: Row, seed: int) -> RunFolder:
    """Where a row's run with a seed is kept."""
    return RunFolder(runs / f"{row.name}-seed{seed}")


def train(rows: Sequence[Row], *, data: str, runs: Path) -> None:
    """Run what is not finished; stop at the first failure."""
    runs.mkdir(parents=True, exist_ok=True)
    for row in rows:
        for seed in row.seeds:
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
    """Refuse a run whose hyper-parameters are not today's."""
    record = folder.read_record()
    today = training_request(row.argv(seed)).config
    wanted = dataclasses.asdict(today) | dataclasses.asdict(today.hyperparameters)
    wanted |= {"steps": today.total_steps(record.n_train), "epochs": None}
    wanted |= {"prior_scale": today.scale, "dataset": record.config.dataset}
    stored = dataclasses.asdict(record.config)
    names = [name for name in wanted if stored[name] != wanted[name]]
    if record.n_train != MNIST_TRAIN:
        names.append("data set")
    if names:
        sys.exit(
            f"{folder.path} was trained with another {', '.join(names)} than its row "
            "has today; delete it, or name another place with --runs"
        )


def numbers(runs: Path, row: Row) -> Iterator[dict[str, Any]]:
    """What each finished seed of a row measured on the test set."""
    for seed in row.seeds:
        folder = run_folder(runs, row, seed)
        if not folder.metrics_file.exists():
            continue
        refuse_stale(folder, row, seed)
        metrics = json.loads(folder.metrics_file.read_text())
        log = folder.read_log()
        watched = [
            deviation
            for line in log[len(log) // 10 :]
            for deviation in line["validation"]["latent"]["std"]
        ]
        yield {
            "mse": metrics["reconstruction_mse"],
            "ratio": metrics["latent"]["ratio"],
            "gap": metrics["latent"]["gap_fraction"],
            "knn": metrics["knn_accuracy"],
            "std": [min(watched), max(watched)],
            "steps": metrics["steps"],
            "minutes": metrics["seconds"] / 60,
        }


def table(runs: Path, rows: Sequence[Row]) -> str:
    """The rows as Markdown: mean over the seeds, and the worst seed in brackets."""
    titles = " | ".join(title for title, _ in METRICS.values())
    lines = [
        f"| row | seeds | steps | {titles} | deviation of the codes while training "
        "| minutes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    commands = []
    for row in rows:
        found = list(numbers(runs, row))
        if not found:
            continue
        low = min(each["std"][0] for each in found)
        high = max(each["std"][1] for each in found)
        minutes = statistics.mean(each["minutes"] for each in found)
        measured = " | ".join(_mean_and_worst(found, name) for name in METRICS)
        lines.append(
            f"| `{row.name}` | {len(found)} | {found[0]['steps']:,} | {measured} "
            f"| {low:.2f} to {high:.2f} | {minutes:.0f} |"
        )
        typed = " ".join(row.argv(0)).replace("--seed 0", "--seed S")
        commands.append(
            f"- `{row.name}`: `python train.py {typed} --dataset path/to/mnist`"
        )
    return "\n".join([*lines, "", "The commands:", "", *commands, ""])


def _mean_and_worst(found: Sequence[dict], name: str) -> str:
    digits = METRICS[name][1]
    mean = f"{statistics.mean(each[name] for each in found):.{digits}f}"
    return mean if len(found) == 1 else f"{mean} ({_worst(found, name):.{digits}f})"


def _worst(found: Sequence[dict], name: str) -> float:
    values = [each[name] for each in found]
    return min(values) if name == "knn" else max(values)


def targets(runs: Path, rows: Sequence[Row]) -> str:
    """What was aimed at beside the worst seed of each row, as Markdown."""
    lines = ["| row | | target | worst seed | reached |", "|---|---|---|---|---|"]
    for row in rows:
        found = list(numbers(runs, row))
        for name, target in TARGETS.get(row.name, {}).items() if found else ():
            title, digits = METRICS[name]
            worst = _worst(found, name)
            reached = worst >= target if name == "knn" else worst <= target
            bound = "at least" if name == "knn" else "at most"
            lines.append(
                f"| `{row.name}` | {title} | {bound} {target} | {worst:.{digits}f} "
                f"| {'yes' if reached else 'no'} |"
            )
    return "\n".join([*lines, ""])


def write(runs: Path) -> None:
    """Put the tables between their marks on the page, and the pictures beside it."""
    before, rest = PAGE.read_text().split(BEGIN)
    _, after = rest.split(END)
    tables = f"{table(runs, ROWS)}\nWhat was aimed at:\n\n{targets(runs, ROWS)}"
    PAGE.write_text(f"{before}{BEGIN}\n{tables}\n{END}{after}")
    for name, figure in PICTURES:
        row = next(row for row in ROWS if row.name == name)
        made = run_folder(runs, row, 0).path / "figures" / f"{figure}.png"
        if made.exists():
            shutil.copyfile(made, PAGE.parent / "figures" / f"{name}-{figure}.png")


def origin(data: str, runs: Path) -> None:
    """Print and draw what (0, 0) decodes to, without and with an adversary."""
    import numpy as np
    from PIL import Image

    from aae_jax import Run, load_dataset

    images = load_dataset(data).x_test.reshape(-1, 28 * 28) / np.float32(255)
    decoded = []
    for name in ("autoencoder", "aae"):
        row = next(row for row in ROWS if row.name == name)
        for seed in row.seeds[:3]:
            folder = run_folder(runs, row, seed)
            refuse_stale(folder, row, seed)
            run = Run.load(folder.path)
            x_hat = run.decode(np.zeros((1, 2), np.float32)).reshape(-1)
            nearest = np.square(images - x_hat).mean(axis=1).min()
            print(f"{name} seed {seed}: {nearest:.4f} from the nearest test image")
            decoded.append(x_hat.reshape(28, 28))
    strip = np.concatenate([np.pad(each, 2) for each in decoded], axis=1)
    picture = Image.fromarray(np.rint(255 * strip).astype(np.uint8))
    scaled = picture.resize((4 * picture.width, 4 * picture.height), Image.NEAREST)
    scaled.save(ROOT / "docs" / "figures" / "origin.png")


def blocks(data: str, runs: Path) -> None:
    """Print the latent ratio of training images, in the order of the file and mixed."""
    import numpy as np

    from aae_jax import Run, load_dataset
    from aae_jax.metrics import latent_match, make_reference

    row = next(row for row in ROWS if row.name == "aae-joint")
    folder = run_folder(runs, row, 0)
    refuse_stale(folder, row, 0)
    run, size = Run.load(folder.path), 10_000
    z = run.encode(load_dataset(data).x_train)
    mixed = np.random.default_rng(0).permutation(len(z))
    reference = make_reference(run.model.prior, size)
    for name, codes in (("in file order", z), ("mixed", z[mixed])):
        ratios = [
            latent_match(codes[first : first + size], reference)["ratio"]
            for first in range(0, len(codes), size)
        ]
        print(f"blocks of {size:,} training images {name}:", np.round(ratios, 2))


def main() -> None:
    """`train` rows, `write` the page, look at the `origin` or at `blocks`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("train", "write", "origin", "blocks"))
    parser.add_argument("--data", help="folder of the four MNIST files")
    parser.add_argument("--runs", type=Path, required=True, help="where runs are kept")
    names = [row.name for row in ROWS]
    parser.add_argument(
        "--only", nargs="+", choices=names, default=names, help="rows to train"
    )
    flags = parser.parse_args()
    rows = [row for row in ROWS if row.name in flags.only]
    if flags.task != "write" and flags.data is None:
        parser.error(f"{flags.task} needs --data, the folder of the four MNIST files")
    if flags.task == "train":
        train(rows, data=os.path.abspath(flags.data), runs=flags.runs)
    elif flags.task == "write":
        write(flags.runs)
    else:
        look = origin if flags.task == "origin" else blocks
        look(os.path.abspath(flags.data), flags.runs)


if __name__ == "__main__":
    main()
