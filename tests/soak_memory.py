"""Train for hours, saving and drawing at every chance; print what grew.

    python tests/soak_memory.py --minutes 120

The training is a real one of the sample, in a process of its own: it saves after every
chunk and draws every picture after every epoch, where a usual one saves twice a minute
and draws at its end. Exit status 1 where memory grew by a hundredth or more after the
first ten minutes, or files, threads or checkpoints became more.
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
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
WARM_UP = 600.0
BETWEEN_LOOKS = 15.0
MOST_GROWTH = 0.01


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
        run = Run(folder, record, model, carry.state.weights, step)
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
    epochs = len((place / "metrics.jsonl").read_text().splitlines())
    steps = json.loads((place / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    later = np.array([each for each in looks if each.seconds > WARM_UP])
    seconds, memory = later[:, 0], later[:, 1]
    slope, first = np.polyfit(seconds - seconds[0], memory, 1)
    growth = slope * (seconds[-1] - seconds[0]) / first
    print(f"{epochs} epochs, each drawn; step {steps}")
    print(
        f"memory: {first:.1f} MiB, {60 * slope:+.4f} MiB a minute, {growth:+.2%} in "
        f"{(seconds[-1] - seconds[0]) / 60:.0f} minutes"
    )
    grew = growth >= MOST_GROWTH
    for name in ("files", "threads", "checkpoints"):
        values = later[:, Look._fields.index(name)]
        print(f"{name}: {values.min():.0f} to {values.max():.0f}")
    print(
        f"disk: {looks[-1].disk:.1f} MiB, of them the log and the curves of all epochs"
    )
    sys.exit(int(grew))


if __name__ == "__main__":
    main()
