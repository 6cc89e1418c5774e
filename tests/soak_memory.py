"""Train for hours, saving and drawing at every chance; print what grew.

    python tests/soak_memory.py --minutes 120

The training is a real one of the sample, in a process of its own: it saves after every
chunk and draws every picture after every epoch, where a usual one saves twice a minute
and draws at its end. Exit status 1 where, after the first ten minutes, memory grew by a
hundredth or more, or more files, threads or checkpoints were seen in the second half of
the time than in the first.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
WARM_UP = 600.0
BETWEEN_LOOKS = 15.0
MOST_GROWTH = 0.01
SPARE = 2  # a save holds some files and threads for a moment, not always as many


class Look(NamedTuple):
    """What a process holds: its own memory in MiB, files, threads, checkpoints."""

    seconds: float
    memory: float
    files: int
    threads: int
    checkpoints: int
    disk: float


def train(place: Path) -> None:
    """The training; it ends by a signal."""
    from aae_jax import host_loop
    from aae_jax.config import Config
    from aae_jax.data import load_dataset
    from aae_jax.fitting import fit
    from aae_jax.journal import Journal
    from aae_jax.options import RunOptions
    from aae_jax.phases import make_model
    from aae_jax.pictures import draw_pictures
    from aae_jax.run import Run
    from aae_jax.splits import measured_of_split

    dataset = load_dataset("sample")
    shown = measured_of_split(dataset, "validation")
    end_epoch = Journal.end_epoch

    def draw_too(journal, carry, *, steps, timings):
        line = end_epoch(journal, carry, steps=steps, timings=timings)
        folder, step = journal.folder, steps[1]
        record = folder.read_record()
        model = make_model(record.config, image_shape=record.image_shape)
        run = Run(record, model, carry.state.weights, folder, step)
        draw_pictures(run, lambda: shown, out=folder.figures)
        return line

    host_loop.SECONDS_BETWEEN_SAVES = 0.0
    Journal.end_epoch = draw_too
    config = Config(dataset="sample", steps=10**8)
    fit(config, dataset=dataset, options=RunOptions(run_dir=place))


def look(pid: int, place: Path, since: float) -> Look:
    """What the process holds now."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    values = dict(line.split(":", 1) for line in status)
    names = os.listdir(place / "checkpoints")
    return Look(
        seconds=round(time.monotonic() - since, 1),
        memory=int(values["RssAnon"].split()[0]) / 2**10,
        files=len(os.listdir(f"/proc/{pid}/fd")),
        threads=int(values["Threads"]),
        checkpoints=sum(name.isdecimal() for name in names),
        disk=size_of(place) / 2**20,
    )


def size_of(folder: Path) -> int:
    """Bytes of all files under a folder, whatever comes and goes meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):  # passes over folders that have gone
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += os.stat(os.path.join(place, name)).st_size
    return total


def watch(process: subprocess.Popen, place: Path, *, minutes: float) -> list[Look]:
    """Look at a process until the time is over; one line every ten minutes."""
    since, looks = time.monotonic(), []
    log = place.with_name("looks.jsonl").open("w", buffering=1)
    with log:
        while time.monotonic() - since < 60 * minutes:
            try:
                process.wait(BETWEEN_LOOKS)
            except subprocess.TimeoutExpired:
                if not (place / "checkpoints").exists():  # not yet
                    continue
                looks.append(look(process.pid, place, since))
                log.write(json.dumps(looks[-1]._asdict()) + "\n")
                if len(looks) % round(WARM_UP / BETWEEN_LOOKS) == 1:
                    print(looks[-1], flush=True)
            else:
                sys.exit(f"the training ended by itself: {process.returncode}")
    return looks


def main() -> None:
    """Train, watch, stop, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=120.0)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.minutes * 60 < 2 * WARM_UP:
        parser.error(f"{WARM_UP / 60:.0f} minutes are for warming up; give 20 or more")
    if arguments.train is not None:
        return train(arguments.train)
    place = Path(tempfile.mkdtemp()) / "run"
    errors = place.with_name("stderr.txt").open("w")
    print(f"training in {place}", flush=True)
    command = [sys.executable, __file__, "--train", str(place)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, env=environment, stderr=errors)
    with process, errors:
        looks = watch(process, place, minutes=arguments.minutes)
        process.send_signal(signal.SIGTERM)
    if process.returncode == 0 or "stopped and saved" not in errors_of(place):
        sys.exit(f"the training did not stop as it should: {errors_of(place)}")
    log = (place / "metrics.jsonl").read_text().splitlines()
    print(f"{len(log)} epochs, each drawn; step {json.loads(log[-1])['step']}")
    rest = size_of(place) - size_of(place / "checkpoints")
    print(f"disk: {looks[-1].disk:.1f} MiB, {rest / 2**20:.1f} of them no checkpoints")
    sys.exit(int(not is_flat([each for each in looks if each.seconds > WARM_UP])))


def errors_of(place: Path) -> str:
    """What the training said."""
    return place.with_name("stderr.txt").read_text()


def is_flat(looks: Sequence[Look]) -> bool:
    """Print how all that a process holds went over the time; whether nothing grew."""
    values = np.array(looks)
    minutes = (values[:, 0] - values[0, 0]) / 60
    for index in range(round(minutes[-1] / 10)):
        some = values[minutes // 10 == index, 1]
        print(
            f"{index * 10 + 10:4} to {index * 10 + 20} minutes: {some.mean():.0f} MiB"
        )
    slope, first = np.polyfit(minutes, values[:, 1], 1)
    growth = slope * minutes[-1] / first
    print(
        f"memory: {first:.1f} MiB, {slope:+.4f} MiB a minute, {growth:+.2%} in "
        f"{minutes[-1]:.0f} minutes"
    )
    flat = growth < MOST_GROWTH
    half = len(values) // 2
    for name in ("files", "threads", "checkpoints"):
        column = values[:, Look._fields.index(name)]
        most = [part.max() for part in (column[:half], column[half:])]
        print(f"{name}: up to {most[0]:.0f} in the first half, {most[1]:.0f} after it")
        flat = flat and most[1] <= most[0] + SPARE
    return flat


if __name__ == "__main__":
    main()
