"""Codes of held-out images that a run keeps as it trains, to be seen as an animation.

`codes/<step>.npz` holds z `[n, z_dim]`, float16, and y `[n]` where there are labels. Of
long trainings not every epoch is kept, by a rule that does not ask for the end: what is
kept after an epoch depends on its number alone.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray

from aae_jax.data.numpy_files import read_members
from aae_jax.errors import RunError, UserError
from aae_jax.run_folder import RunFolder
from aae_jax.small_files import flush, make_folder, write_file

MOST_EPOCHS = 200
_MOST_CODES, _LEAST_CODES = 1_000, 100
_NUMBERS = 2**15
"""Of an epoch, unless so many hold fewer than `_LEAST_CODES` codes."""
_LARGEST = float(np.finfo(np.float16).max)
_MEMORY = 2**20  # bytes; an epoch takes a fifth of it at most
_NAME = re.compile(r"[0-9]{8,10}\.npz")


@dataclass(frozen=True)
class KeptCodes:
    """The codes after a step.

    Attributes:
      step: how many steps were behind them.
      z: `[n, z_dim]`.
      y: `[n]`, their labels, -1 where there is none; None without any.
    """

    step: int
    z: NDArray[np.float32]
    y: NDArray[np.int32] | None


def keep_codes(
    folder: RunFolder,
    codes: Float[np.ndarray, "n z_dim"],
    y: Int[np.ndarray, " n"] | None,
    *,
    step: int,
    steps_per_epoch: int,
) -> None:
    """Keep some of the codes after an epoch, evenly spaced; drop epochs between others.

    Raises:
      RunError: the disk is full or may not be written.
    """
    n = max(_NUMBERS // codes.shape[1], _LEAST_CODES)
    n = min(n, _MOST_CODES, len(codes))
    rows = np.arange(n) * len(codes) // n
    z = np.clip(codes[rows], -_LARGEST, _LARGEST).astype(np.float16)
    arrays: dict[str, Any] = (
        {"z": z} if y is None else {"z": z, "y": y[rows].astype(np.int32)}
    )
    if not folder.codes.is_dir():
        make_folder(folder.codes)
        flush(folder.path)
    path = folder.codes / f"{step:08d}.npz"
    write_file(path, lambda file: np.savez_compressed(file, **arrays))
    newest = math.ceil(step / steps_per_epoch)
    if newest > MOST_EPOCHS:
        for other, there in _kept(folder).items():
            if not is_kept(math.ceil(other / steps_per_epoch), newest=newest):
                _remove(there)


def is_kept(epoch: int, *, newest: int) -> bool:
    """Whether an epoch, from 1, is still kept when the newest one has ended.

    It is if it is the newest, or one of those that are evenly spaced from the first: by
    the least power of two that leaves `MOST_EPOCHS` of them or fewer.
    """
    spacing = 1
    while newest > spacing * MOST_EPOCHS:
        spacing *= 2
    return epoch == newest or (epoch - 1) % spacing == 0


def cut_codes(folder: RunFolder, step: int) -> None:
    """Remove the codes of steps after `step`, and what a killed process left half.

    Raises:
      RunError: it may not be removed.
    """
    for other, path in _kept(folder).items():
        if other > step:
            _remove(path)
    for path in folder.codes.glob("*.npz.*.tmp"):
        _remove(path)


def kept_steps(folder: RunFolder) -> list[int]:
    """The steps after which codes are kept, ascending.

    Raises:
      UserError: there are none.
    """
    steps = list(_kept(folder))
    if not steps:
        raise UserError(
            f"{folder} has kept no codes of its epochs: none has ended yet, or it was "
            "trained by an earlier version of aae_jax; animate another run"
        )
    return steps


def read_codes(
    folder: RunFolder, steps: Sequence[int], *, z_dim: int
) -> list[KeptCodes]:
    """The codes after given steps; a training that goes on may have dropped some.

    Raises:
      UserError: a file is damaged, or holds something else.
    """
    kept = _kept(folder)
    return [_read(kept[step], step, z_dim) for step in steps if step in kept]


def _read(path: Path, step: int, z_dim: int) -> KeptCodes:
    hint = "delete it, and the animation goes without"
    arrays = read_members(path, ("z", "y"), hint=hint, memory_limit=_MEMORY)
    z, y = arrays["z"], arrays.get("y")
    sound = z.dtype == np.float16 and z.ndim == 2 and z.shape[1] == z_dim
    sound = sound and len(z) > 0 and bool(np.isfinite(z).all())
    if y is not None:
        sound = sound and y.dtype == np.int32 and y.shape == z.shape[:1]
    if not sound:
        raise UserError(f"{path} does not hold the codes of an epoch; {hint}")
    return KeptCodes(step, z.astype(np.float32), y)


def _kept(folder: RunFolder) -> dict[int, Path]:
    """The files, by their steps, ascending."""
    if not folder.codes.is_dir():
        return {}
    names = sorted(path.name for path in folder.codes.iterdir())
    paths = [folder.codes / name for name in names if _NAME.fullmatch(name)]
    return dict(sorted((int(path.stem), path) for path in paths))


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{path} could not be removed: {error.strerror}") from error
