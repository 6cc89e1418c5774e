"""Every experiment of the paper and of the guide's other parts, with its number.

    python benchmarks/paper.py train --data path/to/mnist --runs path/to/keep
    python benchmarks/paper.py write --runs path/to/keep

`train` runs train.py once a row and seed, one after the other, skips what is finished
and resumes what was stopped; `--only` and `--seeds` pick some. `write` takes what the
finished runs measured into docs/results.json, where numbers of other machines stay, and
makes the table in docs/results.md from that file.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rows import ROOT, Row, finished_seeds, refuse_stale, run_folder, train

RESULTS = ROOT / "docs" / "results.json"
PAGE = ROOT / "docs" / "results.md"
BEGIN, END = "<!-- the table: paper.py write -->\n", "<!-- end of paper.py -->\n"
PARZEN_SAMPLES = 10_000


@dataclass(frozen=True)
class Task:
    """A number that the paper, or the guide, has or asks for.

    Attributes:
      title: what is measured.
      metric: its name in metrics.json, or `parzen`.
      row: the training.
      target: what we set out to reach; a share of 1, or nats.
      paper, public: what the paper says, and the best re-run found; see the notes on
        the page.
      higher: whether more is better.
    """

    title: str
    metric: str
    row: Row
    target: float
    paper: str = "-"
    public: str = "-"
    higher: bool = False

    def shown(self, value: float) -> str:
        """A value as the table has it: shares as per cent."""
        return f"{value:.1f}" if self.metric == "parzen" else f"{100 * value:.2f} %"


def _semi_supervised(labels: str) -> Row:
    flags = f"--model semi-supervised --labels {labels} --z-dim 10 --prior-scale 1"
    return Row(f"semi-supervised-{labels}", flags)


def _clustering(clusters: int) -> Row:
    flags = f"--model clustering --clusters {clusters} --z-dim 5 --prior-scale 1"
    return Row(f"clustering-{clusters}", flags)


def _reduction(labels: int) -> Row:
    return Row(f"dim-reduction-{labels}", f"--model dim-reduction --labels {labels}")


def _label_prior(prior: str) -> Row:
    flags = f"--model label-prior --prior {prior} --labels 10000"
    return Row(f"label-prior-{prior}", flags)


TASKS = (
    Task(
        "test error, 100 labels",
        "test_error",
        _semi_supervised("100"),
        0.040,
        "1.90 +- 0.10 (q)",
        "about 5",
    ),
    Task(
        "test error, 1000 labels",
        "test_error",
        _semi_supervised("1000"),
        0.026,
        "1.60 +- 0.08 (m)",
        "2.90 at 1,280 labels",
    ),
    Task(
        "test error, all labels",
        "test_error",
        _semi_supervised("all"),
        0.014,
        "0.85 +- 0.02 (m)",
    ),
    Task(
        "clustering error, 30 clusters",
        "cluster_error",
        _clustering(30),
        0.08,
        "4.10 +- 1.13 (q)",
        "15",
    ),
    Task(
        "clustering error, 16 clusters",
        "cluster_error",
        _clustering(16),
        0.14,
        "9.55 +- 2.05 (q)",
    ),
    Task(
        "2-D reduction, 1000 labels",
        "test_error",
        _reduction(1000),
        0.06,
        "4.20 (m)",
    ),
    Task(
        "2-D reduction, 100 labels",
        "test_error",
        _reduction(100),
        0.10,
        "6.08 (m)",
        "26",
    ),
    Task(
        "share of codes on their component",
        "part_share",
        _label_prior("mixture"),
        0.9,
        higher=True,
    ),
    Task(
        "share of codes on their stretch",
        "part_share",
        _label_prior("swiss-roll"),
        0.9,
        higher=True,
    ),
    Task(
        f"Parzen log-likelihood, {PARZEN_SAMPLES:,} samples, nats",
        "parzen",
        Row("parzen", "--model aae --z-dim 8"),
        340,
        "340 +- 2 (q)",
        "340 at 2000 epochs, 378 at 5000",
        higher=True,
    ),
)
ROWS = {task.row.name: task.row for task in TASKS}


def collect(runs: Path, data: str | None) -> dict[str, Any]:
    """docs/results.json with what the finished runs here measured."""
    results: dict[str, Any] = {}
    if RESULTS.exists():
        results = json.loads(RESULTS.read_text())
    for task in TASKS:
        for seed in finished_seeds(runs, task.row):
            known = results.setdefault(task.row.name, {})
            known[str(seed)] = _measured(runs, task, seed, data)
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    return results


def _measured(runs: Path, task: Task, seed: int, data: str | None) -> dict[str, Any]:
    folder = run_folder(runs, task.row, seed)
    refuse_stale(folder, task.row, seed)
    metrics, record = json.loads(folder.metrics_file.read_text()), folder.read_record()
    measured = {
        **{name: each for name, each in metrics.items() if isinstance(each, float)},
        "latent_ratio": metrics["latent"]["ratio"],
        "steps": metrics["steps"],
        "train_images": record.n_train,
        "command": f"python train.py {' '.join(task.row.argv(seed))}",
        "environment": dict(record.environment),
    }
    if task.metric == "parzen":
        measured["parzen"] = _parzen(folder.path, data)
    return measured


def _parzen(path: Path, data: str | None) -> float:
    argv = [sys.executable, str(ROOT / "evaluate.py"), "--run-dir", str(path)]
    argv += ["--parzen", str(PARZEN_SAMPLES)]
    argv += [] if data is None else ["--dataset", data]
    ended = subprocess.run(argv, check=True, capture_output=True, cwd=ROOT)
    return json.loads(ended.stdout)["log_likelihood"]


def table(results: Mapping[str, Any]) -> str:
    """The tasks that have a number, as Markdown."""
    lines = [
        "| task | paper | best public | ours | worst seed | target | reached | seeds "
        "| epochs | minutes |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    commands = []
    for task in TASKS:
        seeds = results.get(task.row.name, {})
        if not seeds:
            continue
        values = [each[task.metric] for each in seeds.values()]
        worst = min(values) if task.higher else max(values)
        reached = worst >= task.target if task.higher else worst <= task.target
        ours = task.shown(statistics.mean(values))
        if len(values) > 1:
            ours += f" +- {task.shown(statistics.stdev(values))}"
        epochs = statistics.mean(each["epochs"] for each in seeds.values())
        minutes = statistics.mean(each["seconds"] for each in seeds.values()) / 60
        lines.append(
            f"| {task.title} | {task.paper} | {task.public} | {ours} "
            f"| {task.shown(worst)} | {task.shown(task.target)} "
            f"| {'yes' if reached else 'no'} | {len(values)} | {epochs:.0f} "
            f"| {minutes:.0f} |"
        )
        command = min(seeds.items())[1]["command"]
        commands.append(f"- {task.title}: `{command} --dataset path/to/mnist`")
    return "\n".join([*lines, "", "The commands:", "", *commands, ""])


def write(results: Mapping[str, Any]) -> None:
    """Put the table between its marks on the page."""
    before, rest = PAGE.read_text().split(BEGIN)
    _, after = rest.split(END)
    PAGE.write_text(f"{before}{BEGIN}\n{table(results)}\n{END}{after}")


def main() -> None:
    """`train` rows, or `write` the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("train", "write"))
    parser.add_argument("--data", help="folder of the four MNIST files")
    parser.add_argument("--runs", type=Path, required=True, help="where runs are kept")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=ROWS, help="rows")
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    flags = parser.parse_args()
    data = None if flags.data is None else os.path.abspath(flags.data)
    if flags.task == "write":
        write(collect(flags.runs, data))
    elif data is None:
        parser.error("train needs --data, the folder of the four MNIST files")
    else:
        train(
            [ROWS[name] for name in flags.only], flags.seeds, data=data, runs=flags.runs
        )


if __name__ == "__main__":
    main()
