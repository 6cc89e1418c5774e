"""Processes of the two scripts, and what tests look at around them."""

import time
from dataclasses import dataclass
from pathlib import Path

from aae_jax.run_folder import RunFolder

ROOT = Path(__file__).resolve().parent.parent
# A training of some seconds: 50 epochs of 18 steps, and a third of one.
TINY = ("--hidden", "16", "16", "--batch-size", "20", "--steps", "906")
STEPS, STEPS_PER_EPOCH = 906, 18
DEADLINE = 300


@dataclass(frozen=True)
class Ended:
    """How a script ended, and what it said."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Trained:
    """A run that train.py finished in a process of its own."""

    folder: RunFolder
    data_file: Path
    ended: Ended


def wait(process):
    """The end of a process; it is killed where the end does not come."""
    try:
        stdout, stderr = process.communicate(timeout=DEADLINE)
    finally:
        process.kill()
    return Ended(process.returncode, stdout, stderr)


def wait_until(condition, process):
    """Look again and again until it is so, while a process lives."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise AssertionError(f"it never came: {process.communicate()}")
        time.sleep(0.005)


def listing(folder):
    """Every path under a folder with its content."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }
