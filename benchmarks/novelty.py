"""How well novelty scores find a digit that a training has not seen.

    python benchmarks/novelty.py train --data path/to/mnist --runs path/to/keep
    python benchmarks/novelty.py write --data path/to/mnist --runs path/to/keep

Two protocols, for each of the ten digits: `all-but-D` trains on nine digits, and D is
to be found; `only-D` trains on D, and all others are. A tenth of the training images
that a row may see is kept apart; on it, and on training images of the digits that the
row does not see, choices are made and thresholds set. The test images are read by
`write` alone, once, with the settings of `FINAL`.

`train` trains what is not finished, one after the other; `--only` picks rows and
`--settings` other settings than the final ones, for the table of choices. `write`
measures the finished runs, keeps what they measured in docs/novelty.json, and makes the
tables of docs/novelty.md from that file.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from novelty_tables import RESULTS, ROOT, write_tables
from numpy.typing import NDArray
from scipy.stats import rankdata

from aae_jax import Config, Dataset, Run, RunOptions, fit, load_dataset
from aae_jax.figures import save
from aae_jax.novelty import Familiar, Seen, novelty
from aae_jax.run_folder import RunFolder
from aae_jax.scoring import sheet

SHARE_APART = 10
MOST_OUTLIERS = 5_000


def _settings(**flags: Any) -> Config:
    short: dict[str, Any] = {"hidden": (256, 256), "steps": 2500}
    return Config(**(short | flags))


def _normalized(**flags: Any) -> Config:
    """The adversary of docs/results.md's Parzen row: codes of many numbers need it."""
    adversary = {
        "discriminator_rate": 0.001,
        "generator_rate": 0.001,
        "generator_beta1": 0.5,
        "generator_epsilon": 1e-8,
        "generator_final": 0.04,
        "instance_noise": 0.1,
    }
    return _settings(
        model="aae", batch_norm=True, reconstruction_rate=0.002, **adversary, **flags
    )


SETTINGS: Mapping[str, Config] = {
    "joint-8": _settings(model="aae-joint", z_dim=8),
    "autoencoder-16": _settings(model="autoencoder", z_dim=16),
    "normalized-8": _normalized(z_dim=8),
    "normalized-12": _normalized(z_dim=12),
    "normalized-16": _normalized(z_dim=16),
    "normalized-24": _normalized(z_dim=24),
    "half-as-long": _normalized(z_dim=16, steps=1200),
    "more-noise": _normalized(z_dim=16, input_noise=0.3),
}
"""What was tried."""
FINAL = "normalized-16"
SHOWN = "all-but-4"


class Row(NamedTuple):
    """A protocol and its digit."""

    protocol: str
    digit: int

    @property
    def name(self) -> str:
        """As in tables and folders."""
        return f"{self.protocol}-{self.digit}"

    def sees(self, y: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which labels are of digits that the row is trained on."""
        return (y == self.digit) == (self.protocol == "only")


ROWS = {
    row.name: row
    for row in (Row(each, digit) for each in ("all-but", "only") for digit in range(10))
}


class Parted(NamedTuple):
    """Training images of MNIST for a row.

    Attributes:
      dataset: what it is trained on.
      inliers, outliers: of digits that it sees, kept apart, and of those it does not.
    """

    dataset: Dataset
    inliers: NDArray[np.uint8]
    outliers: NDArray[np.uint8]


def part(row: Row, mnist: Dataset) -> Parted:
    """The training images of a row, and those kept apart from it."""
    x, y = mnist.x_train[:], mnist.y_train
    assert y is not None
    order = np.random.default_rng(0).permutation(len(x))
    seen = row.sees(y[order])
    rows, unseen = order[seen], order[~seen]
    n = len(rows) // SHARE_APART
    inliers = x[rows[:n]]
    most = n if row.protocol == "only" else MOST_OUTLIERS
    dataset = Dataset.from_arrays(
        x[rows[n:]], y[rows[n:]], x_test=inliers[:200], name=row.name
    )
    return Parted(dataset, inliers, x[unseen[:most]])


def test_images(row: Row, mnist: Dataset) -> tuple[NDArray, NDArray]:
    """Test images of digits that a row sees, and of those that it does not.

    As many of both for `only`, the others drawn with a fixed seed.
    """
    x, y = mnist.x_test[:], mnist.y_test
    assert y is not None
    inliers, outliers = x[row.sees(y)], x[~row.sees(y)]
    if row.protocol == "only":
        rng = np.random.default_rng(row.digit)
        outliers = outliers[rng.permutation(len(outliers))[: len(inliers)]]
    return inliers, outliers


def train(row: Row, settings: str, *, mnist: Dataset, runs: Path) -> None:
    """Train a row, where it is not finished."""
    folder = RunFolder(runs / f"{row.name}-{settings}")
    if folder.metrics_file.exists():
        return
    print(f"training {folder.path}", flush=True)
    options = RunOptions(run_dir=folder.path, quiet=True, no_figures=True, resume=True)
    fit(SETTINGS[settings], dataset=part(row, mnist).dataset, options=options)


def area(inliers: NDArray, outliers: NDArray) -> float:
    """How often an outlier has the larger value: the area under the ROC curve."""
    ranks = rankdata(np.concatenate([inliers, outliers]))[len(inliers) :]
    above = ranks.sum() - len(outliers) * (len(outliers) + 1) / 2
    return float(above / (len(inliers) * len(outliers)))


def f1(inliers: NDArray, outliers: NDArray, threshold: float) -> float:
    """F1 of taking for inliers what scores up to a threshold."""
    found, wrong = (inliers <= threshold).sum(), (outliers <= threshold).sum()
    return float(2 * found / (len(inliers) + found + wrong))


def best_threshold(inliers: NDArray, outliers: NDArray) -> float:
    """The threshold of the best F1."""
    thresholds = np.unique(np.concatenate([inliers, outliers]))
    return max(thresholds, key=lambda each: f1(inliers, outliers, each))


def areas_of_choices(run: Run, familiar: Familiar, parted: Parted) -> dict[str, float]:
    """Area under the ROC curve of each way to score, on the images kept apart."""
    sets = (familiar.ordinary, parted.inliers, parted.outliers)
    seen = [familiar.see(x) for x in sets]
    ways = {"error": [each.error for each in seen]}
    ways["known_error"] = [each.known_error for each in seen]
    ways["density"] = [-each.log_density for each in seen]
    density = run.model.prior.log_density
    assert density is not None
    prior = [np.asarray(density(jnp.asarray(run.encode(x))), float) for x in sets]
    ways["prior"] = [-each for each in prior]
    ways["error and prior"] = _summed([each.error for each in seen], prior)
    of_codes = [each.log_density for each in seen]
    ways["error and density"] = _summed([each.error for each in seen], of_codes)
    ways["score"] = _summed([each.known_error for each in seen], of_codes)
    return {name: area(*values[1:]) for name, values in ways.items()}


def _summed(errors: list[NDArray], densities: list[NDArray]) -> list[NDArray]:
    """The score that `novelty` makes of an error and a density of any kind."""
    seen = [Seen(*each) for each in zip(errors, errors, densities, strict=True)]
    return [novelty(each, seen[0]).score for each in seen]


def measure(
    row: Row, familiar: Familiar, parted: Parted, *, mnist: Dataset
) -> dict[str, Any]:
    """What a finished run finds among the test images."""
    inliers, outliers = map(familiar.novelty, test_images(row, mnist))
    measured: dict[str, Any] = {
        "auc": area(inliers.score, outliers.score),
        "auc_known_error": area(inliers.known_error, outliers.known_error),
        "auc_density": area(-inliers.log_density, -outliers.log_density),
        "auc_error": area(inliers.error, outliers.error),
        "inliers": len(inliers.score),
        "outliers": len(outliers.score),
    }
    if row.protocol == "only":
        apart = [familiar.novelty(x).score for x in (parted.inliers, parted.outliers)]
        threshold = best_threshold(*apart)
        measured["threshold"] = float(threshold)
        measured["f1"] = f1(inliers.score, outliers.score, threshold)
    return measured


def write(*, mnist: Dataset, runs: Path) -> None:
    """Measure what is finished and not yet measured; make the tables."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for settings in SETTINGS:
        for name, row in ROWS.items():
            folder = RunFolder(runs / f"{name}-{settings}")
            if not folder.metrics_file.exists():
                continue
            known = results.setdefault(settings, {}).setdefault(name, {})
            seconds = json.loads(folder.metrics_file.read_text())["seconds"]
            if known.get("seconds") == seconds:  # of the same training
                continue
            run, parted = Run.load(folder.path), part(row, mnist)
            familiar = run.familiar(parted.dataset)
            known |= {"seconds": seconds, "steps": run.step}
            known["apart"] = areas_of_choices(run, familiar, parted)
            if settings == FINAL:
                known["test"] = measure(row, familiar, parted, mnist=mnist)
            print(f"{folder.path}: {json.dumps(known)}", flush=True)
            RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    write_tables(results, final=FINAL)
    draw(ROWS[SHOWN], mnist=mnist, runs=runs)


def draw(row: Row, *, mnist: Dataset, runs: Path) -> None:
    """The odd ones out of a row's test images, as the page shows them."""
    folder = RunFolder(runs / f"{row.name}-{FINAL}")
    if folder.metrics_file.exists():
        run, x = Run.load(folder.path), np.concatenate(test_images(row, mnist))
        familiar = run.familiar(part(row, mnist).dataset)
        figure = sheet(familiar, x, familiar.novelty(x), title=run.folder.title)
        save(figure, ROOT / "docs" / "figures" / "novelty.png")


def main() -> None:
    """`train` rows, or `write` the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("train", "write"))
    parser.add_argument("--data", required=True, help="folder of the four MNIST files")
    parser.add_argument("--runs", type=Path, required=True, help="where runs are kept")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=ROWS, help="rows")
    parser.add_argument("--settings", choices=SETTINGS, default=FINAL)
    flags = parser.parse_args()
    mnist = load_dataset(flags.data)
    if flags.task == "write":
        write(mnist=mnist, runs=flags.runs)
        return
    for name in flags.only:
        train(ROWS[name], flags.settings, mnist=mnist, runs=flags.runs)


if __name__ == "__main__":
    main()
