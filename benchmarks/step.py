"""Time a training step against others' and against the machine, in one process.

    make bench

The contenders (see contenders.py) take turns, and the ratio of each pair of turns is
what is reported: machines are noisy, and a time alone says little. So is the floor (see
floor.py), which is measured anew in every round.
"""

import argparse
import json
import logging
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import floor
import jax
import numpy as np
import torch
from contenders import contenders, step_difference
from torch_aae import DEVICE
from workload import BATCH, N_IMAGES, SHAPE

from aae_jax.environment import usable_cores

OURS = "aae_jax"


def ratios(taken: Sequence[float], first: Sequence[float]) -> dict[str, float]:
    """Median time, and median and extremes of the paired ratios to the first."""
    paired = [b / a for a, b in zip(first, taken, strict=True)]
    return {
        "ms": statistics.median(taken),
        "ratio": statistics.median(paired),
        "min": min(paired),
        "max": max(paired),
    }


def main() -> None:
    """Take turns, print the table, write it as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9, help="turns of each")
    parser.add_argument("--steps", type=int, default=25, help="steps a turn")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    flags = parser.parse_args()
    logging.disable(logging.INFO)  # pythae tells of each folder it makes

    difference = step_difference()
    print(f"one step in PyTorch and in ours: parameters differ by {difference:.1e}")
    if difference > 1e-5:
        raise SystemExit("that is not the same work")
    images = np.random.default_rng(0).integers(
        0, 256, (N_IMAGES, *SHAPE), dtype=np.uint8
    )
    runs = dict(contenders(images, flags.steps))
    for run in runs.values():
        run(flags.steps)  # compile, warm up
    # Off the CPU the floor is another one: how fast programs can be launched.
    last = ("the floor",) if DEVICE == "cpu" else ()
    times: dict[str, list[float]] = {name: [] for name in (*runs, *last)}
    for _ in range(flags.rounds):
        for name, run in runs.items():
            began = time.perf_counter()
            run(flags.steps)
            times[name].append((time.perf_counter() - began) / flags.steps * 1e3)
        for name in last:
            times[name].append(floor.milliseconds()["floor"])

    machine = {
        "device": DEVICE,
        "cores": usable_cores(),
        "load": os.getloadavg()[0],
        "jax": jax.__version__,
        "torch": torch.__version__,
    }
    table = {name: ratios(taken, times[OURS]) for name, taken in times.items()}
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print(f"batch {BATCH}; ratios to {OURS}, median of {flags.rounds} turns")
    print(f"{'':<32}{'ms a step':>10}{'ratio':>8}{'min':>7}{'max':>7}")
    for name, row in table.items():
        shown = "{ms:>10.1f}{ratio:>8.2f}{min:>7.2f}{max:>7.2f}".format(**row)
        print(f"{name:<32}{shown}")
    if flags.json:
        result = {"machine": machine, "difference": difference, "table": table}
        flags.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
