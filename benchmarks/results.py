"""Train every row of docs/results.md, and write its tables.

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
import json
import os
import shutil
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from looks import blocks, origin
from rows import (
    FIVE,
    ROOT,
    ROW_OF,
    ROWS,
    Row,
    finished_seeds,
    refuse_stale,
    run_folder,
    train,
)

PAGES = ROOT / "docs"
BEGIN, END = "<!-- the table: results.py write -->\n", "<!-- end of the table -->\n"

# What the project set out to reach on the test set, with every seed.
_AAE = {"mse": 0.035, "ratio": 1.25, "gap": 0.03, "knn": 0.86}
_JOINT = {"mse": 0.034, "ratio": 1.25, "knn": 0.87}
_PRIOR = {"ratio": 2.0, "gap": 0.05}
TARGETS = {
    "aae": _AAE,
    "aae-joint": _JOINT,
    "aae-twice": _AAE,
    "aae-joint-twice": _JOINT,
} | {row.name: _PRIOR for row in ROWS if "--prior" in row.flags}
METRICS = {
    "mse": ("test MSE", 4),
    "ratio": ("latent ratio", 2),
    "held_out": ("held-out ratio", 2),
    "gap": ("gap fraction", 3),
    "knn": ("5-NN", 3),
}
"""What a metric is called, and its digits behind the point."""
PICTURES = (
    ("aae", "grid"),
    ("aae", "latent"),
    ("autoencoder", "latent"),
    ("aae-joint-gamma", "latent"),
    ("aae-joint-mixture", "latent"),
    ("aae-joint-swiss-roll", "latent"),
)
"""Figures of a row's seed 0 that the documents show."""


def numbers(runs: Path, row: Row) -> Iterator[dict[str, Any]]:
    """What each finished seed of a row measured on the test set."""
    for seed in finished_seeds(runs, row):
        folder = run_folder(runs, row, seed)
        refuse_stale(folder, row, seed)
        metrics, log = json.loads(folder.metrics_file.read_text()), folder.read_log()
        yield {
            "mse": metrics["reconstruction_mse"],
            "ratio": metrics["latent"]["ratio"],
            "held_out": log[-1]["validation"]["latent"]["ratio"],
            "gap": metrics["latent"]["gap_fraction"],
            "knn": metrics["knn_accuracy"],
            "std": deviations(log),
            "steps": metrics["steps"],
            "minutes": metrics["seconds"] / 60,
        }


def deviations(log: Sequence[dict]) -> tuple[float, float]:
    """Lowest and highest deviation of a code dimension after the first tenth."""
    watched = [
        deviation
        for line in log[len(log) // 10 :]
        for deviation in line["validation"]["latent"]["std"]
    ]
    return min(watched), max(watched)


def table(runs: Path, rows: Sequence[Row]) -> str:
    """The rows as Markdown: mean over the seeds, and the worst seed in brackets."""
    titles = " | ".join(title for title, _ in METRICS.values())
    lines = [
        f"| row | seeds | steps | {titles} | deviation of the codes while training "
        "| minutes |",
        "|---|---|---|---|---|---|---|---|---|---|",
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
    results = f"{table(runs, ROWS)}\nWhat was aimed at:\n\n{targets(runs, ROWS)}"
    page = PAGES / "results.md"
    before, rest = page.read_text().split(BEGIN)
    _, after = rest.split(END)
    page.write_text(f"{before}{BEGIN}\n{results}\n{END}{after}")
    for name, figure in PICTURES:
        made = run_folder(runs, ROW_OF[name], 0).figures / f"{figure}.png"
        if made.exists():
            shutil.copyfile(made, PAGES / "figures" / f"{name}-{figure}.png")


def main() -> None:
    """`train` rows, `write` the page, look at the `origin` or at `blocks`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("train", "write", "origin", "blocks"))
    parser.add_argument("--data", help="folder of the four MNIST files")
    parser.add_argument("--runs", type=Path, required=True, help="where runs are kept")
    parser.add_argument(
        "--only", nargs="+", choices=ROW_OF, default=ROW_OF, help="rows to train"
    )
    parser.add_argument(
        "--seeds", nargs="+", type=int, default=FIVE, help="their seeds to train"
    )
    flags = parser.parse_args()
    if flags.task != "write" and flags.data is None:
        parser.error(f"{flags.task} needs --data, the folder of the four MNIST files")
    if flags.task == "train":
        rows = [ROW_OF[name] for name in flags.only]
        train(rows, flags.seeds, data=os.path.abspath(flags.data), runs=flags.runs)
    elif flags.task == "write":
        write(flags.runs)
    else:
        look = origin if flags.task == "origin" else blocks
        look(os.path.abspath(flags.data), flags.runs)


if __name__ == "__main__":
    main()
