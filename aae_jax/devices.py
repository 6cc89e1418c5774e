"""Several devices of a machine: each computes its part of every batch.

All of them hold the same state and the same images. What a phase computes of its part
XLA adds up in one all-reduce; batch normalization needs some of its own.
"""

from typing import TypeVar

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from aae_jax.errors import UserError
from aae_jax.options import check_devices
from aae_jax.phases import Batch

_BATCH = "batch"  # the mesh's only axis

Tree = TypeVar("Tree")


def make_mesh(devices: int, *, batch_size: int) -> Mesh | None:
    """The first so many devices of this machine; None for a single one.

    Raises:
      UserError: there are fewer, or they cannot share a batch equally.
    """
    check_devices(devices, batch_size=batch_size)
    found = jax.local_devices()
    if devices > len(found):
        raise UserError(
            f"devices={devices} are more than the {len(found)} that jax finds here "
            f"({found[0].device_kind}); use --devices {len(found)} or fewer"
        )
    return None if devices == 1 else Mesh(found[:devices], (_BATCH,))


def on_each(tree: Tree, mesh: Mesh | None) -> Tree:
    """The arrays, a copy of each on every device of the mesh."""
    if mesh is None:
        return tree
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


def split(batch: Batch, mesh: Mesh | None) -> Batch:
    """The batch, some of its rows on each device of the mesh; for compiled code."""
    if mesh is None:
        return batch
    return jax.lax.with_sharding_constraint(
        batch, NamedSharding(mesh, PartitionSpec(_BATCH))
    )


def one_copy(tree: Tree) -> Tree:
    """Arrays that each device has a copy of, as those of a single device."""
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), tree)
