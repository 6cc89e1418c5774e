"""What hashes and flushes cost a training: python benchmarks/saving.py --dataset mnist

Takes the flags of train.py. Prints the seconds that the training's process spent on
SHA-256 and on waiting for the disk, and their share of its whole time.
"""

import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from aae_jax import checkpoint, checkpoint_folder

BEGAN = time.perf_counter()
SECONDS, CALLS = defaultdict[str, float](float), Counter[str]()


def timed(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, its calls and seconds counted."""

    def call(*arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return function(*arguments, **options)
        finally:
            SECONDS[what] += time.perf_counter() - began
            CALLS[what] += 1

    return call


def main() -> None:
    """Train with the two watched."""
    checkpoint._leaf_hash = timed("hashes", checkpoint._leaf_hash)
    checkpoint_folder._file_hash = timed("hashes", checkpoint_folder._file_hash)
    os.fsync = timed("flushes", os.fsync)
    checkpoint.publish = timed("saves", checkpoint.publish)
    from train import main as train

    train()
    wall = time.perf_counter() - BEGAN
    print(f"{CALLS['saves']} checkpoints in {wall:.1f} s")
    for what in ("hashes", "flushes"):
        print(f"{what:8}{SECONDS[what]:8.2f} s  {SECONDS[what] / wall:7.2%}")
    both = SECONDS["hashes"] + SECONDS["flushes"]
    print(f"{'both':8}{both:8.2f} s  {both / wall:7.2%}")


if __name__ == "__main__":
    main()
