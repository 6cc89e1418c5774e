"""Small training states for the tests of checkpoints, and what compares them."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from aae_jax.checkpoint import load_checkpoint, save_checkpoint
from aae_jax.checkpoint_folder import read_manifest, seal_folder


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    params: Any
    optimizers: Any
    key: Any
    step: Any


OPTIMIZERS = tuple(
    optax.partition(
        {"train": optax.adam(1e-3), "freeze": optax.set_to_zero()},
        {"encoder": encoder, "decoder": decoder},
    )
    for encoder, decoder in (("train", "train"), ("train", "freeze"))
)


@functools.cache
def make_state(step, width=5):
    """A state as training has it: its numbers depend on the step."""
    key = jax.random.key(step)
    params = {
        "encoder": {"kernel": jax.random.normal(key, (7, width)), "bias": jnp.ones(2)},
        "decoder": {"kernel": jax.random.normal(key, (width, 7))},
    }
    optimizers = tuple(optimizer.init(params) for optimizer in OPTIMIZERS)
    return State(params, optimizers, key, jnp.asarray(step, jnp.int32))


def leaf_bytes(tree):
    """Names, types and bits of all leaves."""
    return {
        jax.tree_util.keystr(path): (
            str(leaf.dtype),
            leaf.shape,
            np.asarray(jax.random.key_data(leaf) if is_key(leaf) else leaf).tobytes(),
        )
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def is_key(leaf):
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def folder_bytes(folder):
    return {
        path.relative_to(folder): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def fail(message):
    raise AssertionError(f"unexpected message: {message}")


def load(folder, like=None, say=fail):
    return load_checkpoint(folder, make_state(0) if like is None else like, say=say)


def assert_loads(folder, step, **arguments):
    loaded = load(folder, **arguments)
    assert loaded.step == step
    assert leaf_bytes(loaded.state) == leaf_bytes(make_state(step))


def reseal(checkpoint, **changes):
    """Seal a changed checkpoint anew, as only somebody who means harm would do."""
    manifest = dataclasses.replace(read_manifest(checkpoint), **changes)
    (checkpoint / "manifest.json").unlink()
    seal_folder(checkpoint, manifest)


def save_two(folder):
    """Save the states of steps 100 and 200."""
    for step in (100, 200):
        save_checkpoint(folder, make_state(step), step=step, record={"lines": step})
    return folder


def files_of(checkpoint):
    return sorted(path for path in checkpoint.rglob("*") if path.is_file())
