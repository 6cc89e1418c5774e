"""Data files of every kind, malformed."""

import gzip
import io
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from fuzzing import GIB, LARGE, NUMBERS, Reader, changed, changes, hear, mutations
from hostile import ESCAPES, png_bytes
from hypothesis import strategies as st
from PIL import Image

from aae_jax.data import load_codes, load_dataset
from aae_jax.data.stored import StoredImages

# numpy's files.

_X = np.arange(96, dtype=np.uint8).reshape(6, 4, 4)
_DESCRIPTIONS = (
    *("|u1", "|i1", "|b1", "<i8", ">u2", "<f4", ">f8", "<f2", "<f16", "<c16", "|O"),
    *("<U4", "|S3", "<M8[s]", "|V8", "u1", "", "x", "|V0", "<U0", "|S2147483647"),
    *("|V99999999999", "float64", "<m8", "=f4", "|u1,|u1", ("<f4", (2, 3))),
    *(("|u1", (10**9,)), [("a", "<f4")], [("a", "|O")], [("a", "<f4", (2**31,))]),
    *([], None, 7, {"names": ["a"], "formats": ["<f4"]}, ["<f4"] * 3),
)
_shapes = st.one_of(
    st.sampled_from(
        [(6, 4, 4), (6, 4, 4, 1), (2, 4, 4, 3), (96,), (24, 2, 2), (), (6, 16), 6, None]
    ),
    st.lists(st.sampled_from([*LARGE, True, 1.5, "6", None]), max_size=5).map(tuple),
)


def _npy(
    version: tuple[int, int], header: str, length: int | None, data: bytes
) -> bytes:
    text = header.encode("latin1", "replace")
    length = len(text) if length is None else length
    packed = (
        struct.pack("<H", length % 2**16)
        if version == (1, 0)
        else struct.pack("<I", length % 2**32)
    )
    return b"\x93NUMPY" + bytes(version) + packed + text + data


_headers = st.one_of(
    st.builds(
        "{{'descr': {!r}, 'fortran_order': {!r}, 'shape': {!r}, }}\n".format,
        st.sampled_from(_DESCRIPTIONS),
        st.sampled_from([True, False, 1, None, "x"]),
        _shapes,
    ),
    st.sampled_from(
        [
            "",
            "(" * 5000,
            "{" * 9000,
            "[" * 300 + "]" * 300,
            "-" * 9000 + "1",
            "{'shape': (1L, 2L), 'descr': '|u1', 'fortran_order': False}\n",
            "{'descr': '|u1', 'fortran_order': False, 'shape': (9" + "9" * 5000 + ",)}",
            "__import__('os').system('true')",
        ]
    ),
    st.text(max_size=40),
)
_data = st.one_of(st.sampled_from([_X.tobytes(), b""]), st.binary(max_size=400))
_versions = st.sampled_from([(1, 0), (2, 0), (3, 0), (9, 9)])
_lengths = st.one_of(st.none(), st.none(), st.sampled_from([*NUMBERS, 9999, 10_001]))


@cache
def _sound_npys() -> tuple[bytes, ...]:
    arrays = (_X, _X / 255, _X > 40, np.asfortranarray(_X), np.arange(6), _X[:2, :2])
    found = []
    for array in arrays:
        stream = io.BytesIO()
        np.save(stream, array)
        found.append(stream.getvalue())
    return tuple(found)


_npys = st.one_of(
    st.builds(_npy, _versions, _headers, _lengths, _data),
    mutations(_sound_npys()),
)


def _npz(members: dict[str, bytes], packing: int) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def _with_field(archive: bytes, record: bytes, at: int, value: int) -> bytes:
    """An archive with another number in one of the records of its format."""
    place = archive.rfind(record)
    if place < 0:
        return archive
    packed = struct.pack("<I", value % 2**32)
    return archive[: place + at] + packed + archive[place + at + 4 :]


_members = st.dictionaries(
    st.sampled_from(
        ["x.npy", "y.npy", "x_test.npy", "y_test.npy", "z.npy", "x", ESCAPES[:6]]
    ),
    st.one_of(st.sampled_from(_sound_npys()), _npys),
    max_size=4,
)
_npzs = st.builds(
    changed,
    st.builds(
        _with_field,
        st.builds(
            _npz,
            _members,
            st.sampled_from(
                [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2]
            ),
        ),
        st.sampled_from([b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"none"]),
        st.integers(4, 44),
        st.sampled_from(LARGE),
    ),
    changes,
)


def _sound_codes() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, z=np.ones((3, 2), np.float32), y=np.arange(3))
    return stream.getvalue()


_limits = st.sampled_from([2**20, 2**20, 64])  # of memory: some stays on disk


def _read_data(path: Path, limit: int, size: tuple[int, int] | None = None) -> None:
    dataset = load_dataset(path, memory_limit=limit / GIB, image_size=size, say=hear)
    for images in (dataset.x_train, dataset.x_test):
        if isinstance(images, StoredImages):
            images = images[np.arange(len(images))]
        assert images.dtype == np.uint8
        assert math.prod(images.shape) < 2**20


def _file(name: str) -> Callable[[Path, tuple[bytes, int]], None]:
    def read(folder: Path, drawn: tuple[bytes, int]) -> None:
        (folder / name).write_bytes(drawn[0])
        _read_data(folder / name, drawn[1])

    return read


def _read_codes(folder: Path, content: bytes) -> None:
    (folder / "codes.npz").write_bytes(content)
    codes = load_codes(folder / "codes.npz", memory_limit=2**20 / GIB)
    assert np.isfinite(codes["z"]).all()


# IDX.


def _idx(magic: bytes, sides: Sequence[int], data: bytes) -> bytes:
    return magic + b"".join(struct.pack(">I", side % 2**32) for side in sides) + data


_idxs = st.one_of(
    st.builds(
        _idx,
        st.sampled_from(
            [b"\0\0\x08\x03", b"\0\0\x08\x01", b"\0\0\x0d\x03", b"\0\0\x08\xff"]
        ),
        st.lists(st.sampled_from(NUMBERS), max_size=5),
        _data,
    ),
    mutations([_idx(b"\0\0\x08\x03", (6, 4, 4), _X.tobytes())]),
)
_idx_files = st.dictionaries(
    st.sampled_from(["train-images", "train-labels", "t10k-images.gz", "t10k-labels"]),
    st.one_of(
        _idxs,
        st.builds(
            changed, _idxs.map(lambda content: gzip.compress(content, 1)), changes
        ),
    ),
    min_size=1,
)


def _read_idx(folder: Path, drawn: tuple[dict[str, bytes], int]) -> None:
    for name, content in drawn[0].items():
        (folder / name).write_bytes(content)
    _read_data(folder, drawn[1])


# Pictures.


@cache
def _sound_pictures() -> tuple[bytes, ...]:
    rng = np.random.default_rng(0)
    found = [png_bytes(8, 8)]
    kinds = {
        "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
        "JPEG": ("L", "RGB", "CMYK"),
        "BMP": ("1", "L", "P", "RGB"),
        "GIF": ("L",),
        "TIFF": ("RGB",),
        "WEBP": ("RGB",),
        "ICO": ("RGBA",),
        "PPM": ("RGB",),
    }
    for kind, modes in kinds.items():
        for mode in modes:
            image = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
            image = image.convert("I").convert("I;16") if mode == "I;16" else image
            stream = io.BytesIO()
            exif = Image.Exif()
            exif[0x0112] = 6
            options = {"exif": exif} if kind == "JPEG" else {}
            image.convert(mode).save(stream, kind, **options)
            found.append(stream.getvalue())
    return tuple(found)


def _png_with(at: int, value: int, content: bytes) -> bytes:
    """A PNG with another number in its header, whose checksum fits."""
    result = bytearray(content)
    result[16 + at : 20 + at] = struct.pack(">I", value % 2**32)
    result[29:33] = struct.pack(">I", zlib.crc32(bytes(result[12:29])))
    return bytes(result)


def _jpeg_or_bmp_with(at: int, value: int, content: bytes) -> bytes:
    """A JPEG or BMP with another number in its header."""
    first = content.find(b"\xff\xc0") + 3 if content[:2] == b"\xff\xd8" else 2
    place = first + at
    return content[:place] + struct.pack("<I", value % 2**32) + content[place + 4 :]


_pictures = st.one_of(
    mutations(_sound_pictures()),
    st.builds(
        _png_with,
        st.integers(0, 9),
        st.sampled_from(LARGE),
        st.sampled_from([c for c in _sound_pictures() if c[:4] == b"\x89PNG"]),
    ),
    st.builds(
        _jpeg_or_bmp_with,
        st.integers(0, 48),
        st.sampled_from(LARGE),
        st.sampled_from(
            [c for c in _sound_pictures() if c[:2] in (b"\xff\xd8", b"BM")]
        ),
    ),
)
_picture_folders = st.tuples(
    st.dictionaries(
        st.sampled_from(
            ["a.png", "b.png", "c.jpg", "d.bmp", "k/a.png", "k/b.JPG", "l/a.jpeg"]
        ),
        st.one_of(st.sampled_from(_sound_pictures()), _pictures),
        min_size=1,
    ),
    st.sampled_from([2**20, 2**20, 300]),
    st.sampled_from([None, (8, 8), (3, 5)]),
)


def _read_pictures(
    folder: Path, drawn: tuple[dict[str, bytes], int, tuple[int, int] | None]
) -> None:
    files, limit, size = drawn
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    _read_data(folder, limit, size)


FILES = (
    Reader(".npy", st.tuples(_npys, _limits), _file("a.npy")),
    Reader(".npz", st.tuples(_npzs, _limits), _file("a.npz")),
    Reader("codes", st.one_of(_npzs, mutations([_sound_codes()])), _read_codes),
    Reader("IDX", st.tuples(_idx_files, _limits), _read_idx),
    Reader("pictures", _picture_folders, _read_pictures),
)
