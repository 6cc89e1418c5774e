"""Matrices as text: what a reader of the page gets back."""

import base64

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from aae_jax.packing import packed_floats, packed_matrix


def numbers_in(packed):
    """The whole numbers, as the page reads them, byte by byte."""
    stored = base64.b64decode(packed["data"])
    n = packed["shape"][0] * packed["shape"][1]
    if packed["bits"] == 16:
        return np.array([stored[2 * i] | stored[2 * i + 1] << 8 for i in range(n)])
    triples = [stored[3 * i : 3 * i + 3] for i in range(-(-n // 2))]
    pairs = [(a | (b & 15) << 8, b >> 4 | c << 4) for a, b, c in triples]
    return np.array(pairs).reshape(-1)[:n]


matrices = arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    elements=st.floats(-1e3, 1e3, width=32),
)


@pytest.mark.parametrize("bits", [12, 16])
@settings(deadline=None, max_examples=50)
@given(matrix=matrices)
def test_a_number_is_off_by_half_a_unit_of_its_column_at_most(bits, matrix):
    packed, read = packed_matrix(matrix, bits=bits)
    units = np.frombuffer(base64.b64decode(packed["units"]), "<f4")
    whole = numbers_in(packed).reshape(matrix.shape) - 2 ** (bits - 1)
    np.testing.assert_array_equal((whole * units).astype(np.float32), read)
    largest = np.abs(matrix).max(axis=0)
    allowed = 0.51 * largest / (2 ** (bits - 1) - 1) + 1e-30
    assert (np.abs(read - matrix) <= allowed).all()


def test_floats_are_little_endian():
    text = packed_floats(np.array([1.0, -2.0], ">f8"))
    assert base64.b64decode(text) == b"\x00\x00\x80\x3f\x00\x00\x00\xc0"
