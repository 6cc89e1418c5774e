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
from cores import NUMBERS, ROOT

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
    """What joins devices: seconds until a message begins, and bytes a second then."""

    latency: float
    rate: float

    def all_reduce(self, n_bytes: int, devices: int) -> float:
        """Seconds: halving and doubling, each byte sent twice but for the own share."""
        if devices == 1:
            return 0.0
        sent = 2 * (devices - 1) / devices * n_bytes
        return 2 * log2(devices) * self.latency + sent / self.rate


ETHERNET = Network(50e-6, 1.25e9)
NVLINK = Network(10e-6, 300e9)
INFINIBAND = Network(20e-6, 50e9)
# From the lines of docs/performance.md: one model 1.41 ms, three models 2.58 ms. Two
# more models are two batches more; a larger batch has fewer weights and costs less.
GPU = Computer(0.83e-3, 5.9e-6)
GUIDE, CLASSES = {"model": "aae"}, {"model": "semi-supervised", "n_classes": 10}


def step_seconds(
    computer: Computer, network: Network, sizes: Sequence[int], *, n: int, devices: int
) -> float:
    """A step of n images in all, with an all-reduce of each size, one a phase."""
    adding = sum(network.all_reduce(size, devices) for size in sizes)
    return computer.fixed + computer.each * n / devices + adding


def bytes_of_phases(model: str, **more: Any) -> list[int]:
    """What each phase of a variant adds up over the devices: its gradients."""
    import jax

    from aae_jax import Config, init
    from aae_jax.variants import phases_of

    config = Config(model=model, **more)
    shapes = jax.eval_shape(
        lambda key: init(config, key, image_shape=(28, 28, 1)), jax.random.key(0)
    )
    return [
        4 * sum(leaf.size for name in phase.moves for leaf in _leaves(shapes, name))
        for phase in phases_of(config)
    ]


def _leaves(shapes: Any, subset: str) -> list[Any]:
    import jax

    return jax.tree.leaves(shapes.params[subset])


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
        [2 * log2(row["devices"]), 2 * (1 - 1 / row["devices"]) * row["bytes"]]
        for row in rows
    ]
    weighted = np.array(terms) / seconds[:, None]
    latency, per_byte = np.linalg.lstsq(weighted, np.ones(len(rows)), rcond=None)[0]
    return Network(float(latency), float(1 / per_byte))


def tables(numbers: Mapping[str, Any]) -> str:
    """What was measured beside the fit, and what the fit says of more devices."""
    core = fit_computer(numbers["steps"])
    loopback = fit_network(numbers["all_reduces"])
    sizes = bytes_of_phases(**GUIDE)
    steps = [
        (row["images"], row["seconds"], core.fixed + core.each * row["images"])
        for row in numbers["steps"]
    ]
    all_reduces = [
        (
            f"{row['devices']} | {row['bytes']:,}",
            row["seconds"],
            loopback.all_reduce(row["bytes"], row["devices"]),
        )
        for row in numbers["all_reduces"]
    ]
    trainings = [
        (
            row["devices"],
            row["seconds"],
            step_seconds(core, loopback, sizes, n=100, devices=row["devices"]),
        )
        for row in numbers["trainings"]
    ]
    told = (
        f"That is {1e3 * core.fixed:.1f} ms a step and {1e3 * core.each:.3f} ms an "
        f"image on a core, {1e6 * loopback.latency:.0f} us a message and "
        f"{loopback.rate / 1e9:.2f} GB/s between processes here. The guide's phases "
        f"add up {', '.join(f'{size / 1e6:.1f}' for size in sizes)} MB.\n"
    )
    parts = [
        _beside("images a batch", steps),
        _beside("processes | bytes added up", all_reduces),
        told,
        _beside("processes of train.py, batches of 100", trainings),
        "| devices | images a batch | ms a step | images/s | of ideal |",
        "|---|---|---|---|---|",
        *_predictions("a core each, 10 Gb/s", core, sizes, near=ETHERNET, far=ETHERNET),
        *_predictions(
            "an H200 each, NVLink to 8, then 400 Gb/s",
            GPU,
            bytes_of_phases(**CLASSES),
            near=NVLINK,
            far=INFINIBAND,
        ),
    ]
    return "\n".join(parts) + "\n"


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
    sizes: Sequence[int],
    *,
    near: Network,
    far: Network,
) -> Sequence[str]:
    """Rows for batches of 100 in all, and of 100 a device; `near` joins up to 8."""
    rows = [f"| **{title}** | | | | |"]
    alone = step_seconds(computer, near, sizes, n=100, devices=1)
    for grows in (False, True):
        for devices in DEVICES:
            network, n = near if devices <= 8 else far, 100 * devices if grows else 100
            taken = step_seconds(computer, network, sizes, n=n, devices=devices)
            share = n / taken / (devices * 100 / alone)
            rows.append(
                f"| {devices:,} | {n:,} | {1e3 * taken:.2f} | {n / taken:,.0f} "
                f"| {share:.0%} |"
            )
    return rows


def main() -> None:
    """Write the page's tables."""
    before, rest = PAGE.read_text().split(BEGIN)
    text = tables(json.loads(NUMBERS.read_text()))
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
