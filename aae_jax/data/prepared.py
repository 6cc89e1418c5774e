"""Image sets that tensorflow-datasets has prepared: found without importing it, read
with it but without TensorFlow. Nothing is downloaded here."""

import io
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from aae_jax.data.arrays import Parts
from aae_jax.data.files import check_memory, list_folder
from aae_jax.errors import UserError

NAME = re.compile(r"(\w+)(?:/(\w[\w.+-]*))?(?::(\d+\.\d+\.\d+))?", re.ASCII)
VERSION = re.compile(r"\d+\.\d+\.\d+", re.ASCII)
MAX_JSON_BYTES = 2**24
CHUNK_RECORDS = 1000
CLASS_KEYS = ("pythonClassName", "python_class_name", "type")


def cache_folder() -> Path:
    """What this package may keep for the user between runs, and make again."""
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "aae_jax"


def cache_root() -> Path:
    """The folder for sets that `python -m aae_jax.data` prepares."""
    return cache_folder() / "data"


def search_roots(data_dir: str | os.PathLike | None) -> list[Path]:
    """Where sets are looked for: `data_dir` alone, else our folder and tfds's own."""
    if data_dir is not None:
        return [Path(data_dir).expanduser()]
    stock = os.environ.get("TFDS_DATA_DIR") or Path.home() / "tensorflow_datasets"
    return [cache_root(), Path(stock)]


def find_prepared(name: str, data_dir: str | os.PathLike | None = None) -> Path | None:
    """The folder of a set `NAME[/CONFIG][:VERSION]` in array_record files, if any.

    Without a version, the newest; only a few small files are looked at.
    """
    match = NAME.fullmatch(name)
    if match is None:
        return None
    dataset, config, version = match.groups()
    for root in search_roots(data_dir):
        found = _versions(root / dataset / (config or ""))
        if version is not None:
            found = [folder for folder in found if folder.name == version]
        if found:
            return max(
                found, key=lambda folder: [int(n) for n in folder.name.split(".")]
            )
    return None


def list_prepared(data_dir: str | os.PathLike | None = None) -> list[str]:
    """The names of the sets that `find_prepared` finds."""
    names: set[str] = set()
    for root in search_roots(data_dir):
        for dataset in _subfolders(root):
            if _versions(dataset):
                names.add(dataset.name)
            for config in _subfolders(dataset):
                if _versions(config):
                    names.add(f"{dataset.name}/{config.name}")
    return sorted(names)


def read_prepared(
    folder: Path, *, memory_limit: int, image_size: tuple[int, int] | None = None
) -> Parts:
    """Read the splits `train` and, where it is there, `test` of a prepared set.

    Args:
      folder: the set's folder, with its version as the last part.
      memory_limit: bytes that the images may take.
      image_size: (height, width) to which every image is scaled.

    Raises:
      UserError: the set has no `image` feature or no `train` split, does not fit in
        memory, has images of mixed sizes, or is damaged.
    """
    _check_features(folder)
    import tensorflow_datasets as tfds  # 1.4 s, so only where it is needed

    try:
        builder = tfds.builder_from_directory(folder)
        features, splits = dict(builder.info.features.items()), builder.info.splits
    except Exception as error:  # tfds promises no type for a damaged set
        raise _damaged(folder, error) from error
    if not isinstance(features.get("image"), tfds.features.Image):
        raise UserError(
            f"{folder} has the features {', '.join(features)}; an image set needs "
            "'image', and optionally 'label'"
        )
    if "train" not in splits:
        raise UserError(
            f"{folder} has the splits {', '.join(splits) or 'none'}; 'train' is needed"
        )
    label = features.get("label")
    labelled = isinstance(label, tfds.features.Tensor) and not label.shape
    arrays: dict[str, np.ndarray] = {}
    for split, suffix in (("train", ""), ("test", "_test")):
        if split in splits:
            left = memory_limit - sum(array.nbytes for array in arrays.values())
            records = _records(builder, split, labelled, folder)
            count = splits[split].num_examples
            where = f"{folder} {split}"
            x, y = _stack(records, count, where, memory_limit=left, size=image_size)
            arrays["x" + suffix] = x
            if labelled:
                arrays["y" + suffix] = y
    names = tuple(label.names) if isinstance(label, tfds.features.ClassLabel) else None
    return Parts(**arrays, class_names=names)


def _records(
    builder, split: str, labelled: bool, folder: Path
) -> Iterator[tuple[bytes, int]]:
    """Encoded image and label (-1 without one) of each record, in file order."""
    import tensorflow_datasets as tfds

    decoders = {"image": tfds.decode.SkipDecoding()}  # ours checks before it decodes
    try:
        source = builder.as_data_source(split=split, decoders=decoders)
        for start in range(0, len(source), CHUNK_RECORDS):
            indices = list(range(start, min(start + CHUNK_RECORDS, len(source))))
            for record in source.__getitems__(indices):
                label = int(record["label"]) if labelled else -1
                yield record["image"], label
    except Exception as error:  # of array_record, in C++, and of tfds
        raise _damaged(folder, error) from error


def _stack(
    records: Iterator[tuple[bytes, int]],
    count: int,
    where: str,
    *,
    memory_limit: int,
    size: tuple[int, int] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Decode the records into one array of images and one of labels."""
    from aae_jax.data.image_folder import decode_image, stack_images

    labels = np.empty(count, np.int64)
    check_memory(count * labels.itemsize, where, limit=memory_limit)

    def images() -> Iterator[tuple[str, np.ndarray]]:
        for index, (encoded, label) in enumerate(records):
            labels[index] = label
            name = f"{where}[{index}]"
            yield name, decode_image(io.BytesIO(encoded), len(encoded), name, size=size)

    return stack_images(images(), count, where, memory_limit=memory_limit), labels


def _check_features(folder: Path) -> None:
    """Refuse a set whose features.json would have tfds import foreign code by name."""
    pending: list[dict | list] = [_read_json(folder / "features.json")]
    while pending:
        node = pending.pop()
        values = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in values:
            if isinstance(value, dict | list):
                pending.append(value)
            elif key in CLASS_KEYS and not str(value).startswith(
                "tensorflow_datasets.core."
            ):
                raise UserError(
                    f"{folder} uses the feature {value}, which is not one of "
                    "tensorflow-datasets' own; export its images as a folder or .npz"
                )


def _read_json(path: Path) -> dict:
    """A small JSON file; anything else counts as an empty one."""
    if not os.path.isfile(path) or os.path.getsize(path) > MAX_JSON_BYTES:
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _versions(folder: Path) -> list[Path]:
    """The versions in a dataset's or configuration's folder that can be read."""
    return [
        version
        for version in _subfolders(folder)
        if VERSION.fullmatch(version.name)
        and _read_json(version / "dataset_info.json").get("fileFormat")
        == "array_record"
    ]


def _subfolders(folder: Path) -> list[Path]:
    if not os.path.isdir(folder):
        return []
    return [path for path in list_folder(folder) if os.path.isdir(path)]


def _damaged(folder: Path, error: Exception) -> UserError:
    if isinstance(error, UserError):
        return error
    reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return UserError(
        f"{folder} is not a sound prepared set ({reason}); remove and prepare it again"
    )
