"""Store a small run, made by the code that PYTHONPATH names: see README.md."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import aae_jax
from aae_jax import Run

HERE = Path(__file__).parent
CODE = Path(aae_jax.__file__).parents[1]
DATA = HERE / "tiny.npz"
TINY = ("--hidden", "8", "--batch-size", "18", "--steps", "60")  # 3 an epoch
STOPPED_AFTER = 3  # epochs, or soon after
SHOWN = 6  # images


def write_images() -> None:
    """Four classes: a bright quarter each, at a varying level, and noise."""
    rng = np.random.default_rng(0)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        y = np.arange(n, dtype=np.int32) % 4
        x = rng.integers(0, 30, (n, 8, 8), np.uint8)
        for image, label, level in zip(x, y, rng.integers(120, 220, n), strict=True):
            row, column = 4 * (label // 2), 4 * (label % 2)
            image[row : row + 4, column : column + 4] += np.uint8(level)
        return x, y

    (x, y), (x_test, y_test) = draw(60), draw(20)
    np.savez_compressed(DATA, x=x, y=y, x_test=x_test, y_test=y_test)


def train(place: Path, *flags: str) -> subprocess.Popen:
    """train.py, started in a folder that alone its relative paths are in."""
    command = [sys.executable, str(CODE / "train.py"), "--no-figures", "--quiet"]
    return subprocess.Popen([*command, "--dataset", DATA.name, *flags], cwd=place)


def stopped_run(place: Path, *flags: str) -> Path:
    """A run that Ctrl-C stopped, in as few files as can be."""
    run, log = place / "run", place / "run" / "metrics.jsonl"
    process = train(place, "--run-dir", "run", *TINY, *flags)
    while not (log.exists() and log.read_text().count("\n") >= STOPPED_AFTER):
        if process.poll() is not None:
            sys.exit("it ended before it could be stopped")
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    if process.wait() != 130:
        sys.exit("it came to its end before it was stopped; try again")
    shutil.rmtree(run / "tensorboard", ignore_errors=True)
    for lock in run.glob("*.lock"):
        lock.unlink()
    config_file = run / "config.json"
    stored = json.loads(config_file.read_text())
    stored["config"]["dataset"] = DATA.name
    config_file.write_text(json.dumps(stored, indent=2) + "\n")
    return run


def expected(run: Path, finished: Path) -> dict[str, np.ndarray]:
    """What this code makes of the run, and where it came when it went on."""
    opened = Run.load(str(run))
    with np.load(DATA) as file:
        x = file["x_test"][:SHOWN]
    values = {"z": opened.encode(x), "x_hat": opened.reconstruct(x)}
    if opened.record.config.model in ("semi-supervised", "clustering", "dim-reduction"):
        values["probabilities"] = opened.probabilities(x)
    last = json.loads((finished / "metrics.jsonl").read_text().splitlines()[-1])
    losses = {f"losses.{name}": value for name, value in last["losses"].items()}
    return values | losses


def main() -> None:
    """make.py FOLDER [flags of train.py]"""
    name, *flags = sys.argv[1:]
    if not DATA.exists():
        write_images()
    with TemporaryDirectory() as folder:
        place = Path(folder)
        shutil.copy(DATA, place)
        run = stopped_run(place, *flags)
        finished = shutil.copytree(run, place / "finished")
        if train(place, "--resume", "--run-dir", finished.name).wait() != 0:
            sys.exit("it did not go on to its end")
        (HERE / name).mkdir()
        np.savez_compressed(HERE / name / "expected.npz", **expected(run, finished))
        shutil.copytree(run, HERE / name / "run")


if __name__ == "__main__":
    main()
