"""How speed and memory go with batch size, width, code length and number of images.

    make growth

One thing grows at a time; the rest is the guide's: 60,000 images in batches of 100,
1000 and 1000 units, codes of 2 numbers, three phases. Each point is a process of its
own, so that its peak memory is its own too. Writes docs/growth.json, the tables of
docs/performance.md and docs/figures/growth.png.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NUMBERS = ROOT / "docs" / "growth.json"
PAGE = ROOT / "docs" / "performance.md"
PICTURE = ROOT / "docs" / "figures" / "growth.png"
BEGIN, END = "<!-- the tables: growth.py -->\n", "<!-- end of growth.py -->\n"
SECONDS, ROUNDS = 1.5, 3


@dataclass(frozen=True)
class Point:
    """What is measured."""

    batch_size: int = 100
    width: int = 1000
    z_dim: int = 2
    images: int = 60_000


GUIDE = Point()
AXES: Mapping[str, tuple[int, ...]] = {
    "batch_size": (32, 100, 320, 1000, 4096),
    "width": (250, 500, 1000, 2000, 4000),
    "z_dim": (2, 8, 32, 128),
    "images": (10_000, 60_000, 250_000, 1_000_000),
}
TITLES = {
    "batch_size": "images a batch",
    "width": "units a hidden layer",
    "z_dim": "numbers a code",
    "images": "images in all",
}


def measure(point: Point) -> dict[str, float]:
    """Images a second, the best of some rounds, and peak memory in MiB; a new process.

    An epoch's order is drawn before the clock starts, as it is once in many steps.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    from aae_jax import Config, make_step
    from aae_jax.feeds import MemoryFeed, TrainingData
    from aae_jax.loop import init_loop, make_loop

    config = Config(
        recipe="guide",
        steps=10**6,
        batch_size=point.batch_size,
        hidden=(point.width, point.width),
        z_dim=point.z_dim,
    )
    rng = np.random.default_rng(0)
    shape = (28, 28, 1)
    images = rng.integers(0, 256, (point.images, *shape), dtype=np.uint8)
    step = make_step(config)
    # Each a key of its own: that of the state is donated to the loop.
    feed = MemoryFeed(config, TrainingData(jnp.asarray(images)), jax.random.key(0))
    del images
    loop, done = make_loop(config, step), 0
    carry = init_loop(config, jax.random.key(0), step=step, image_shape=shape)
    epoch = config.steps_per_epoch(point.images)

    def seconds(n: int) -> float:
        nonlocal carry, done
        done = done if done % epoch + n <= epoch else -(-done // epoch) * epoch
        window = jax.block_until_ready(feed.window(done))
        state = replace(carry.state, step=jnp.int32(done))
        carry, done = replace(carry, state=state), done + n
        began = time.perf_counter()
        carry = jax.block_until_ready(loop(carry, window, np.int32(done)))
        return time.perf_counter() - began

    seconds(1)  # compiles
    steps = min(epoch, max(1, round(SECONDS / seconds(2) * 2)))
    best = min(seconds(steps) for _ in range(ROUNDS))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "images_per_second": steps * point.batch_size / best,
        "mebibytes": peak / (2**20 if sys.platform == "darwin" else 2**10),
    }


def measured_apart(point: Point) -> dict[str, float]:
    """`measure` in a process of its own."""
    argv = [sys.executable, __file__, "--point", json.dumps(asdict(point))]
    ended = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(ended.stdout.splitlines()[-1])


def tables(numbers: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """A table for each thing that grows, as Markdown."""
    lines = []
    for name, rows in numbers.items():
        lines += [f"| {TITLES[name]} | images/s | peak MiB |", "|---|---|---|"]
        lines += [
            f"| {row['value']:,} | {row['images_per_second']:,.0f} "
            f"| {row['mebibytes']:,.0f} |"
            for row in rows
        ]
        lines.append("")
    return "\n".join(lines)


def draw(numbers: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Speed above memory, both axes logarithmic, a column for each thing that grows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    figure = Figure(figsize=(11, 5), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, len(numbers), sharey="row")
    for column, (name, rows) in enumerate(numbers.items()):
        values = [row["value"] for row in rows]
        for panel, metric, label in (
            (panels[0, column], "images_per_second", "images a second"),
            (panels[1, column], "mebibytes", "peak memory, MiB"),
        ):
            panel.loglog(values, [row[metric] for row in rows], "o-", color="#20558a")
            panel.grid(visible=True, which="major", color="#dddddd")
            panel.set_xticks(values, [f"{value:,}" for value in values])
            panel.xaxis.set_minor_locator(NullLocator())
            panel.tick_params(axis="x", labelsize=8)
            if column == 0:
                panel.set_ylabel(label)
        panels[1, column].set_xlabel(TITLES[name])
    figure.savefig(PICTURE, dpi=100)


def main() -> None:
    """Measure each point, in turn; or one, for the process that asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--point", help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.point:
        print(json.dumps(measure(Point(**json.loads(flags.point)))))
        return
    numbers: dict[str, list[dict[str, Any]]] = {}
    for name, values in AXES.items():
        for value in values:
            row = {
                "value": value,
                **measured_apart(replace(GUIDE, **{name: value})),
            }
            numbers.setdefault(name, []).append(row)
            print(f"{name} {row}", flush=True)
    NUMBERS.write_text(json.dumps(numbers, indent=1) + "\n")
    draw(numbers)
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{tables(numbers)}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
