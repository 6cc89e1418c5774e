"""Images that stay on disk: the same ones, of every source, read by rows."""

import errno
import os
import tracemalloc

import numpy as np
import pytest
from idx_files import make_arrays, write_idx_folder
from PIL import Image

from aae_jax.data import load_dataset, load_images
from aae_jax.data.array_file import ArrayFile
from aae_jax.data.stored import StoredImages
from aae_jax.errors import RunError, UserError

GIB = 2**30
RNG = np.random.default_rng(0)


def write_npy(folder):
    np.save(folder / "x.npy", RNG.integers(0, 256, (60, 6, 5, 3), np.uint8))
    return folder / "x.npy"


def write_floats(folder):
    np.save(folder / "x.npy", RNG.random((60, 6, 5), np.float32))
    return folder / "x.npy"


def write_npz(folder):
    np.savez(folder / "x.npz", **make_arrays(60, 50))
    return folder / "x.npz"


def write_idx(folder):
    return write_idx_folder(folder / "idx", make_arrays(60, 50), zipped=False)


def write_pictures(folder, *, colour=False):
    for index, pixels in enumerate(RNG.integers(0, 256, (60, 6, 5), np.uint8)):
        place = folder / "pictures" / f"class {index % 3}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{index}.png")
    if colour:
        some = RNG.integers(0, 256, (6, 5, 3), np.uint8)
        Image.fromarray(some).save(folder / "pictures" / "class 1" / "one.png")
    return folder / "pictures"


def write_coloured(folder):
    return write_pictures(folder, colour=True)


@pytest.fixture(
    params=[
        write_npy,
        write_floats,
        write_npz,
        write_idx,
        write_pictures,
        write_coloured,
    ]
)
def path(request, tmp_path):
    return request.param(tmp_path)


@pytest.mark.parametrize("image_size", [None, (4, 7)])
def test_images_on_disk_are_those_in_memory(path, image_size):
    """Fingerprint, labels, shapes, and any rows in any order."""
    dataset = load_dataset(path, image_size=image_size)
    said = []
    stored = load_dataset(
        path, image_size=image_size, memory_limit=1000 / GIB, say=said.append
    )
    assert "stay on disk" in said[-1]
    for ours, theirs in (
        (stored.x_train, dataset.x_train),
        (stored.x_test, dataset.x_test),
    ):
        assert isinstance(ours, StoredImages)
        assert isinstance(theirs, np.ndarray)
        assert (ours.shape, ours.nbytes) == (theirs.shape, theirs.nbytes)
        rows = np.array([7, 0, 7, 3])
        np.testing.assert_array_equal(ours[rows], theirs[rows])
        np.testing.assert_array_equal(ours.select(rows)[1:3], theirs[rows][1:3])
    assert stored.fingerprint() == dataset.fingerprint()
    np.testing.assert_array_equal(stored.y_train, dataset.y_train)
    np.testing.assert_array_equal(stored.y_test, dataset.y_test)


def test_all_images_of_a_path_are_on_disk_in_their_order(path):
    x, y = load_images(path)
    stored, labels = load_images(path, memory_limit=1000 / GIB)
    assert isinstance(stored, StoredImages)
    rows = np.arange(len(x))[::-1]
    np.testing.assert_array_equal(stored[rows], x[rows])
    np.testing.assert_array_equal(labels, y)


def test_images_that_just_fit_are_read_into_memory(tmp_path):
    for index in range(4):
        Image.new("RGB", (64, 64)).save(tmp_path / f"{index}.png")
    needed = 4 * 64 * 64 * 3
    for limit, kind in ((needed, np.ndarray), (needed - 1, StoredImages)):
        dataset = load_dataset(tmp_path, memory_limit=limit / GIB)
        assert isinstance(dataset.x_train, kind)


def test_images_are_scaled_some_at_a_time(tmp_path):
    """What a limit counts are scaled images, and these are many times as large."""
    np.save(tmp_path / "x.npy", np.zeros((200, 512, 512), np.uint8))
    options = {"image_size": (8, 8), "memory_limit": 1 / 1024}
    stored = load_dataset(tmp_path / "x.npy", **options).x_train
    tracemalloc.start()
    try:
        stored[:]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * 2**22 < 150 * 2**18  # all of them


def test_labels_are_not_taken_for_images(tmp_path):
    folder = write_idx(tmp_path)
    with pytest.raises(UserError, match=r"labels-idx.* would take .*--memory-limit"):
        load_dataset(folder, memory_limit=30 / GIB)


def test_test_images_of_another_size_are_refused_wherever_they_are(tmp_path):
    images = {"x": np.zeros((9, 4, 4)), "x_test": np.zeros((3, 4, 5))}
    np.savez(tmp_path / "x.npz", **images)
    for limit in (None, 100 / GIB):
        with pytest.raises(
            UserError, match=r"x_test of .* has the shape \[3, 4, 5, 1\]"
        ):
            load_images(tmp_path / "x.npz", memory_limit=limit)


def test_images_on_disk_are_never_read_all_at_once_by_mistake(tmp_path):
    stored = load_dataset(write_npy(tmp_path), memory_limit=1000 / GIB).x_train
    with pytest.raises(TypeError, match="read some"):
        np.asarray(stored)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((60, 6, 5), np.uint8) + np.uint8(1), "integers of 0 and 1 only"),
        (np.full((60, 6, 5), 1.5), "floats in"),
        (np.zeros((60, 6, 5, 2), np.uint8), "1, 3 or 4 channels"),
        (np.zeros((2, 3000, 2), np.uint8), "--image-size"),
        (np.zeros((60, 6, 5), complex), "complex"),
    ],
)
def test_what_are_no_images_is_refused_at_once(tmp_path, image, words):
    np.save(tmp_path / "x.npy", image)
    with pytest.raises(UserError, match=words):
        load_dataset(tmp_path / "x.npy", memory_limit=1000 / GIB)


def test_a_pixel_that_is_none_is_found_wherever_it_is(tmp_path):
    images = np.zeros((2000, 6, 5), np.float32)
    images[1999, 2, 3] = np.nan
    np.save(tmp_path / "x.npy", images)
    dataset = load_dataset(tmp_path / "x.npy", memory_limit=1000 / GIB)
    with pytest.raises(
        UserError, match=r"nan at index \[1999, 2, 3\]; pixels are floats in"
    ):
        dataset.fingerprint()


@pytest.mark.parametrize("size", [(6, 6), (5, 6)])
def test_pictures_of_another_size_are_named_when_they_are_read(tmp_path, size):
    folder = write_pictures(tmp_path)
    odd = folder / "class 2" / "odd.png"
    Image.new("L", size).save(odd)
    dataset = load_dataset(folder, memory_limit=1000 / GIB)
    if size == (5, 6):  # width and height: that is the size of all others
        assert len(dataset.fingerprint()) == 64
    else:
        with pytest.raises(UserError, match=r"odd.png has 6 x 6.*--image-size 6 5"):
            dataset.fingerprint()


def test_an_array_that_its_file_does_not_hold_is_refused(tmp_path):
    """A member of an archive whose header tells another place."""
    path = write_npz(tmp_path)
    content = bytearray(path.read_bytes())
    content[26:28] = (60_000).to_bytes(2, "little")  # the length of the first name
    path.write_bytes(content)
    with pytest.raises(UserError, match="save it again"):
        load_dataset(path, memory_limit=1000 / GIB)


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_fortran_order_is_refused_with_what_to_do(tmp_path, name):
    images = np.asfortranarray(RNG.integers(0, 256, (60, 6, 5), np.uint8))
    if name == "x.npy":
        np.save(tmp_path / name, images)
    else:
        np.savez(tmp_path / name, x=images)
    assert load_dataset(tmp_path / name).image_shape == (6, 5, 1)
    with pytest.raises(UserError, match=r"Fortran order.*; .*np\.ascontiguousarray"):
        load_dataset(tmp_path / name, memory_limit=1000 / GIB)


N_ROWS, FIRST_BYTE = 5000, 7


@pytest.fixture
def array_and_file(tmp_path):
    """The same rows in memory and in a file, amid other bytes."""
    array = RNG.integers(0, 2**16, (N_ROWS, 31, 17), np.uint16)
    path = tmp_path / "array"
    path.write_bytes(bytes(FIRST_BYTE) + array.tobytes() + bytes(3))
    return array, ArrayFile(path, array.dtype, shape=array.shape, first_byte=FIRST_BYTE)


@pytest.mark.parametrize(
    "rows",
    [
        np.arange(N_ROWS),
        np.arange(N_ROWS)[::-1],
        np.arange(0, N_ROWS, 3),
        np.arange(0, N_ROWS, 100),
        np.sort(RNG.integers(0, N_ROWS, 3000)),
        RNG.permutation(N_ROWS).astype(np.int32),
        np.array([4, 4, 4]),
        np.array([4, 6, 5, 7]),
        np.array([0, N_ROWS - 1]),
        np.array([], np.int64),
    ],
    ids=[
        *("all", "backwards", "near", "far", "with gaps and again", "shuffled"),
        *("one row again", "a pair swapped", "ends", "none"),
    ],
)
def test_rows_of_a_file_are_those_in_memory(array_and_file, rows, monkeypatch):
    """However they lie to each other, and in however small parts they come."""
    array, file = array_and_file
    np.testing.assert_array_equal(file[rows], array[rows])
    preadv = os.preadv

    def part(descriptor, buffers, offset):
        return preadv(descriptor, (buffers[0][:999],), offset)

    monkeypatch.setattr(os, "preadv", part)
    np.testing.assert_array_equal(file[rows[:200]], array[rows[:200]])


def test_a_file_is_closed_with_its_array(tmp_path):
    (tmp_path / "x").write_bytes(bytes(10))
    file = ArrayFile(tmp_path / "x", np.dtype(np.uint8), shape=(10,), first_byte=0)
    opened = (file._near, file._scattered)
    del file
    for descriptor in opened:
        with pytest.raises(OSError, match="descriptor"):
            os.fstat(descriptor)


@pytest.mark.parametrize("write", [write_npy, write_floats, write_npz, write_idx])
def test_a_file_that_was_cut_short_is_said_in_a_sentence(tmp_path, write):
    """A memory map would end this process by SIGBUS."""
    path = write(tmp_path)
    images = load_dataset(path, memory_limit=1000 / GIB).x_train
    some = images[np.arange(3)]
    file = path / "train-images-idx-ubyte" if path.is_dir() else path
    content = file.read_bytes()
    for cut in (content[:100], content[:-1], content + b"more"):
        file.write_bytes(cut)
        sentence = (
            rf"{file} had {len(content):,} bytes when it was opened and has "
            rf"{len(cut):,} now; put it back as it was, then start again"
        )
        with pytest.raises(RunError, match=sentence):
            images[np.arange(3)]
    file.write_bytes(content)
    np.testing.assert_array_equal(images[np.arange(3)], some)


@pytest.mark.parametrize(
    ("rows", "call"),
    [(np.arange(N_ROWS), "preadv"), (np.arange(0, N_ROWS, 100), "pread")],
)
def test_a_file_that_fails_while_it_is_read(array_and_file, monkeypatch, rows, call):
    """Its disk does not answer, or it gets shorter after its size was looked at."""
    _, file = array_and_file
    read = getattr(os, call)

    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    def cut_short(*arguments):
        os.truncate(file._path, 1000)
        return read(*arguments)

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(RunError, match=r"be read any more \(Input/output error\); see"):
        file[rows]
    monkeypatch.setattr(os, call, cut_short)
    with pytest.raises(RunError, match="and has 1,000 now; put it back"):
        file[rows]
