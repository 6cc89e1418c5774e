"""Several devices, of one machine or of many: each computes its part of every batch.

All of them hold the same state, and the same images unless those are read from disk.
What a phase computes of its part XLA adds up in one all-reduce; batch normalization
needs some of its own.
"""

from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from aae_jax.errors import UserError
from aae_jax.options import check_devices
from aae_jax.phases import Batch

_BATCH = "batch"  # the mesh's only axis

Tree = TypeVar("Tree")


def make_mesh(devices: int, *, batch_size: int) -> Mesh | None:
    """The first so many devices of each process; None for a single one in all.

    Raises:
      UserError: there are fewer, or they cannot share a batch equally.
    """
    found, processes = jax.local_devices(), jax.process_count()
    check_devices(devices, batch_size=batch_size, processes=processes)
    if devices > len(found):
        raise UserError(
            f"devices={devices} are more than the {len(found)} that jax finds here "
            f"({found[0].device_kind}); use --devices {len(found)} or fewer"
        )
    if devices * processes == 1:
        return None
    taken = [jax.local_devices(process)[:devices] for process in range(processes)]
    return Mesh([device for of_one in taken for device in of_one], (_BATCH,))


def on_each(tree: Tree, mesh: Mesh | None) -> Tree:
    """The arrays, a copy of each on every device of the mesh."""
    if mesh is None:
        return tree
    everywhere = NamedSharding(mesh, PartitionSpec())
    if jax.process_count() == 1:
        return jax.device_put(tree, everywhere)
    # device_put would compare what the processes have, image by image.
    return jax.tree.map(lambda leaf: _copied_to(leaf, everywhere), tree)


def _copied_to(leaf: Any, everywhere: NamedSharding) -> Any:
    """A local array on each device of all processes, which have the same."""
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = _copied_to(jax.random.key_data(leaf), everywhere)
        return jax.random.wrap_key_data(data, dtype=leaf.dtype)
    return jax.make_array_from_process_local_data(everywhere, np.asarray(leaf))


def part_of_batch(batch_size: int) -> slice:
    """Which images of every batch the devices of this process take."""
    share = batch_size // jax.process_count()
    first = jax.process_index() * share
    return slice(first, first + share)


def spread(tree: Tree, mesh: Mesh | None) -> Tree:
    """Arrays `[steps, batch, ...]` on the mesh, a part of each batch on each device.

    `batch` is what this process has of it, see `part_of_batch`.
    """
    if mesh is None:
        return jax.device_put(tree)
    over = NamedSharding(mesh, PartitionSpec(None, _BATCH))
    return jax.tree.map(
        lambda leaf: jax.make_array_from_process_local_data(over, leaf), tree
    )


def split(batch: Batch, mesh: Mesh | None) -> Batch:
    """The batch, some of its rows on each device of the mesh; for compiled code."""
    if mesh is None:
        return batch
    return jax.lax.with_sharding_constraint(
        batch, NamedSharding(mesh, PartitionSpec(_BATCH))
    )


def one_copy(tree: Tree) -> Tree:
    """Arrays that each device has a copy of, as those of a single device."""

    def first(leaf: jax.Array) -> jax.Array:
        if not leaf.is_fully_replicated:
            raise ValueError(f"an array of shape {leaf.shape} is split over devices")
        return leaf.addressable_data(0)

    return jax.tree.map(first, tree)
