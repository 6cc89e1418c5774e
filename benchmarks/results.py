"""Train every row of docs/results.md, and write the page from what they measured.

    python benchmarks/results.py train --data path/to/mnist --runs path/to/keep
    python benchmarks/results.py write --runs path/to/keep

`train` runs train.py once a row and seed, one after the other, skips what is finished
and resumes what was stopped. `write` reads each run's metrics.json and metrics.jsonl,
so that a number on the page is one that a command has printed.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Row:
    """A row of the table: flags for train.py, and the seeds that they are run with."""

    name: str
    flags: str
    seeds: tuple[int, ...] = (0, 1, 2)


FIVE = (0, 1, 2, 3, 4)
ROWS = (
    Row("aae", "--model aae", FIVE),
    Row("aae-joint", "--model aae-joint", FIVE),
    Row("guide", "--recipe guide --epochs 30"),
    Row("autoencoder", "--model autoencoder"),
    Row("uniform", "--prior uniform", (0,)),
    Row("gamma", "--prior gamma", (0,)),
    Row("mixture", "--prior mixture", (0,)),
    Row("swiss-roll", "--prior swiss-roll", (0,)),
    Row("aae-twice", "--model aae --steps {twice}"),
    Row("aae-joint-twice", "--model aae-joint --steps {twice}"),
)


def run_dir(runs: Path, row: Row, seed: int) -> Path:
    """Where a row's run with a seed is kept."""
    return runs / f"{row.name}-seed{seed}"


def command(row: Row, seed: int) -> list[str]:
    """The arguments of train.py for a row, without its paths."""
    sys.path.insert(0, str(ROOT))
    from aae_jax.recipes import RECIPES

    twice = 2 * (RECIPES["tuned"]["aae"].steps or 0)
    return [*row.flags.format(twice=twice).split(), "--seed", str(seed)]


def train(rows: Sequence[Row], *, data: str, runs: Path) -> None:
    """Run what is not finished; stop at the first failure."""
    runs.mkdir(parents=True, exist_ok=True)
    for row in rows:
        for seed in row.seeds:
            folder = run_dir(runs, row, seed)
            if (folder / "metrics.json").exists():
                continue
            argv = [sys.executable, str(ROOT / "train.py"), *command(row, seed)]
            argv += ["--dataset", data, "--run-dir", str(folder), "--resume"]
            print(" ".join(argv), flush=True)
            subprocess.run(argv, check=True, cwd=ROOT)


def numbers(runs: Path, row: Row) -> Iterator[dict[str, Any]]:
    """What each finished seed of a row measured on the test set."""
    for seed in row.seeds:
        folder = run_dir(runs, row, seed)
        if not (folder / "metrics.json").exists():
            continue
        metrics = json.loads((folder / "metrics.json").read_text())
        log = [json.loads(line) for line in (folder / "metrics.jsonl").open()]
        watched = [
            value
            for line in log[len(log) // 10 :]
            for value in line["validation"]["latent"]["std"]
        ]
        yield {
            "seed": seed,
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
    lines = [
        "| row | seeds | steps | test MSE | latent ratio | gap fraction | 5-NN | "
        "std of the codes while training | minutes |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        found = list(numbers(runs, row))
        if not found:
            continue
        low = min(each["std"][0] for each in found)
        high = max(each["std"][1] for each in found)
        minutes = statistics.mean(each["minutes"] for each in found)
        lines.append(
            f"| `{row.name}` | {len(found)} | {found[0]['steps']:,} "
            f"| {_mean_and_worst(found, 'mse', max, 4)} "
            f"| {_mean_and_worst(found, 'ratio', max, 2)} "
            f"| {_mean_and_worst(found, 'gap', max, 3)} "
            f"| {_mean_and_worst(found, 'knn', min, 3)} "
            f"| {low:.2f} to {high:.2f} | {minutes:.0f} |"
        )
    commands = [
        f"- `{row.name}`: `python train.py {' '.join(command(row, 0)[:-2])} --seed S "
        "--dataset path/to/mnist`"
        for row in rows
    ]
    return "\n".join([*lines, "", "The commands:", "", *commands])


def _mean_and_worst(found: Sequence[dict], name: str, worst: Any, digits: int) -> str:
    values = [each[name] for each in found]
    mean = f"{statistics.mean(values):.{digits}f}"
    return mean if len(values) == 1 else f"{mean} ({worst(values):.{digits}f})"


def main() -> None:
    """`train` rows or `write` the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("train", "write"))
    parser.add_argument("--data", help="folder of the four MNIST files")
    parser.add_argument("--runs", type=Path, required=True, help="where runs are kept")
    parser.add_argument("--only", nargs="*", help="names of rows; all by default")
    flags = parser.parse_args()
    rows = [row for row in ROWS if not flags.only or row.name in flags.only]
    if flags.task == "train":
        if flags.data is None:
            parser.error("train needs --data, the folder of the four MNIST files")
        train(rows, data=os.path.abspath(flags.data), runs=flags.runs)
    else:
        print(table(flags.runs, rows))


if __name__ == "__main__":
    main()
