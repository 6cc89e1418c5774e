"""From the name after `--dataset` to a Dataset."""

import os
from pathlib import Path

import numpy as np

from aae_jax.checks import nearest
from aae_jax.data.arrays import (
    Dataset,
    Parts,
    build_dataset,
    check_same_shape,
    images_of,
)
from aae_jax.data.conversion import MAX_SIDE, as_labels
from aae_jax.data.files import default_memory_limit
from aae_jax.data.idx import is_idx_folder, read_idx_folder
from aae_jax.data.numpy_files import read_members, read_npy_file, read_npz_file
from aae_jax.data.prepared import find_prepared, list_prepared
from aae_jax.data.preparing import ORIGINS
from aae_jax.data.stored import Images, StoredImages, joined
from aae_jax.errors import UserError
from aae_jax.messages import Say, say_on_stderr
from aae_jax.options import limit_in_bytes

NAMES = ("auto", "sample", *ORIGINS)
SAMPLE = Path(__file__).with_name("sample.npz")
DIGITS = tuple("0123456789")
PathLike = str | os.PathLike[str]


def load_dataset(
    name: PathLike = "auto",
    *,
    data_dir: PathLike | None = None,
    memory_limit: float | None = None,
    image_size: tuple[int, int] | None = None,
    say: Say = say_on_stderr,
) -> Dataset:
    """Read images, and labels where there are any; never downloads.

    Images over the memory limit stay on disk, where they can be read by rows: in an
    .npy or an .npz of numpy.savez, in C order, in IDX files that are not packed, in a
    folder of images, in array_record files.

    Args:
      name: `auto` (mnist where it is prepared, else sample); `sample`, 12,000 digits of
        MNIST that come with the package; `mnist`, `fashion_mnist`; any image set that
        tensorflow-datasets prepared as array_record, `NAME[/CONFIG][:VERSION]`; or the
        path of an .npz, an .npy, a folder of IDX files, a folder of images.
      data_dir: the tfds data folder; by default our own cache folder, then
        `~/tensorflow_datasets`.
      memory_limit: GiB that images may take in memory; by default a quarter of it.
      image_size: (height, width) in pixels to which images are scaled.
      say: takes one line for the user; by default printed to stderr.

    Raises:
      UserError: an unknown name, or data that is missing, damaged, too large or does
        not fit together.

    >>> load_dataset("sample").x_train.shape
    (10000, 28, 28, 1)
    """
    limit = limit_in_bytes(memory_limit) or default_memory_limit()
    if image_size is not None and not all(1 <= side <= MAX_SIDE for side in image_size):
        raise UserError(
            f"the image size {list(image_size)} is out of range; a side has 1 to "
            f"{MAX_SIDE} pixels, as in --image-size 64 64"
        )
    check_dataset_name(name, data_dir=data_dir)
    chosen = resolve(name, data_dir=data_dir)
    if name == "auto" and chosen == "sample":
        say(
            "dataset: sample, 12,000 images of mnist; `python -m aae_jax.data mnist` "
            "gets all 70,000"
        )
    elif name == "auto":
        say(f"dataset: {chosen}")
    folder = find_prepared(chosen, data_dir)
    if chosen == "sample":
        parts = read_npz_file(SAMPLE, memory_limit=limit)._replace(class_names=DIGITS)
        where, title = SAMPLE, chosen
    elif folder is not None:
        from aae_jax.data.records import read_prepared  # imports pillow

        parts = read_prepared(folder, memory_limit=limit, image_size=image_size)
        where, title = folder, chosen
    else:
        where = Path(os.path.expanduser(chosen))
        parts = _read_path(where, limit, image_size, say)
        title = where.resolve().name
    dataset = build_dataset(title, parts, where=where, image_size=image_size)
    if isinstance(dataset.x_train, StoredImages):
        say(
            f"dataset: {title}, whose images are more than the {limit / 2**20:,.2f} "
            "MiB of --memory-limit and stay on disk"
        )
    return dataset


def load_images(
    path: PathLike,
    *,
    memory_limit: float | None = None,
    image_size: tuple[int, int] | None = None,
    say: Say = say_on_stderr,
) -> tuple[Images, np.ndarray | None]:
    """All images at a path in its order, and their labels or None.

    Where the path has training and test images, the training images come first. For
    the arguments see `load_dataset`.

    Returns:
      uint8 `[n, height, width, channels]`, on disk where they are over the limit; and
      int32 `[n]` or None.

    Raises:
      UserError: nothing is there, or it is damaged, too large or does not fit together.
    """
    limit = limit_in_bytes(memory_limit) or default_memory_limit()
    where = Path(os.path.expanduser(path))
    if not where.exists():
        raise UserError(
            f"{path} does not exist; give test, validation, train, or the path of an "
            ".npz or .npy file or of a folder"
        )
    parts = _read_path(where, limit, image_size, say)
    x = images_of(parts.x, f"x of {where}", image_size=image_size)
    y = as_labels(parts.y, len(x), f"y of {where}")
    if parts.x_test is None:
        return x, y
    x_test = images_of(parts.x_test, f"x_test of {where}", image_size=image_size)
    check_same_shape(x_test, x, where)
    y_test = as_labels(parts.y_test, len(x_test), f"y_test of {where}")
    labels = None if y is None or y_test is None else np.concatenate([y, y_test])
    return joined(x, x_test), labels


def names_of_images(path: PathLike) -> list[str] | None:
    """The file of each image of `load_images`, from a folder of pictures on.

    None where images do not lie in files of their own.

    Raises:
      UserError: see `load_images`.
    """
    where = Path(os.path.expanduser(path))
    if is_idx_folder(where) or not where.is_dir():
        return None
    from aae_jax.data.image_folder import list_images  # imports pillow

    return [os.path.relpath(each, where) for each in list_images(where)]


def load_codes(
    path: PathLike, *, memory_limit: float | None = None
) -> dict[str, np.ndarray]:
    """The arrays of an .npz file that a decoder reads.

    Returns:
      `z`, codes, float32; and `y`, classes, and `y_pred`, those inferred, as they are,
      where the file has them.

    Raises:
      UserError: not such a file, no `z` in it, or not an array of finite numbers.
    """
    limit = limit_in_bytes(memory_limit) or default_memory_limit()
    hint = "save it with numpy.savez(file, z=codes)"
    where = Path(os.path.expanduser(path))
    arrays = read_members(where, ("z", "y", "y_pred"), hint=hint, memory_limit=limit)
    z = arrays["z"]
    with np.errstate(over="ignore"):  # too large a number becomes infinite
        is_table = z.ndim == 2 and z.dtype.kind in "iuf"
        codes = z.astype(np.float32) if is_table else None
    if codes is None or not np.isfinite(codes).all():
        raise UserError(
            f"z of {where} must hold finite numbers of 32 bits, a row for each code; "
            f"{hint}"
        )
    return arrays | {"z": codes}


def resolve(name: PathLike, *, data_dir: PathLike | None = None) -> str:
    """The name that means the same wherever and whenever it is used.

    `auto` becomes `mnist` or `sample`, a path is written out in full; other names stay.
    """
    if name == "auto":
        return "mnist" if find_prepared("mnist", data_dir) else "sample"
    name = os.fspath(name)
    if _is_path(name) and not find_prepared(name, data_dir):
        return os.path.abspath(os.path.expanduser(name))
    return name


def check_dataset_name(name: PathLike, *, data_dir: PathLike | None = None) -> None:
    """Refuse a name that `load_dataset` does not know; reads no data.

    Raises:
      UserError: neither a known name, nor a prepared set, nor an existing path.
    """
    text = os.fspath(name)
    if text in ("auto", "sample") or find_prepared(text, data_dir):
        return
    if text in ORIGINS:
        option = "" if data_dir is None else f" --data-dir {data_dir}"
        raise UserError(
            f"dataset {text!r} is not prepared; type `python -m aae_jax.data {text}"
            f"{option}`, or use --dataset sample"
        )
    if _is_path(text):
        return
    if text.startswith((".", "/", "~")) or text.endswith((".npz", ".npy")):
        raise UserError(
            f"dataset {text!r} does not exist; give the path of an .npz or .npy file, "
            f"or of a folder, or one of {', '.join(NAMES)}"
        )
    raise UserError(
        f"dataset {text!r} is unknown; choose one of {', '.join(NAMES)}, a path, or a "
        "set that tensorflow-datasets prepared with file_format='array_record'"
        + nearest(text, [*NAMES, *list_prepared(data_dir)])
    )


def _is_path(name: str) -> bool:
    """Whether the name means an existing path; a set's name needs `./` to mean one."""
    return name not in NAMES and os.path.exists(os.path.expanduser(name))


def _read_path(
    path: Path,
    limit: int,
    image_size: tuple[int, int] | None,
    say: Say,
) -> Parts:
    """Read a file or folder by its kind."""
    if is_idx_folder(path):
        return read_idx_folder(path, memory_limit=limit, image_size=image_size)
    if os.path.isdir(path):
        from aae_jax.data.image_folder import read_image_folder  # imports pillow

        return read_image_folder(
            path, memory_limit=limit, image_size=image_size, say=say
        )
    if path.suffix == ".npz":
        return read_npz_file(path, memory_limit=limit, image_size=image_size)
    if path.suffix == ".npy":
        return read_npy_file(path, memory_limit=limit, image_size=image_size)
    raise UserError(
        f"{path} is not a folder, .npz or .npy; give a folder of images or of IDX "
        "files, or an .npz with x and optionally y"
    )
