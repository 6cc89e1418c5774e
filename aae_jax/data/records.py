"""Image sets that tensorflow-datasets has prepared, read with it, without TensorFlow.

Nothing is downloaded here.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aae_jax.data.arrays import Parts
from aae_jax.data.decoding import check_size, decode_image, is_grey, stack_images
from aae_jax.data.files import check_memory
from aae_jax.data.prepared import read_json
from aae_jax.data.stored import Read, Rows, StoredImages
from aae_jax.errors import UserError

CHUNK_RECORDS = 100  # encoded, in memory at a time
CLASS_KEYS = ("pythonClassName", "python_class_name", "type")


def read_prepared(
    folder: Path, *, memory_limit: int, image_size: tuple[int, int] | None = None
) -> Parts:
    """Read the splits `train` and, where it is there, `test` of a prepared set.

    Args:
      folder: the set's folder, with its version as the last part.
      memory_limit: bytes; images that take more stay on disk.
      image_size: (height, width) to which every image is scaled.

    Raises:
      UserError: the set has no `image` feature or no `train` split, has images of
        mixed sizes, or is damaged; of images on disk when they are read.
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
    arrays: dict[str, Any] = {}
    left = memory_limit
    for split, suffix in (("train", ""), ("test", "_test")):
        if split in splits:
            records = _open_records(
                builder, split, labelled=labelled, folder=folder, size=image_size
            )
            x, y = _read(records, memory_limit=left)
            left -= sum(each.nbytes for each in (x, y) if isinstance(each, np.ndarray))
            arrays["x" + suffix] = x
            if labelled:
                arrays["y" + suffix] = y
    names = tuple(label.names) if isinstance(label, tfds.features.ClassLabel) else None
    return Parts(**arrays, class_names=names)


@dataclass(frozen=True)
class _Records:
    """The images and labels of a split, in file order; from several threads, too.

    Attributes:
      source: of records, as tfds gives it, whose images are not decoded.
      labelled: whether records have a label.
      folder: of the set, for messages.
      where: the split, for messages.
      size: (height, width) to which every image is scaled.
    """

    source: Any
    labelled: bool
    folder: Path
    where: str
    size: tuple[int, int] | None

    def read(self, rows: Sequence[int]) -> Iterator[tuple[bytes, int]]:
        """Encoded image and label (-1 without one) of each row."""
        try:
            for first in range(0, len(rows), CHUNK_RECORDS):
                some = rows[first : first + CHUNK_RECORDS]
                for record in self.source.__getitems__(some):
                    yield record["image"], int(record["label"]) if self.labelled else -1
        except Exception as error:  # of array_record, in C++, and of tfds
            raise _damaged(self.folder, error) from error

    def read_all(self) -> Iterator[tuple[bytes, int]]:
        """The same of all rows."""
        return self.read(range(len(self.source)))

    def decode(self, encoded: bytes, row: int) -> np.ndarray:
        """An image `[height, width, channels]`."""
        name, stream = f"{self.where}[{row}]", io.BytesIO(encoded)
        return decode_image(stream, len(encoded), name, size=self.size)


def _open_records(
    builder: Any,
    split: str,
    *,
    labelled: bool,
    folder: Path,
    size: tuple[int, int] | None,
) -> _Records:
    import tensorflow_datasets as tfds

    decoders = {"image": tfds.decode.SkipDecoding()}  # ours checks before it decodes
    try:
        source = builder.as_data_source(split=split, decoders=decoders)
    except Exception as error:  # of array_record, in C++, and of tfds
        raise _damaged(folder, error) from error
    return _Records(source, labelled, folder, f"{folder} {split}", size)


def _read(
    records: _Records, *, memory_limit: int
) -> tuple[np.ndarray | StoredImages, np.ndarray]:
    """All images, in memory or on disk, and all labels."""
    count = len(records.source)
    check_memory(8 * count, records.where, limit=memory_limit)  # labels
    for encoded, _ in records.read(range(min(count, 1))):
        height, width, _ = records.decode(encoded, 0).shape
        if count * height * width * 3 > memory_limit:
            # Maybe too many: it depends on whether one of them is in colour.
            images, labels = _on_disk(records, height, width)
            if images.nbytes > memory_limit:
                return images, labels
    return _in_memory(records, memory_limit=memory_limit)


def _on_disk(
    records: _Records, height: int, width: int
) -> tuple[StoredImages, np.ndarray]:
    """Images to be read by rows, and labels; nothing is decoded yet."""
    labels, grey = np.empty(len(records.source), np.int64), True
    for row, (encoded, label) in enumerate(records.read_all()):
        labels[row] = label
        grey = grey and is_grey(io.BytesIO(encoded), f"{records.where}[{row}]")
    shape = (height, width, 1 if grey else 3)
    return StoredImages(_reader(records, shape), np.arange(len(labels)), shape), labels


def _in_memory(
    records: _Records, *, memory_limit: int
) -> tuple[np.ndarray, np.ndarray]:
    labels = np.empty(len(records.source), np.int64)

    def decoded() -> Iterator[tuple[str, np.ndarray]]:
        for row, (encoded, label) in enumerate(records.read_all()):
            labels[row] = label
            yield f"{records.where}[{row}]", records.decode(encoded, row)

    images = stack_images(
        decoded(), len(labels), records.where, memory_limit=memory_limit
    )
    return images, labels


def _reader(records: _Records, shape: tuple[int, int, int]) -> Read:
    def read(rows: Rows) -> np.ndarray:
        images = np.empty((len(rows), *shape), np.uint8)
        found = records.read(rows.tolist())
        for image, row, (encoded, _) in zip(images, rows, found, strict=True):
            decoded = records.decode(encoded, row)
            name, first = f"{records.where}[{row}]", f"{records.where}[0]"
            check_size(decoded, shape, name, first=first)
            image[:] = decoded
        return images

    return read


def _check_features(folder: Path) -> None:
    """Refuse a set whose features.json would have tfds import foreign code by name."""
    pending: list[dict | list] = [read_json(folder / "features.json")]
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


def _damaged(folder: Path, error: Exception) -> UserError:
    if isinstance(error, UserError):
        return error
    reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return UserError(
        f"{folder} is not a sound prepared set ({reason}); remove and prepare it again"
    )
