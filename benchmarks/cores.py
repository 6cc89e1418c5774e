"""What the model of `scaling` is fitted to: times on a core, and between cores.

    python benchmarks/cores.py --data path/to/mnist

writes docs/scaling.json.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import disk
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from workload import CONFIG, SHAPE

from aae_jax import init
from aae_jax.config import Config
from aae_jax.variants import phases_of

ROOT = Path(__file__).resolve().parents[1]
NUMBERS = ROOT / "docs" / "scaling.json"
BATCHES = (16, 32, 64, 128, 256)
FLOATS = (1_000, 100_000, 1_000_000, 4_000_000)
PROCESSES = (2, 4)
REPEATS, STEPS = 20, 200


def floats_of_phases(config: Config) -> list[list[int]]:
    """What each phase of a variant adds up over the devices: its gradients' sizes."""
    state = jax.eval_shape(
        lambda key: init(config, key, image_shape=SHAPE), jax.random.key(0)
    )
    return [
        [
            leaf.size
            for name in phase.moves
            for leaf in jax.tree.leaves(state.params[name])
        ]
        for phase in phases_of(config)
    ]


def sums() -> list[list[int]]:
    """The sizes of arrays that are added up in one all-reduce, for each measurement."""
    return [*([n] for n in FLOATS), *floats_of_phases(CONFIG)]


def all_reduce_times(rank: int, processes: int, port: int) -> list[float]:
    """Median seconds of an all-reduce of each of `sums`, as one of the processes."""
    address = f"127.0.0.1:{port}"
    jax.distributed.initialize(address, processes, rank)
    mesh = Mesh(jax.devices(), ("batch",))
    split, whole = PartitionSpec("batch"), PartitionSpec()
    add = jax.jit(
        jax.shard_map(
            lambda x: jax.lax.psum(x, "batch"),
            mesh=mesh,
            in_specs=split,
            out_specs=whole,
        )
    )
    medians = []
    for sizes in sums():
        over = NamedSharding(mesh, split)
        x = [
            jax.make_array_from_process_local_data(over, np.ones((1, n), np.float32))
            for n in sizes
        ]
        jax.block_until_ready(add(x))
        taken = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            jax.block_until_ready(add(x))
            taken.append(time.perf_counter() - began)
        medians.append(statistics.median(taken))
    return medians


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _refuse_failed(started: Sequence[subprocess.Popen]) -> None:
    statuses = [process.wait() for process in started]
    if any(statuses):
        raise SystemExit(f"processes ended with {statuses}")


def _on_core(core: int) -> list[str]:
    """The start of a command that is to have one core."""
    return ["taskset", "-c", str(core % (os.cpu_count() or 1)), sys.executable]


def measure_all_reduces() -> list[dict[str, float]]:
    """For 2 and 4 processes and each size, what the first process saw."""
    rows = []
    for processes in PROCESSES:
        port = str(_free_port())
        started = [
            subprocess.Popen(
                [*_on_core(rank), __file__, "add", str(rank), str(processes), port],
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(processes)
        ]
        printed = [process.communicate()[0] for process in started]
        _refuse_failed(started)
        taken = json.loads(printed[0].splitlines()[-1])
        for sizes, seconds in zip(sums(), taken, strict=True):
            rows.append(
                {
                    "devices": processes,
                    "arrays": len(sizes),
                    "bytes": 4 * sum(sizes),
                    "seconds": seconds,
                }
            )
            print(rows[-1], flush=True)
    return rows


def measure_steps() -> list[dict[str, float]]:
    """Seconds of a step on one core over batch sizes."""
    rows = []
    for n in BATCHES:
        point = json.dumps({"batch_size": n})
        growth = str(ROOT / "benchmarks" / "growth.py")
        argv = [*_on_core(0), growth, "--point", point]
        ended = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True)
        rate = json.loads(ended.stdout.splitlines()[-1])["images_per_second"]
        rows.append({"images": n, "seconds": n / rate})
        print(rows[-1], flush=True)
    return rows


def measure_trainings(data: str) -> list[dict[str, float]]:
    """Seconds of a step of train.py, batches of 100, by 1 and 2 processes."""
    rows = []
    for processes in (1, 2):
        with tempfile.TemporaryDirectory() as place:
            port, run = _free_port(), Path(place) / "run"
            flags = ["--recipe", "guide", "--steps", str(STEPS), "--no-figures"]
            flags += ["--quiet", "--dataset", data, "--run-dir", str(run)]
            started = []
            for rank in range(processes):
                argv = [*_on_core(rank), str(ROOT / "train.py"), *flags]
                if processes > 1:
                    argv += ["--distributed", "--coordinator", f"127.0.0.1:{port}"]
                    argv += ["--processes", str(processes), "--process-id", str(rank)]
                started.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL))
            _refuse_failed(started)
            metrics = json.loads((run / "metrics.json").read_text())
        seconds = 100 / metrics["images_per_second"]
        rows.append({"devices": processes, "seconds": seconds})
        print(rows[-1], flush=True)
    return rows


def measure_reading() -> list[dict[str, Any]]:
    """Images a second that a process reads, of an .npy and of pictures."""
    with tempfile.TemporaryDirectory() as name:
        array, pictures = Path(name) / "images.npy", Path(name) / "pictures"
        disk.write_images(array, 200_000)
        disk.write_pictures(pictures)
        sources = {".npy": str(array), "PNG files": str(pictures)}
        return [
            {"source": source, "images_per_second": rate}
            for source, rate in disk.reading_rates(sources)
        ]


def main() -> None:
    """Measure all; or add up, for the process that asked."""
    if sys.argv[1:2] == ["add"]:
        print(json.dumps(all_reduce_times(*map(int, sys.argv[2:]))))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="mnist", help="data set to train on")
    flags = parser.parse_args()
    numbers = {
        "steps": measure_steps(),
        "all_reduces": measure_all_reduces(),
        "trainings": measure_trainings(flags.data),
        "reading": measure_reading(),
    }
    NUMBERS.write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main()
