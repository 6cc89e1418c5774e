"""A training whose images stay on disk, beside the same one with them in memory.

    make disk ARGS="--place /path/with/6/GB"

writes an .npy of 5 GB there, trains the guide's networks on it by turns with its images
in memory and on disk, and prints images a second and the peak of the process's
anonymous memory (RssAnon, Linux). Before each turn the file is dropped from the page
cache. With `--cgroup DIR`, one of Linux's memory cgroups, the training on disk is part
of that group, whose limit its share of the page cache counts against, too. Then it
prints how many images a second each source gives when nothing but reading is done.
"""

import argparse
import json
import math
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from PIL import Image
from workload import BATCH, CONFIG, SHAPE

from aae_jax import load_dataset
from aae_jax.data.stored import StoredImages
from aae_jax.disk_feed import AT_ONCE, DiskFeed

ROOT = Path(__file__).resolve().parents[1]
GIB = 2**30
PICTURES, WINDOWS = 20_000, 8


def write_images(path: Path, n: int) -> None:
    """n random images of MNIST's size as an .npy, written a piece at a time."""
    rng = np.random.default_rng(0)
    header = {"descr": "|u1", "fortran_order": False, "shape": (n, *SHAPE[:2])}
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for first in range(0, n, 100_000):
            shape = (min(100_000, n - first), *SHAPE[:2])
            file.write(rng.integers(0, 256, shape, np.uint8).data)


def train(
    data: Path, place: Path, *, limit: float, steps: int, cgroup: Path | None
) -> tuple[float, float]:
    """Images a second of a training, and the peak of its RssAnon in GiB."""
    with data.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    command = [sys.executable, str(ROOT / "train.py"), "--recipe", "guide", "--quiet"]
    command += ["--steps", str(steps), "--dataset", str(data), "--no-figures"]
    command += ["--memory-limit", str(limit), "--run-dir", str(place)]
    if cgroup is not None:
        join = f'echo $$ > {shlex.quote(str(cgroup))}/cgroup.procs && exec "$@"'
        command = ["sh", "-c", join, "sh", *command]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    status, peak = Path(f"/proc/{process.pid}/status"), 0
    while process.poll() is None:
        for line in status.read_text().splitlines():
            if line.startswith("RssAnon:"):
                peak = max(peak, 1024 * int(line.split()[1]))
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(process.returncode)
    metrics = json.loads((place / "metrics.json").read_text())
    return metrics["images_per_second"], peak / GIB


def write_pictures(folder: Path) -> None:
    """Random images as PNG files."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(PICTURES):
        pixels = rng.integers(0, 256, SHAPE[:2], np.uint8)
        Image.fromarray(pixels).save(folder / f"{index}.png")


def reading_rates(sources: dict[str, str]) -> Iterator[tuple[str, float]]:
    """Images a second that a feed gives, of each source that is named."""
    for title, name in sources.items():
        images = load_dataset(name, memory_limit=0.005).x_train
        assert isinstance(images, StoredImages)
        limit = AT_ONCE * BATCH * math.prod(SHAPE) * 50
        key = jax.random.key(0)
        feed = DiskFeed(CONFIG, images, None, None, key, memory_limit=limit)
        steps = feed.end(0)
        feed.window(0)
        began = time.perf_counter()
        for index in range(1, WINDOWS + 1):
            jax.block_until_ready(feed.window(index * steps))
        yield title, WINDOWS * steps * BATCH / (time.perf_counter() - began)
        feed.close()


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--place", help="where to write; the system's place by default")
    parser.add_argument("--gigabytes", type=float, default=5.0)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--prepared", default="mnist", help="a set in array_record")
    parser.add_argument("--cgroup", type=Path, help="for the trainings on disk")
    flags = parser.parse_args()
    whole = 1.01 * flags.gigabytes * 1e9 / GIB
    limits = {"in memory": whole, "on disk": whole / 5}  # GiB that images may take
    cgroups = {"in memory": None, "on disk": flags.cgroup}
    with tempfile.TemporaryDirectory(dir=flags.place) as name:
        place = Path(name)
        data = place / "images.npy"
        write_images(data, round(flags.gigabytes * 1e9 / math.prod(SHAPE)))
        rates: dict[str, list[float]] = {title: [] for title in limits}
        for turn in range(flags.rounds):
            for title, limit in limits.items():
                rate, peak = train(
                    data,
                    place / f"{title} {turn}",
                    limit=limit,
                    steps=flags.steps,
                    cgroup=cgroups[title],
                )
                rates[title].append(rate)
                print(f"{title}: {rate:,.0f} images/s, {peak:.2f} GiB", flush=True)
        ratios = [b / a for a, b in zip(*rates.values(), strict=True)]
        print(
            f"on disk / in memory: {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )
        write_pictures(place / "pictures")
        sources = {".npy": str(data), "array_record": flags.prepared}
        sources |= {"PNG files": str(place / "pictures")}
        for title, rate in reading_rates(sources):
            print(f"reading {title}: {rate:,.0f} images/s", flush=True)


if __name__ == "__main__":
    main()
