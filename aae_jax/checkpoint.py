"""Saving and loading the state of a run so that nothing wrong is ever loaded.

A checkpoint is a folder named by its step, such as 00012000. It holds the leaves, flat
and by name, as Orbax stores numpy arrays, and a manifest of hashes. It is written under
another name, flushed to disk and renamed: it is there whole or not at all. On load the
files are verified before Orbax opens them, and the leaves after it.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from aae_jax.checkpoint_folder import (
    DamagedError,
    Manifest,
    check_leaf_types,
    completed,
    delete_outdated,
    publish,
    read_manifest,
    remove_leftovers,
    seal_folder,
    verify_files,
)
from aae_jax.disk_space import probe_space, require_free
from aae_jax.errors import RunError
from aae_jax.messages import Say
from aae_jax.processes import is_first
from aae_jax.stored_leaves import read_leaves, type_of, write_leaves

KEPT = 3


@dataclass(frozen=True)
class Loaded:
    """A state as it was saved, its step, and the record that was saved with it."""

    state: Any
    step: int
    record: dict[str, Any]


def save_checkpoint(
    folder: Path,
    state: Any,
    *,
    step: int,
    keep: int = KEPT,
    record: Mapping[str, Any] | None = None,
) -> Path:
    """Save a tree of JAX arrays, typed keys included; return the checkpoint's folder.

    It counts as saved once its files and folders are on disk. Only then are others
    deleted: those older than the `keep` newest, and those of later steps, which can
    only be damaged ones that a resume has passed over. It takes one writer at a time:
    hold `run_lock`. Of several processes all call this, with one folder that all see,
    and the first writes.

    Args:
      folder: `checkpoints/` of the run; created where it is absent.
      record: small JSON that belongs to the same moment, loaded with the state.

    Raises:
      RunError: the disk is full, or may not be written. What was saved is intact.
    """
    if step < 0 or keep < 1:
        raise ValueError(f"step={step} must be 0 or more, keep={keep} 1 or more")
    folder = folder.absolute()  # Orbax refuses a relative path
    final = folder / f"{step:08d}"
    leaves = _named_leaves(state)
    arrays = {name: _to_numpy(leaf) for name, leaf in leaves.items()}
    try:
        staged = folder / f"{final.name}.writing"
        if is_first():
            folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(folder)
            probe_space(folder, sum(array.nbytes for array in arrays.values()))
        write_leaves(staged, arrays)  # where the processes meet
        if is_first():
            manifest = Manifest(
                step=step,
                record=dict(record or {}),
                leaf_types={name: type_of(leaf) for name, leaf in leaves.items()},
                leaf_hashes={name: _leaf_hash(array) for name, array in arrays.items()},
            )
            seal_folder(staged, manifest)
            publish(staged, final)
    except OSError as error:
        if is_first():
            remove_leftovers(folder)
        raise RunError(
            f"the checkpoint of step {step} could not be saved "
            f"({error.strerror or error}); {where_to_go_on(folder)}"
        ) from error
    if is_first():
        delete_outdated(final, step=step, keep=keep)
    return final


def require_space(folders: Sequence[Path], state: Any, *, keep: int = KEPT) -> None:
    """Refuse to begin what the disk has no room for: all checkpoints that are kept.

    Args:
      folders: `checkpoints/` of runs that are written side by side, there or not yet.
      state: a tree of arrays or `jax.ShapeDtypeStruct`, as each run saves it.
      keep: as in `save_checkpoint`; there is one more while one is written.

    Raises:
      RunError: see `require_free`.
    """
    size = _stored_bytes(_named_leaves(state))
    there = sum(len(completed(folder)) for folder in folders)
    require_free(folders[0], (len(folders) * keep + 1 - there) * size)


def newest_in(folder: Path) -> str:
    """`the newest checkpoint is that of step 200 in ...`, for a sentence."""
    saved = checkpoint_steps(folder)
    if not saved:
        return f"nothing is saved in {folder} yet"
    return f"the newest checkpoint is that of step {saved[0]} in {folder}"


def where_to_go_on(folder: Path) -> str:
    """The same, and that a training which could not write goes on from there."""
    onward = ", and --resume goes on from there" if checkpoint_steps(folder) else ""
    return f"{newest_in(folder)}{onward}"


def load_checkpoint(
    folder: Path, like: Any, *, up_to: int | None = None, say: Say
) -> Loaded | None:
    """Load the newest intact checkpoint, or None where none was ever completed.

    Args:
      folder: `checkpoints/` of a run; nothing in it is changed.
      like: a tree of arrays or `jax.ShapeDtypeStruct`; its structure, shapes and dtypes
        are those of the result.
      up_to: the last step that is wanted; checkpoints of later ones do not count.
      say: is told of each checkpoint that is damaged and therefore passed over.

    Raises:
      UserError: leaves are missing, left over, or of another dtype or shape, all of
        them listed; or a later version of aae_jax wrote the checkpoint.
      RunError: there are checkpoints, and all are damaged.
    """
    folder = folder.absolute()
    found = [
        (step, path)
        for step, path in completed(folder)
        if up_to is None or step <= up_to
    ]
    for index, (step, path) in enumerate(found):
        try:
            return _load(path, like, step=step)
        except DamagedError as error:
            if not path.exists():
                # The run that writes here has just deleted it: it has newer ones.
                return load_checkpoint(folder, like, up_to=up_to, say=say)
            then = "; using the one before" if index + 1 < len(found) else ""
            say(f"the checkpoint of step {step} in {folder} is damaged: {error}{then}")
    if found:
        which = "" if up_to is None else f" up to step {up_to}"
        raise RunError(
            f"every checkpoint{which} in {folder} is damaged; put an intact copy back, "
            "or start a new run in another folder (nothing was changed here)"
        )
    return None


def checkpoint_steps(folder: Path) -> list[int]:
    """Steps of the completed checkpoints, the newest first, intact or not."""
    return sorted({step for step, _ in completed(folder)}, reverse=True)


def _load(path: Path, like: Any, *, step: int) -> Loaded:
    manifest = read_manifest(path)
    if manifest.step != step:
        raise DamagedError(f"it is a copy of step {manifest.step}")
    leaves = _named_leaves(like)
    check_leaf_types(path, manifest, {n: type_of(x) for n, x in leaves.items()})
    size = _stored_bytes(leaves)
    verify_files(path, manifest, size_limit=2 * size + 2**24, leaf_bytes=size)
    arrays = read_leaves(path, {n: _template(leaf) for n, leaf in leaves.items()})
    for name, array in arrays.items():
        if _leaf_hash(array) != manifest.leaf_hashes.get(name):
            raise DamagedError(f"the numbers of {name} are not those that were saved")
    restored = [_from_numpy(arrays[name], leaf) for name, leaf in leaves.items()]
    state = jax.tree.unflatten(jax.tree.structure(like), restored)
    return Loaded(state, step, manifest.record)


# Leaves go by their path in the tree, so that the format knows no class of optax.


def _named_leaves(tree: Any) -> dict[str, Any]:
    pairs = jax.tree_util.tree_leaves_with_path(tree)
    names = [
        jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in pairs
    ]
    if len(set(names)) < len(names):
        raise ValueError("two leaves of the state have the same name")
    return dict(zip(names, (leaf for _, leaf in pairs), strict=True))


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _leaf_hash(array: np.ndarray) -> str:
    digest = hashlib.sha256(type_of(array).encode())
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _to_numpy(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _stored(leaf: Any) -> Any:
    """What has the dtype and shape that such a leaf is stored with."""
    return jax.eval_shape(jax.random.key_data, leaf) if _is_key(leaf) else leaf


def _stored_bytes(leaves: Mapping[str, Any]) -> int:
    stored = map(_stored, leaves.values())
    return sum(each.size * each.dtype.itemsize for each in stored)


def _template(leaf: Any) -> np.ndarray:
    return np.empty(_stored(leaf).shape, _stored(leaf).dtype)


def _from_numpy(array: np.ndarray, like: Any) -> jax.Array:
    # Copied, so that a donated state never shares its memory with numpy.
    restored = jnp.array(array)
    if _is_key(like):
        return jax.random.wrap_key_data(restored, dtype=like.dtype)
    return restored
