"""A model of a step's time on many devices, fitted to what was measured on a few.

    python benchmarks/cores.py --data path/to/mnist
    python benchmarks/scaling.py

The first measures and writes docs/scaling.json, the second makes the tables of
docs/scaling.md from that.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import Any

import numpy as np
from cores import NUMBERS, ROOT, floats_of_phases
from workload import CONFIG

from aae_jax.config import Config

PAGE = ROOT / "docs" / "scaling.md"
BEGIN, END = "<!-- the tables: scaling.py -->\n", "<!-- end of scaling.py -->\n"
DEVICES = (1, 8, 64, 1024)


@dataclass(frozen=True)
class Computer:
    """A device: seconds of a step with n images are `fixed + each * n`."""

    fixed: float
    each: float


@dataclass(frozen=True)
class Network:
    """What joins devices.

    Attributes:
      latency: seconds until a message begins.
      rate: bytes a second then.
      groups: whether the arrays of one all-reduce travel in one message. NCCL's do;
        Gloo, which joins CPUs, is called for each array.
    """

    latency: float
    rate: float
    groups: bool = False

    def all_reduce(self, arrays: int, n_bytes: int, devices: int) -> float:
        """Seconds: halving and doubling, each byte sent twice but for the own share."""
        if devices == 1:
            return 0.0
        messages = 2 * log2(devices) * (1 if self.groups else arrays)
        sent = 2 * (devices - 1) / devices * n_bytes
        return messages * self.latency + sent / self.rate


ETHERNET = Network(50e-6, 1.25e9)
NVLINK = Network(10e-6, 300e9, groups=True)
INFINIBAND = Network(20e-6, 50e9, groups=True)
GUIDE, CLASSES = CONFIG, Config(model="semi-supervised", n_classes=10)
# From docs/performance.md: one model, and three, each with a batch and an Adam's state
# of its own. So for a larger batch of one model it says too much.
GPU_STEPS = ({"images": 100, "seconds": 1.41e-3}, {"images": 300, "seconds": 2.58e-3})


def step_seconds(
    computer: Computer,
    network: Network,
    phases: Sequence[Sequence[int]],
    *,
    n: int,
    devices: int,
) -> float:
    """A step of n images in all; each phase adds up arrays of so many floats."""
    adding = sum(
        network.all_reduce(len(sizes), 4 * sum(sizes), devices) for sizes in phases
    )
    return computer.fixed + computer.each * n / devices + adding


def fit_computer(rows: Sequence[Mapping[str, float]]) -> Computer:
    """Least squares of relative errors."""
    seconds = np.array([row["seconds"] for row in rows])
    terms = np.array([[1, row["images"]] for row in rows]) / seconds[:, None]
    fixed, each = np.linalg.lstsq(terms, np.ones(len(rows)), rcond=None)[0]
    return Computer(float(fixed), float(each))


def fit_network(rows: Sequence[Mapping[str, float]]) -> Network:
    """The same for all-reduces."""
    seconds = np.array([row["seconds"] for row in rows])
    terms = [
        [
            2 * log2(row["devices"]) * row["arrays"],
            2 * (1 - 1 / row["devices"]) * row["bytes"],
        ]
        for row in rows
    ]
    weighted = np.array(terms) / seconds[:, None]
    latency, per_byte = np.linalg.lstsq(weighted, np.ones(len(rows)), rcond=None)[0]
    return Network(float(latency), float(1 / per_byte))


def tables(numbers: Mapping[str, Any]) -> str:
    """What was measured beside the fit, and what the fit says of more devices."""
    core = fit_computer(numbers["steps"])
    loopback = fit_network(numbers["all_reduces"])
    reading = {row["source"]: row["images_per_second"] for row in numbers["reading"]}
    rates = ", ".join(f"{rate:,.0f} of {source}" for source, rate in reading.items())
    parts = [
        *_fits(numbers, core, loopback),
        f"A process reads {rates} images a second.\n",
        "| devices | images a batch | ms a step | images/s | of ideal | read as PNG |",
        "|---|---|---|---|---|---|",
        *_predictions(
            "a core each, 10 Gb/s",
            core,
            floats_of_phases(GUIDE),
            near=ETHERNET,
            far=ETHERNET,
            reading=reading["PNG files"],
        ),
        *_predictions(
            "an H200 each, NVLink to 8, then 400 Gb/s",
            fit_computer(GPU_STEPS),
            floats_of_phases(CLASSES),
            near=NVLINK,
            far=INFINIBAND,
            reading=reading["PNG files"],
        ),
    ]
    return "\n".join(parts) + "\n"


def _fits(
    numbers: Mapping[str, Any], core: Computer, loopback: Network
) -> Sequence[str]:
    """What was measured beside what the model says of it."""
    guide = floats_of_phases(GUIDE)
    steps = [
        (row["images"], row["seconds"], core.fixed + core.each * row["images"])
        for row in numbers["steps"]
    ]
    all_reduces = [
        (
            f"{row['devices']} | {row['arrays']} | {row['bytes']:,}",
            row["seconds"],
            loopback.all_reduce(row["arrays"], row["bytes"], row["devices"]),
        )
        for row in numbers["all_reduces"]
    ]
    trainings = [
        (
            row["devices"],
            row["seconds"],
            step_seconds(core, loopback, guide, n=100, devices=row["devices"]),
        )
        for row in numbers["trainings"]
    ]
    return (
        _beside("images a batch", steps),
        _beside("processes | arrays | bytes added up", all_reduces),
        f"That is {1e3 * core.fixed:.1f} ms a step and {1e3 * core.each:.3f} ms an "
        f"image on a core, {1e6 * loopback.latency:.0f} us a message and "
        f"{loopback.rate / 1e9:.2f} GB/s between processes here.\n",
        _beside("processes of train.py, batches of 100", trainings),
    )


def _beside(what: str, rows: Sequence[tuple[Any, float, float]]) -> str:
    """A table of milliseconds that were measured, and by the model."""
    columns = what.count("|") + 3
    lines = [f"| {what} | ms, measured | by the model |", "|" + "---|" * columns]
    lines += [
        f"| {name} | {1e3 * measured:.2f} | {1e3 * fitted:.2f} |"
        for name, measured, fitted in rows
    ]
    return "\n".join([*lines, ""])


def _predictions(
    title: str,
    computer: Computer,
    phases: Sequence[Sequence[int]],
    *,
    near: Network,
    far: Network,
    reading: float,
) -> Sequence[str]:
    """Rows for batches of 100 in all, and of 100 a device; `near` joins up to 8.

    `reading` images a second are what the process of a device reads.
    """
    rows = [f"| **{title}** | | | | | |"]
    alone = step_seconds(computer, near, phases, n=100, devices=1)
    for grows in (False, True):
        for devices in DEVICES:
            network, n = near if devices <= 8 else far, 100 * devices if grows else 100
            taken = step_seconds(computer, network, phases, n=n, devices=devices)
            share = n / taken / (devices * 100 / alone)
            from_disk = min(n / taken, devices * reading)
            rows.append(
                f"| {devices:,} | {n:,} | {1e3 * taken:.2f} | {n / taken:,.0f} "
                f"| {share:.0%} | {from_disk:,.0f} |"
            )
    return rows


def main() -> None:
    """Write the page's tables."""
    before, rest = PAGE.read_text().split(BEGIN)
    text = tables(json.loads(NUMBERS.read_text()))
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
