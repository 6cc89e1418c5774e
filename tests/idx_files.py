"""Tiny IDX sets for the tests of the data sources."""

import gzip
import hashlib
from pathlib import Path

import numpy as np

from aae_jax.data.idx import PARTS

NAMES = {key: f"{start}-idx-ubyte" for key, start in PARTS.items()}


def idx_bytes(array: np.ndarray) -> bytes:
    """An array of bytes in IDX format."""
    header = bytes([0, 0, 8, array.ndim])
    return header + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def make_arrays(train: int = 24, test: int = 10, seed: int = 0) -> dict:
    """Random 28 x 28 images and labels 0 to 9 that all occur."""
    rng = np.random.default_rng(seed)
    return {
        "x": rng.integers(0, 256, (train, 28, 28), np.uint8),
        "y": (np.arange(train) % 10).astype(np.uint8),
        "x_test": rng.integers(0, 256, (test, 28, 28), np.uint8),
        "y_test": (np.arange(test) % 10).astype(np.uint8),
    }


def write_idx_folder(folder: Path, arrays: dict, *, zipped: bool = True) -> Path:
    """Write the arrays as the files of an IDX folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for key, array in arrays.items():
        content = idx_bytes(array)
        if zipped:
            (folder / f"{NAMES[key]}.gz").write_bytes(gzip.compress(content, mtime=0))
        else:
            (folder / NAMES[key]).write_bytes(content)
    return folder


def sums_of(folder: Path) -> dict[str, tuple[str, ...]]:
    """The SHA-256 sums that make this folder the published one."""
    return {
        key: (hashlib.sha256((folder / f"{name}.gz").read_bytes()).hexdigest(),)
        for key, name in NAMES.items()
    }
