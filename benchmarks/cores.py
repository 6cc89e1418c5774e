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
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
NUMBERS = ROOT / "docs" / "scaling.json"
BATCHES = (16, 32, 64, 128, 256)
FLOATS = (1_000, 100_000, 1_000_000, 4_000_000)
PROCESSES = (2, 4)
REPEATS, STEPS = 20, 200


def all_reduce_times(rank: int, processes: int, port: int) -> list[float]:
    """Median seconds of an all-reduce of each of `FLOATS`, as one of the processes."""
    import jax
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

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
    for n in FLOATS:
        local = np.ones((1, n), np.float32)
        x = jax.make_array_from_process_local_data(NamedSharding(mesh, split), local)
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
        for n, seconds in zip(
            FLOATS, json.loads(printed[0].splitlines()[-1]), strict=True
        ):
            rows.append({"devices": processes, "bytes": 4 * n, "seconds": seconds})
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
            statuses = [process.wait() for process in started]
            if any(statuses):
                raise SystemExit(f"trainings ended with {statuses}")
            metrics = json.loads((run / "metrics.json").read_text())
        seconds = 100 / metrics["images_per_second"]
        rows.append({"devices": processes, "seconds": seconds})
        print(rows[-1], flush=True)
    return rows


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
    }
    NUMBERS.write_text(json.dumps(numbers, indent=1) + "\n")


if __name__ == "__main__":
    main()
