"""Every experiment of the paper and of the guide's other parts, with its number.

    python benchmarks/paper.py train --data path/to/mnist --runs path/to/keep
    python benchmarks/paper.py write --data path/to/mnist --runs path/to/keep

`train` runs train.py once a row and seed, one after the other, skips what is finished
and resumes what was stopped; `--only` and `--seeds` pick some, `--together` trains the
seeds of a row in one program. `write` takes what the finished runs measured into
docs/results.json and makes the tables in docs/results.md and README.md from that file.
Numbers of other devices stay there; those of a row whose flags or recipe have changed
go.

    python benchmarks/paper.py parts --data path/to/mnist

prints the best latent ratio that `label-prior` can have on the test set.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rows import (
    ROOT,
    Row,
    fingerprint,
    finished_seeds,
    refuse_stale,
    run_folder,
    train,
)
from tables import Seeds, elsewhere, gains, of_most_seeds, summary, table
from tasks import PARZEN_SAMPLES, ROWS, TASKS

from aae_jax import Config, Dataset, Run, load_dataset
from aae_jax.config_checks import PLANAR_PRIORS
from aae_jax.metrics import latent_match, make_reference
from aae_jax.priors import make_prior

RESULTS = ROOT / "docs" / "results.json"
PAGE = ROOT / "docs" / "results.md"
README = ROOT / "README.md"
BEGIN, END = "<!-- the table: paper.py write -->\n", "<!-- end of paper.py -->\n"
JUDGE = "semi-supervised-all-shift"
"""The row whose first finished run tells what generated images look like."""


def collect(runs: Path, data: str) -> dict[str, dict[str, dict[str, Any]]]:
    """docs/results.json with these runs, `{row: {device: {seed: numbers}}}`."""
    stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    results: dict[str, dict[str, dict[str, Any]]] = {}
    for name, row in ROWS.items():
        devices = results.setdefault(name, {})
        for device, seeds in stored.get(name, {}).items():
            for seed, measured in seeds.items():
                if _is_todays(row, int(seed), measured):
                    devices.setdefault(device, {})[seed] = measured
        for seed in finished_seeds(runs, row):
            device = run_folder(runs, row, seed).read_record().environment["device"]
            known = devices.setdefault(device, {})
            before = known.get(str(seed), {})
            known[str(seed)] = _measured(runs, name, seed, data, before)
    results = {name: devices for name, devices in results.items() if devices}
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    return results


def _is_todays(row: Row, seed: int, measured: Mapping[str, Any]) -> bool:
    """Whether the row would train the same with today's flags and recipe."""
    same_flags = measured["command"] == _command(row, seed)
    return same_flags and measured["recipe"] == fingerprint(row, seed)


def _command(row: Row, seed: int) -> str:
    return " ".join(["python", "train.py", *row.argv(seed)])


def _measured(
    runs: Path, name: str, seed: int, data: str, before: Mapping[str, Any]
) -> dict[str, Any]:
    """What a finished run measured; `before` is what is known of that seed already."""
    row = ROWS[name]
    folder = run_folder(runs, row, seed)
    refuse_stale(folder, row, seed)
    metrics, record = json.loads(folder.metrics_file.read_text()), folder.read_record()
    measured = {
        **{name: each for name, each in metrics.items() if isinstance(each, float)},
        "latent_ratio": metrics["latent"]["ratio"],
        "steps": metrics["steps"],
        "train_images": record.n_train,
        "command": _command(row, seed),
        "recipe": fingerprint(row, seed),
        "environment": dict(record.environment),
    }
    if name.startswith("gain-"):
        last = folder.read_log()[-1]
        return {"held_out_error": last["validation"]["error"], **measured}
    for metric in {task.metric for task in TASKS if task.row.name == name}:
        if metric in AFTERWARDS:
            measure = AFTERWARDS[metric]
            same = before.get("seconds") == measured["seconds"]  # the same training
            if metric == "parzen" and same and metric in before:  # it takes minutes
                measured[metric] = before[metric]
            elif (value := measure(Run.load(folder.path), data, runs)) is not None:
                measured[metric] = value
            elif same and metric in before:  # the judge is elsewhere
                measured[metric] = before[metric]
    return measured


def _parzen(run: Run, data: str, runs: Path) -> float:
    """What evaluate.py prints."""
    argv = [sys.executable, str(ROOT / "evaluate.py"), "--run-dir", str(run.folder)]
    argv += ["--parzen", str(PARZEN_SAMPLES), "--dataset", data]
    ended = subprocess.run(argv, check=True, capture_output=True, cwd=ROOT)
    return json.loads(ended.stdout)["log_likelihood"]


def _mse_share(run: Run, data: str, runs: Path) -> float:
    """The test error in that of a decoder that sees the label alone."""
    error = error_of_label_alone(load_dataset(data))
    return run.metrics()["reconstruction_mse"] / error


def error_of_label_alone(images: Dataset) -> float:
    """Test error of the best decoder that sees the label alone, pixels from 0 to 1.

    It decodes each as the mean of the training images of the class.
    """
    x, y, y_test = images.x_train, images.y_train, images.y_test
    assert y is not None
    assert y_test is not None
    means = np.stack([x[y == label].mean(axis=0) for label in range(y.max() + 1)])
    errors = (images.x_test - means[y_test]) / 255
    return float(np.square(errors).mean())


def _read_as_class(run: Run, data: str, runs: Path) -> float | None:
    """Share of generated images that a classifier of its own takes for their class.

    None where that classifier, `JUDGE`, is not trained here yet, or is wrong on more
    than 1 % of the test images.
    """
    seeds = finished_seeds(runs, ROWS[JUDGE])
    if not seeds:
        return None
    judge = Run.load(run_folder(runs, ROWS[JUDGE], seeds[0]).path)
    if (error := judge.metrics()["test_error"]) > 0.01:
        print(f"{JUDGE} has a test error of {error:.2%}: no judge", file=sys.stderr)
        return None
    y = np.arange(10_000) % 10
    return float(np.mean(judge.classify(run.sample(len(y), y=y)) == y))


AFTERWARDS: Mapping[str, Callable[[Run, str, Path], float | None]] = {
    "parzen": _parzen,
    "mse_share": _mse_share,
    "read_as_class": _read_as_class,
}
"""Numbers that a training does not print: `measure(run, data, runs)`."""


def write(everywhere: Mapping[str, Mapping[str, Seeds]]) -> None:
    """Put the tables between their marks on the pages."""
    results = of_most_seeds(everywhere)
    tables = {
        PAGE: "\n".join([table(results), gains(results), elsewhere(everywhere)]),
        README: summary(results),
    }
    for page, text in tables.items():
        before, rest = page.read_text().split(BEGIN)
        _, after = rest.split(END)
        page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def print_ratios_of_parts(data: str) -> None:
    """The ratio to each prior of samples that the test images' labels choose.

    It is not 1: classes are not equally frequent, parts of the prior are.
    """
    y = load_dataset(data).y_test
    assert y is not None
    for name in PLANAR_PRIORS:
        prior = make_prior(Config(model="label-prior", prior=name))
        reference = make_reference(prior, len(y))
        samples = [
            prior.sample(jax.random.key(seed), len(y), jax.numpy.asarray(y))
            for seed in range(10)
        ]
        ratios = [latent_match(np.asarray(z), reference)["ratio"] for z in samples]
        print(f"{name}: {statistics.mean(ratios):.2f}")


def main() -> None:
    """`train` rows, `write` the page, or print the `parts`' ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("train", "write", "parts"))
    parser.add_argument("--data", required=True, help="folder of the four MNIST files")
    parser.add_argument("--runs", type=Path, help="where runs are kept")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=ROWS, help="rows")
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--together", action="store_true", help="seeds in one program")
    flags = parser.parse_args()
    data = str(Path(flags.data).resolve())
    if flags.task == "parts":
        print_ratios_of_parts(data)
    elif flags.runs is None:
        parser.error(f"{flags.task} needs --runs")
    elif flags.task == "write":
        write(collect(flags.runs, data))
    else:
        rows = [ROWS[name] for name in flags.only]
        train(
            rows,
            flags.seeds,
            data=data,
            runs=flags.runs,
            together=flags.together,
        )


if __name__ == "__main__":
    main()
