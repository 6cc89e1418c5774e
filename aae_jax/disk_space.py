"""Whether a disk has room: for a whole run before it begins, for a save before it."""

import os
import shutil
from pathlib import Path

from aae_jax.errors import RunError

_BESIDE_CHECKPOINTS = 2**23  # bytes for the log, curves and pictures of a usual run


def require_free(folder: Path, size: int) -> None:
    """Refuse a disk that has no room for a run with checkpoints of `size` bytes in all.

    What other programs write later, and quotas, are not known: saves look again.

    Args:
      folder: of the checkpoints, there or not yet.

    Raises:
      RunError: with what there is and what is needed.
    """
    needed = size + _BESIDE_CHECKPOINTS
    place = next(each for each in folder.absolute().parents if each.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        raise RunError(
            f"the disk of {place} has {free / 2**20:,.1f} MiB left, and checkpoints, "
            f"log and pictures take up to {needed / 2**20:,.1f} MiB; free some, or "
            "give a new run another --run-dir"
        )


def probe_space(folder: Path, size: int) -> None:
    """Claim and give back as many bytes as a checkpoint of `size` bytes will need.

    A full disk so fails here, in one plain error, and not in many threads of Orbax.

    Raises:
      OSError: the disk is full, or may not be written.
    """
    probe = folder / "00000000.deleting"
    probe.mkdir()
    n_bytes = size + 2**20
    with (probe / "space").open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, n_bytes)
        else:  # macOS has none
            file.write(bytes(n_bytes))
    shutil.rmtree(probe)
