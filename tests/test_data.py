"""Dataset, names, and the sources that are plain files, where all is well."""

import doctest
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from idx_files import make_arrays, write_idx_folder
from PIL import Image

from aae_jax.data import Dataset, check_dataset_name, load_dataset, resolve, sources
from aae_jax.data.arrays import split_indices
from aae_jax.data.decoding import read_image
from aae_jax.errors import UserError

RNG = np.random.default_rng(1)
GREY = RNG.integers(0, 256, (12, 6, 5), np.uint8)
COLOUR = RNG.integers(0, 256, (12, 6, 5, 3), np.uint8)


def all_images(dataset: Dataset) -> list[bytes]:
    both = np.concatenate([dataset.x_train, dataset.x_test])
    return sorted(image.tobytes() for image in both)


@pytest.fixture(scope="module")
def sample() -> Dataset:
    return load_dataset("sample")


def test_sample_has_the_promised_images_of_each_digit(sample):
    assert sample.image_shape == (28, 28, 1)
    assert sample.x_train.dtype == np.uint8
    assert sample.y_train.dtype == np.int32
    np.testing.assert_array_equal(np.bincount(sample.y_train), [1000] * 10)
    np.testing.assert_array_equal(np.bincount(sample.y_test), [200] * 10)
    assert sample.class_names == tuple("0123456789")


def test_sample_looks_like_digits(sample):
    # Strokes in the middle, an empty rim; a one has less ink than a zero.
    assert sample.x_train[:, 10:18, 10:18].mean() > 80
    assert sample.x_train[:, 0].mean() < 1
    ink = [sample.x_train[sample.y_train == digit].mean() for digit in (0, 1)]
    assert ink[0] > 2 * ink[1]


def test_fingerprint_tells_every_change(sample):
    small = replace(sample, x_train=sample.x_train[:20], y_train=sample.y_train[:20])
    flipped = small.x_train.copy()
    flipped[3, 4, 5, 0] ^= 1
    wide = np.concatenate([small.x_train, small.x_test]).reshape(-1, 14, 56, 1)
    changed = [
        replace(small, x_train=flipped),
        replace(small, y_train=None),
        replace(small, y_train=small.y_train[::-1]),
        replace(small, x_train=wide[:20], x_test=wide[20:]),
        Dataset("swapped", small.x_test, small.y_test, small.x_train, small.y_train),
    ]
    prints = {small.fingerprint(), *(other.fingerprint() for other in changed)}
    assert len(prints) == 1 + len(changed)
    assert replace(small, name="moved").fingerprint() == small.fingerprint()
    strided = replace(small, x_train=np.asfortranarray(small.x_train))
    assert strided.fingerprint() == small.fingerprint()


def test_arrays_of_other_types_are_converted_and_never_taken_as_they_are():
    x = np.linspace(0, 1, 12 * 4 * 4).reshape(12, 4, 4)
    dataset = Dataset.from_arrays(x, list(range(12)), name="ramp")
    assert (dataset.name, dataset.image_shape) == ("ramp", (4, 4, 1))
    assert (len(dataset.x_train), len(dataset.x_test)) == (10, 2)
    whole = np.concatenate([dataset.x_train, dataset.x_test])
    order = np.concatenate([dataset.y_train, dataset.y_test])
    assert (whole == np.rint(255 * x[order])[..., None]).all()

    with pytest.raises(UserError, match=r"x_train is float64 .*Dataset\.from_arrays"):
        replace(dataset, x_train=x[..., None])
    with pytest.raises(UserError, match=r"test images \(3, 4, 1\); give both"):
        replace(dataset, x_test=dataset.x_test[:, :3])
    with pytest.raises(UserError, match="x_test is list, not uint8"):
        replace(dataset, x_test=[[[[0]]]])
    with pytest.raises(UserError, match=r"x_train is uint8 of shape .*1 or 3"):
        replace(dataset, x_train=np.repeat(dataset.x_train, 7, axis=-1))
    scaled = Dataset.from_arrays(x, image_size=(2, 3))
    assert scaled.image_shape == (2, 3, 1)
    with pytest.raises(UserError, match=r"y_train is int64 .*Dataset\.from_arrays"):
        replace(dataset, y_train=np.arange(10))
    with pytest.raises(UserError, match=r"y_test is int32 of shape \(1,\)"):
        replace(dataset, y_test=dataset.y_test[:1])


@pytest.mark.parametrize("count", [2, 5, 6, 601])
def test_split_is_fixed_and_complete(count):
    train, test = split_indices(count)
    assert len(test) == max(1, count // 6)
    np.testing.assert_array_equal(np.sort([*train, *test]), np.arange(count))
    np.testing.assert_array_equal(split_indices(count)[1], test)


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_folder_keeps_the_file_order(tmp_path, zipped):
    arrays = make_arrays()
    dataset = load_dataset(write_idx_folder(tmp_path / "mine", arrays, zipped=zipped))
    assert dataset.name == "mine"
    np.testing.assert_array_equal(dataset.x_train[..., 0], arrays["x"])
    np.testing.assert_array_equal(dataset.y_train, arrays["y"])
    np.testing.assert_array_equal(dataset.x_test[..., 0], arrays["x_test"])
    np.testing.assert_array_equal(dataset.y_test, arrays["y_test"])


def test_idx_folder_without_test_files_sets_a_sixth_apart(tmp_path):
    arrays = make_arrays()
    del arrays["x_test"], arrays["y_test"], arrays["y"]
    dataset = load_dataset(write_idx_folder(tmp_path, arrays))
    assert (len(dataset.x_train), len(dataset.x_test)) == (20, 4)
    assert dataset.y_train is None
    assert dataset.y_test is None
    assert all_images(dataset) == sorted(image.tobytes() for image in arrays["x"])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_round_trip(tmp_path, save):
    path = tmp_path / "mine.npz"
    labels = np.arange(12) % 3 - 1  # -1 is unlabelled
    save(path, x=COLOUR, y=labels, x_test=COLOUR[:3], y_test=labels[:3], more=labels)
    dataset = load_dataset(path)
    np.testing.assert_array_equal(dataset.x_train, COLOUR)
    np.testing.assert_array_equal(dataset.y_train, labels)
    np.testing.assert_array_equal(dataset.x_test, COLOUR[:3])
    assert dataset.y_test.dtype == np.int32


def test_images_and_labels_stay_together_in_the_split(tmp_path):
    images = np.repeat(np.arange(100, 130, dtype=np.uint8), 4).reshape(30, 2, 2)
    np.savez(tmp_path / "a.npz", x=images, y=np.arange(30))
    dataset = load_dataset(tmp_path / "a.npz")
    np.testing.assert_array_equal(dataset.x_train[:, 0, 0, 0], dataset.y_train + 100)
    np.testing.assert_array_equal(dataset.x_test[:, 0, 0, 0], dataset.y_test + 100)
    assert len(dataset.x_test) == 5


@pytest.mark.parametrize(
    "array",
    [
        GREY,
        GREY[..., None],
        GREY.astype(">i4"),
        GREY / 255,
        (GREY / np.float32(255)).astype(np.float32),
        np.asfortranarray(GREY),
    ],
    ids=["uint8", "channel", "big endian", "float64", "float32", "fortran"],
)
def test_npy_of_any_number_type_gives_the_same_bytes(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    dataset = load_dataset(tmp_path / "a.npy")
    assert dataset.image_shape == (6, 5, 1)
    assert all_images(dataset) == sorted(image.tobytes() for image in GREY)


def test_booleans_are_black_and_white(tmp_path):
    np.save(tmp_path / "a.npy", GREY > 127)
    expected = np.where(GREY > 127, 255, 0).astype(np.uint8)
    dataset = load_dataset(tmp_path / "a.npy")
    assert all_images(dataset) == sorted(image.tobytes() for image in expected)


def test_alpha_is_laid_over_black(tmp_path):
    alpha = np.full((12, 6, 5, 1), 51, np.uint8)  # a fifth
    np.save(tmp_path / "a.npy", np.concatenate([COLOUR, alpha], -1))
    dataset = load_dataset(tmp_path / "a.npy")
    expected = np.rint(COLOUR / 5).astype(np.uint8)
    assert all_images(dataset) == sorted(image.tobytes() for image in expected)


def test_image_size_scales_arrays(tmp_path):
    flat = np.repeat(np.arange(12, dtype=np.uint8) * 20, 48).reshape(12, 8, 6)
    np.save(tmp_path / "a.npy", flat)
    dataset = load_dataset(tmp_path / "a.npy", image_size=(4, 3))
    assert dataset.image_shape == (4, 3, 1)
    expected = sorted(image[:4, :3].tobytes() for image in flat)
    assert all_images(dataset) == expected


def test_image_folder_has_a_class_to_a_subfolder(tmp_path):
    for index, image in enumerate(GREY):
        folder = tmp_path / ("cat" if index % 2 else "ant")
        folder.mkdir(exist_ok=True)
        suffix = (".png", ".BMP")[index // 2 % 2]
        Image.fromarray(image).save(folder / f"{index:02}{suffix}")
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "empty").mkdir()
    said = []
    dataset = load_dataset(tmp_path, say=said.append)
    assert dataset.class_names == ("ant", "cat")
    assert len(said) == 1
    assert "1 entries" in said[0]
    images = np.concatenate([dataset.x_train, dataset.x_test])[..., 0]
    labels = np.concatenate([dataset.y_train, dataset.y_test])
    source = {image.tobytes(): index % 2 for index, image in enumerate(GREY)}
    assert [source.pop(image.tobytes()) for image in images] == list(labels)
    assert not source


def test_flat_image_folder_is_unlabelled_and_one_colour_image_makes_all_rgb(tmp_path):
    for index in range(4):
        Image.fromarray(GREY[index]).save(tmp_path / f"{index}.png")
    Image.fromarray(COLOUR[4]).save(tmp_path / "4.png")
    dataset = load_dataset(tmp_path)
    assert dataset.y_train is None
    assert dataset.image_shape == (6, 5, 3)
    expected = [*np.repeat(GREY[:4, ..., None], 3, -1), COLOUR[4]]
    assert all_images(dataset) == sorted(image.tobytes() for image in expected)


def test_mixed_sizes_are_scaled_on_request(tmp_path):
    for index, size in enumerate([(5, 6), (50, 60), (30, 20)]):
        Image.new("L", size, 40 * index).save(tmp_path / f"{index}.jpg")
    dataset = load_dataset(tmp_path, image_size=(8, 7))
    assert dataset.image_shape == (8, 7, 1)
    means = np.sort([*dataset.x_train.mean((1, 2, 3)), *dataset.x_test.mean((1, 2, 3))])
    np.testing.assert_allclose(means, [0, 40, 80], atol=1)


def test_palette_alpha_and_turned_images_are_converted(tmp_path):
    colour = Image.fromarray(COLOUR[0])
    colour.quantize(256).save(tmp_path / "palette.png")
    half = colour.copy()
    half.putalpha(128)
    half.save(tmp_path / "alpha.png")
    grey_alpha = Image.fromarray(GREY[0]).convert("LA")
    grey_alpha.save(tmp_path / "grey_alpha.png")
    turn = Image.Exif()
    turn[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(GREY[0]).save(tmp_path / "turned.jpg", exif=turn, quality=100)
    np.testing.assert_allclose(read_image(tmp_path / "palette.png"), COLOUR[0], atol=8)
    halved = read_image(tmp_path / "alpha.png")
    np.testing.assert_allclose(halved, COLOUR[0] * (128 / 255), atol=0.5001)
    np.testing.assert_array_equal(
        read_image(tmp_path / "grey_alpha.png")[..., 0], GREY[0]
    )
    upright = read_image(tmp_path / "turned.jpg")[..., 0]
    np.testing.assert_allclose(upright, np.rot90(GREY[0], -1), atol=6)


def test_auto_is_the_sample_without_a_prepared_mnist(tmp_path, sample):
    said = []
    assert resolve("auto", data_dir=tmp_path) == "sample"
    dataset = load_dataset(data_dir=tmp_path, say=said.append)
    assert dataset.name == "sample"
    assert dataset.fingerprint() == sample.fingerprint()
    assert "python -m aae_jax.data mnist" in said[0]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mnsit", "did you mean mnist?"),
        ("Sample", "did you mean sample"),
        ("fashion-mnist", "did you mean fashion_mnist"),
        ("xyz", "choose one of auto, sample, mnist, fashion_mnist, a path"),
        ("mnist", "python -m aae_jax.data mnist"),
        ("no/such.npz", "does not exist"),
        ("./nothing", "does not exist"),
        ("", "is unknown"),
        ("a\0b", "is unknown"),
    ],
)
def test_wrong_names_are_told_what_to_type(tmp_path, name, expected):
    with pytest.raises(UserError) as caught:
        check_dataset_name(name, data_dir=tmp_path)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_import_is_light():
    code = (
        "import sys, aae_jax.data; heavy = {'jax', 'tensorflow', "
        "'tensorflow_datasets', 'PIL', 'urllib.request'} & set(sys.modules); "
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_example_in_the_docstring_is_what_happens():
    assert doctest.testmod(sources).attempted == 1
    assert doctest.testmod(sources).failed == 0
