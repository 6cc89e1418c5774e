"""What two runs must have in common that are to be the same: all bits, every line."""

import json

import jax
from checkpoint_states import fail, leaf_bytes

from aae_jax.checkpoint import load_checkpoint
from aae_jax.loop import init_loop
from aae_jax.training import make_step

TIMINGS = ("seconds", "images_per_second")


def all_leaves(folder, *, up_to=None, say=fail):
    """Step, and names, types and bits of weights, optimizer states, sums and key."""
    record = folder.read_record()
    like = jax.eval_shape(
        lambda key: init_loop(
            record.config,
            key,
            step=make_step(record.config),
            image_shape=record.image_shape,
        ),
        jax.random.key(record.config.seed),
    )
    loaded = load_checkpoint(folder.checkpoints, like, up_to=up_to, say=say)
    return loaded.step, leaf_bytes(loaded.state)


def log_without_timings(folder):
    """Every line of metrics.jsonl, in order."""
    lines = [json.loads(line) for line in folder.log_file.read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in TIMINGS} for line in lines]


def metrics_without_timings(folder):
    """What metrics.json says."""
    metrics = json.loads(folder.metrics_file.read_text())
    return {name: value for name, value in metrics.items() if name not in TIMINGS}


def kept_codes(folder):
    """What is kept of the epochs' codes."""
    return {path.name: path.read_bytes() for path in sorted(folder.codes.iterdir())}


def assert_same_run(folder, straight):
    """All bits of the last checkpoint, no line lost or twice, equal codes and end."""
    for look in (all_leaves, log_without_timings, metrics_without_timings, kept_codes):
        here, there = look(folder), look(straight)
        assert here == there, f"{look.__name__} of {folder} and {straight} differ"
