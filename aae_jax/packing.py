"""Arrays as text inside a page: whole numbers of few bits, in base64."""

import base64
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray


def packed_matrix(
    matrix: Float[np.ndarray, "rows columns"], *, bits: int
) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """A matrix in whole numbers, each column with a unit of its own.

    A column's unit is its largest magnitude / (2^(bits - 1) - 1), so a number is off by
    half of that at most.

    Args:
      matrix: `[rows, columns]`.
      bits: of each number, 16 or 12; two of 12 share three bytes.

    Returns:
      The matrix for a page (`bits`, `shape`, `units` and `data` in base64), and as the
      page will read it, `[rows, columns]`.
    """
    most = 2 ** (bits - 1) - 1
    units = np.abs(matrix).max(axis=0).astype(np.float32) / np.float32(most)
    units[units == 0] = 1  # a column of zeros
    whole = np.rint(matrix / units).astype(np.int32)
    stored = (whole + (most + 1)).astype(np.uint16).reshape(-1)
    packed = {
        "bits": bits,
        "shape": list(matrix.shape),
        "units": packed_floats(units),
        "data": _base64(stored.astype("<u2") if bits == 16 else _twelve_bits(stored)),
    }
    return packed, whole.astype(np.float32) * units


def packed_floats(array: np.ndarray) -> str:
    """The numbers of an array in float32, little-endian."""
    return _base64(np.asarray(array, "<f4"))


def packed_bytes(array: NDArray[np.uint8]) -> str:
    """The bytes of an array."""
    return _base64(array)


def _twelve_bits(stored: NDArray[np.uint16]) -> NDArray[np.uint8]:
    first, second = (
        np.append(stored, np.zeros(len(stored) % 2, np.uint16)).reshape(-1, 2).T
    )
    mixed = (first >> 8) | ((second & 15) << 4)
    return np.stack([first & 255, mixed, second >> 4], axis=1).astype(np.uint8)


def _base64(array: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
