"""Data files that are missing, damaged, hostile or do not fit: one sentence each."""

import contextlib
import gzip
import io
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from idx_files import NAMES, idx_bytes, make_arrays, write_idx_folder
from PIL import Image

from aae_jax.data import load_dataset
from aae_jax.errors import UserError

MIB = 2**20
GIB = 2**30
X = np.full((6, 4, 4), 9, np.uint8)


def assert_refused(path, expected: str, **options) -> None:
    """Loading must raise one sentence with the words, and take little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(UserError) as caught:
            load_dataset(path, say=lambda line: None, **options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert expected in message
    assert "\n" not in message
    assert "; " in message, "what to do is missing"
    assert peak < 8 * MIB


def npy_bytes(array: np.ndarray, **changes) -> bytes:
    """An array in npy format, with another header where `changes` say so."""
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array)
    if not changes:
        return stream.getvalue()
    stream.seek(0)
    np.lib.format.read_magic(stream)
    np.lib.format.read_array_header_1_0(stream)
    data = stream.read()
    header = np.lib.format.header_data_from_array_1_0(array) | changes
    changed = io.BytesIO()
    np.lib.format.write_array_header_1_0(changed, header)
    return changed.getvalue() + data


@pytest.fixture
def npz(tmp_path):
    """Saves its arguments and gives the path."""

    def save(**arrays):
        np.savez(tmp_path / "a.npz", **arrays)
        return tmp_path / "a.npz"

    return save


@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_empty_file(tmp_path, name):
    (tmp_path / name).touch()
    assert_refused(tmp_path / name, "is empty")


@pytest.mark.parametrize("name", ["a.npz", "a.npy", "a.csv"])
def test_text_file(tmp_path, name):
    (tmp_path / name).write_text("1,2,3\n" * 20)
    assert_refused(tmp_path / name, str(tmp_path / name))


@pytest.mark.parametrize("cut", [1, 40, 100, 200])
@pytest.mark.parametrize("name", ["a.npz", "a.npy"])
def test_truncated_numpy_file(tmp_path, name, cut):
    (np.savez if name == "a.npz" else np.save)(tmp_path / "whole", X)
    whole = next(tmp_path.glob("whole*")).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) - cut])
    assert_refused(tmp_path / name, str(tmp_path / name))


def test_pickled_arrays_are_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    trap = npy_bytes(np.array([Trap()], dtype=object))
    (tmp_path / "a.npy").write_bytes(trap)
    assert_refused(tmp_path / "a.npy", "pickled")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", trap)
    assert_refused(tmp_path / "a.npz", "pickled")
    assert not (tmp_path / "sprung").exists()


def test_header_that_claims_ten_terabytes(tmp_path):
    (tmp_path / "a.npy").write_bytes(npy_bytes(X, shape=(10**10, 40, 25)))
    assert_refused(tmp_path / "a.npy", "promises 10,000,000,000,000")
    claim = b"\0\0\x08\x03" + struct.pack(">III", 10**9, 100, 100)
    for name, content in (("", claim), (".gz", gzip.compress(claim))):
        path = tmp_path / f"train-images{name}"
        path.write_bytes(content)
        assert_refused(tmp_path, "10,000,000,000,000 bytes")
        path.unlink()


@pytest.mark.parametrize("shape", [(-6, 4, 4), (6,) + (1,) * 70, (2**70, 0, 4)])
def test_absurd_shapes(tmp_path, shape):
    (tmp_path / "a.npy").write_bytes(npy_bytes(X, shape=shape))
    assert_refused(tmp_path / "a.npy", "a.npy")


@pytest.mark.parametrize("limit", [None, 100 / GIB])
def test_a_type_that_is_itself_an_array(tmp_path, limit):
    content = npy_bytes(X, descr=("|u1", (2,)), shape=(len(X) // 2, *X.shape[1:]))
    (tmp_path / "a.npy").write_bytes(content)
    assert_refused(tmp_path / "a.npy", "not a numpy array file", memory_limit=limit)


def test_npz_bomb_stays_packed(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w") as member,
    ):
        member.write(npy_bytes(X[:0], shape=(64 * 1024, 32, 32)))
        for _ in range(64):
            member.write(bytes(MIB))
    assert (tmp_path / "a.npz").stat().st_size < MIB
    assert_refused(tmp_path / "a.npz", "limit is 16.0 MiB", memory_limit=16 * MIB / GIB)


def test_npz_member_that_unpacks_beyond_its_declared_size(tmp_path):
    path = tmp_path / "a.npz"
    content = npy_bytes(X)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", content + bytes(32 * MIB))
    packed = path.read_bytes()
    real = struct.pack("<I", len(content) + 32 * MIB)
    path.write_bytes(packed.replace(real, struct.pack("<I", len(content))))
    assert_refused(path, "not a sound .npz file")


def test_gzip_bomb_stays_packed(tmp_path):
    bomb = gzip.compress(idx_bytes(X) + bytes(64 * MIB))
    (tmp_path / "train-images.gz").write_bytes(bomb)
    assert_refused(tmp_path, "goes on after the 96 bytes")


def test_what_is_packed_must_fit_in_memory_all_together(tmp_path):
    image, path = np.full((20, 32, 32), 5, np.uint8), tmp_path / "a.npz"
    np.savez_compressed(path, x=image, x_test=image[:2])
    assert len(load_dataset(path, memory_limit=22 * 1024 / GIB).x_train) == 20
    for limit in (20, 21):
        assert_refused(path, "raise --memory-limit", memory_limit=limit * 1024 / GIB)


def test_unusual_packing_and_encryption(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("x.npy", npy_bytes(X))
    assert_refused(tmp_path / "a.npz", "unusual method")
    np.savez(tmp_path / "b.npz", x=X)
    content = bytearray((tmp_path / "b.npz").read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1  # flag in the central directory
    (tmp_path / "b.npz").write_bytes(content)
    assert_refused(tmp_path / "b.npz", "encrypted")


def test_npz_without_x(npz):
    assert_refused(npz(images=X, y=np.arange(6)), "'images', 'y' but no array 'x'")


def test_y_test_without_x_test(npz):
    assert_refused(npz(x=X, y_test=np.arange(6)), "y_test but no x_test")


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (np.nan, np.float32, "is nan at index [3, 1, 2]"),
        (np.inf, np.float64, "is inf at index [3, 1, 2]"),
        (1.5, np.float16, "is 1.5 at index [3, 1, 2]"),
        (-1, np.int16, "is -1 at index [3, 1, 2]"),
        (256, np.uint16, "is 256 at index [3, 1, 2]"),
    ],
)
def test_bad_pixels_are_named(npz, value, dtype, expected):
    x = np.zeros((6, 4, 4), dtype)
    x[3, 1, 2] = x[4, 0, 0] = value
    assert_refused(npz(x=x), expected)
    assert_refused(npz(x=X, x_test=x), "x_test of")


def test_bad_pixel_beyond_the_first_chunk(npz):
    x = np.zeros((3000, 1, 1), np.float32)
    x[2500] = 7
    assert_refused(npz(x=x), "is 7.0 at index [2500, 0, 0")


def test_integers_of_zero_and_one(npz):
    assert_refused(npz(x=X % 2), "0 and 1 only")


@pytest.mark.parametrize(
    "x",
    [
        X.astype(complex),
        X.astype(str),
        X.astype("datetime64[s]"),
        X[0],
        X.reshape(6, 16),
        X[..., None].repeat(2, -1),
        X[:, :0],
        np.zeros((), np.uint8),
        X[:1],
        X[:0],
    ],
)
def test_arrays_that_are_no_images(npz, x):
    assert_refused(npz(x=x), "a.npz")


def test_test_images_of_another_shape(npz):
    assert_refused(npz(x=X, x_test=X[:, :2]), "training images' shape [4, 4, 1]")
    assert_refused(npz(x=X, x_test=X[:0]), "at least one image")


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (np.arange(5), "there are 6 images"),
        (np.eye(6, dtype=int), "there are 6 images"),
        (np.arange(6.0), "the type float64"),
        (np.full(6, np.nan), "the type float64"),
        (np.array(list("abcdef")), "the type <U1"),
        (np.array([0, 1, -2, 3, 4, 5]), "the label -2 at index 2"),
        (np.array([0, 1, 2, 3, 4, 2**40]), "the label 1099511627776 at index 5"),
    ],
)
def test_labels_that_do_not_fit(npz, y, expected):
    assert_refused(npz(x=X, y=y), expected)


def test_large_sides_need_image_size(npz, tmp_path):
    path = npz(x=np.full((2, 1, 1025), 3, np.uint8))
    assert_refused(path, "--image-size")
    assert load_dataset(path, image_size=(1, 8)).image_shape == (1, 8, 1)
    (tmp_path / "f").mkdir()
    for name in "ab":
        Image.new("L", (1025, 2)).save(tmp_path / "f" / f"{name}.png")
    assert_refused(tmp_path / "f", "--image-size")
    assert_refused(path, "out of range", image_size=(0, 8))
    assert_refused(path, "out of range", image_size=(8, 1025))


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("cut", [1, 300, 18_820])
def test_truncated_idx(tmp_path, zipped, cut):
    write_idx_folder(tmp_path, make_arrays(), zipped=zipped)
    path = tmp_path / (NAMES["x"] + ".gz" * zipped)
    path.write_bytes(path.read_bytes()[: -min(cut, path.stat().st_size - 5)])
    assert_refused(tmp_path, str(path))


@pytest.mark.parametrize(
    "content",
    [
        b"hello, this is text",
        b"\0\0\x08",
        b"\0\0\x0d\x03" + bytes(12),  # of floats
        b"\0\0\x08\x03\0\0",
        b"\x1f\x8b" + bytes(30),
        idx_bytes(X) + b"more",
    ],
)
def test_idx_that_is_none(tmp_path, content):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    assert_refused(tmp_path, "train-images-idx3-ubyte")


def test_flipped_bit_in_gzip_is_noticed(tmp_path):
    write_idx_folder(tmp_path, make_arrays())
    path = tmp_path / f"{NAMES['x']}.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    assert_refused(tmp_path, str(path))


def test_idx_labels_that_do_not_fit(tmp_path):
    arrays = make_arrays()
    arrays["y"] = arrays["y"][:-1]
    assert_refused(write_idx_folder(tmp_path, arrays), "there are 24 images")


def test_idx_folder_without_training_images(tmp_path):
    arrays = make_arrays()
    del arrays["x"]
    assert_refused(write_idx_folder(tmp_path, arrays), "train-images-idx3-ubyte")


def test_folders_without_images(tmp_path):
    assert_refused(tmp_path, "no images among its 0 entries")
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.tiff").write_text("text")
    assert_refused(tmp_path, "no images among its 2 entries")


def test_images_beside_class_folders(tmp_path):
    (tmp_path / "cat").mkdir()
    for path in (tmp_path / "a.png", tmp_path / "cat" / "b.png"):
        Image.new("L", (4, 4)).save(path)
    assert_refused(tmp_path, "beside the subfolder cat")


def test_one_image_is_too_few(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    assert_refused(tmp_path, "at least 2")


def test_mixed_sizes_name_two_files(tmp_path):
    for name, size in (("a", (4, 5)), ("b", (4, 5)), ("c", (7, 5))):
        Image.new("L", size).save(tmp_path / f"{name}.png")
    first, third = tmp_path / "a.png", tmp_path / "c.png"
    assert_refused(tmp_path, f"{first} has 4 x 5 pixels (width x height) and {third}")
    assert_refused(tmp_path, "--image-size")


def png_with_claim(width: int, height: int) -> bytes:
    """A small PNG whose header claims another size, with the sum that fits."""
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "PNG")
    content = bytearray(stream.getvalue())
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zipfile.crc32(bytes(content[12:29])))
    return bytes(content)


def test_pictures_that_are_not_sound(tmp_path):
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    bad = tmp_path / "b.png"
    whole = (tmp_path / "a.png").read_bytes()
    deep = io.BytesIO()
    Image.fromarray(X[0].astype(np.uint16) * 257).save(deep, "PNG")
    gif = io.BytesIO()
    Image.new("L", (4, 4)).save(gif, "GIF")
    for content, expected in (
        (b"plain text", "not a sound image"),
        (whole[:-25], "not a sound image"),
        (whole[:20], "not a sound image"),
        (gif.getvalue(), "not a sound image"),
        (b"", "is empty"),
        (deep.getvalue(), "I;16"),
        (png_with_claim(2000, 2000), "claims 2000 x 2000"),
        (png_with_claim(10_000, 10_000), "claims 10000 x 10000"),
        (png_with_claim(50_000, 50_000), "not a sound image"),
    ):
        bad.write_bytes(content)
        assert_refused(tmp_path, f"{bad}")
        assert_refused(tmp_path, expected)


def test_large_photographs_are_refused_in_one_sentence(tmp_path):
    for name in "ab":
        Image.new("1", (10_001, 10_000)).save(tmp_path / f"{name}.bmp")
    assert_refused(tmp_path, "--image-size")


def test_pipes_and_devices_are_never_opened(tmp_path):
    os.mkfifo(tmp_path / "a.npz")
    assert_refused(tmp_path / "a.npz", "not a regular file")
    os.mkfifo(tmp_path / "b.png")
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "train-images.gz")
    assert_refused(tmp_path, "no images")
    assert_refused("/dev/zero", "give a folder")


def test_folder_with_a_dangling_link_and_a_looping_one(tmp_path):
    (tmp_path / "a.npy").symlink_to(tmp_path / "b.npy")
    (tmp_path / "b.npy").symlink_to(tmp_path / "a.npy")
    assert_refused(tmp_path / "a.npy", "does not exist")
    assert_refused(tmp_path, "no images")


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
@pytest.mark.filterwarnings("ignore:Reading `.npy` or `.npz` file required")
def test_any_change_of_a_file_is_read_or_refused(tmp_path, data):
    """Never anything but images or a UserError, whatever bytes are changed."""
    kind = data.draw(st.sampled_from(["a.npy", "a.npz", "i/train-images", "p/b.png"]))
    path = tmp_path / kind
    path.parent.mkdir(exist_ok=True)
    if kind == "a.npy":
        np.save(path, X)
    elif kind == "a.npz":
        np.savez_compressed(path, x=X, y=np.arange(6))
    elif kind == "p/b.png":
        Image.new("L", (4, 4)).save(path.with_name("a.png"))
        Image.new("L", (4, 4)).save(path)
    else:
        path.write_bytes(idx_bytes(X))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    target = path if kind.startswith("a.") else path.parent
    refused = contextlib.suppress(UserError)  # any other error fails the test
    with refused:
        dataset = load_dataset(target, memory_limit=MIB / GIB)
        assert dataset.x_train.dtype == np.uint8
        assert len(dataset.x_train) + len(dataset.x_test) == len(
            {"p/b.png": range(2)}.get(kind, X)
        )
