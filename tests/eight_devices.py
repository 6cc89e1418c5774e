"""The same steps on one device and on eight, which the CPU pretends to be.

    python eight_devices.py float32|float64 STEPS MODEL[@disk]...

prints for each model the largest difference of parameters, and how many all-reduces the
compiled loop has. With @disk eight devices take images from disk, and one from memory.
A program of its own: jax counts its devices once.
"""

import json
import sys
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from aae_jax.config import Config
from aae_jax.data.stored import stored_array
from aae_jax.devices import make_mesh, on_each, one_copy
from aae_jax.disk_feed import AT_ONCE, DiskFeed
from aae_jax.feeds import MemoryFeed, TrainingData
from aae_jax.loop import init_loop, make_loop
from aae_jax.networks import Params
from aae_jax.training import make_step

SHAPE, BATCH, STEPS_PER_EPOCH = (6, 6, 1), 40, 10
DATA_OF = {
    "label-prior": {"prior": "mixture"},
    "semi-supervised": {"labels": 60},
    "clustering": {"clusters": 5},
}


def main() -> None:
    dtype, steps, *models = sys.argv[1:]
    jax.config.update("jax_num_cpu_devices", 8)
    jax.config.update("jax_enable_x64", dtype == "float64")
    print(json.dumps({model: compare(model, dtype, int(steps)) for model in models}))


def compare(name: str, dtype: str, steps: int) -> dict[str, float]:
    model, _, place = name.partition("@")
    ours, all_reduces = train(model, dtype, steps, devices=8, on_disk=place == "disk")
    theirs, _ = train(model, dtype, steps, devices=1)
    differences = jax.tree.map(lambda a, b: abs(a - b).max(), ours, theirs)
    assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(differences))
    return {
        "difference": float(max(jax.tree.leaves(differences))),
        "all_reduces": all_reduces,
    }


@cache
def train(
    model: str, dtype: str, steps: int, *, devices: int, on_disk: bool = False
) -> tuple[Params, int]:
    """Parameters after the steps, and how many all-reduces the loop has."""
    config = Config(
        model=model,
        **DATA_OF.get(model, {}),
        n_classes=None if model in ("aae", "aae-joint") else 4,
        hidden=(24, 24),
        batch_size=BATCH,
        steps=1000,
    )
    rng = np.random.default_rng(0)
    n = BATCH * STEPS_PER_EPOCH
    x = rng.integers(0, 256, (n, *SHAPE), dtype=np.uint8)
    y = rng.integers(0, 4, n, dtype=np.int32)
    labelled = np.arange(60, dtype=np.int32) if config.reads_labels else None
    step = make_step(config)
    mesh = make_mesh(devices, batch_size=BATCH)
    carry = init_loop(config, jax.random.key(0), step=step, image_shape=SHAPE)
    carry = jax.tree.map(
        lambda leaf: leaf.astype(dtype) if leaf.dtype == jnp.float32 else leaf, carry
    )
    carry, key = on_each(carry, mesh), jax.random.key(0)
    if on_disk:
        limit = 3 * AT_ONCE * x[:BATCH].nbytes  # windows of three steps
        images = stored_array(x, "x")
        feed = DiskFeed(config, images, y, labelled, key, memory_limit=limit, mesh=mesh)
    else:
        data = TrainingData(*jax.tree.map(jnp.asarray, (x, y, labelled)))
        feed = MemoryFeed(config, on_each(data, mesh), key, mesh=mesh)
    loop = make_loop(config, step, mesh=mesh)
    program = loop.lower(carry, feed.window(0), np.int32(steps)).compile()
    done = 0
    while done < steps:
        window, done = feed.window(done), min(feed.end(done), steps)
        carry = program(carry, window, np.int32(done))
    feed.close()
    return one_copy(carry.state.params), program.as_text().count(" all-reduce(")


if __name__ == "__main__":
    main()
