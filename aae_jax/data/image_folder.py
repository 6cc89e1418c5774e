"""Folders of pictures: PNG, JPEG and BMP, a class to a subfolder."""

import os
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from aae_jax.data.arrays import Parts
from aae_jax.data.decoding import check_size, is_grey, read_image, stack_images
from aae_jax.data.files import is_file, is_folder, list_folder, open_regular
from aae_jax.data.stored import Rows, StoredImages
from aae_jax.errors import UserError
from aae_jax.messages import Say

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")


def read_image_folder(
    folder: Path,
    *,
    memory_limit: int,
    image_size: tuple[int, int] | None,
    say: Say,
) -> Parts:
    """Read a folder of images in sorted order, grey if all are grey, else RGB.

    A subfolder is a class, and its name the class's; images that lie in the folder
    itself have no labels. Files other than .png, .jpg, .jpeg, .bmp are passed over, as
    are hidden ones and deeper folders. Turned photographs are set upright, palettes
    converted, transparent images laid over black.

    Args:
      folder: the folder.
      memory_limit: bytes; images that take more stay on disk.
      image_size: (height, width) to which every image is scaled; the sides'
        proportion is not kept. Without it all images must be of one size.
      say: takes one line for the user.

    Raises:
      UserError: no images, images of mixed sizes, or a file that is no sound image; of
        images on disk when they are read.
    """
    paths, labels, class_names = _find_images(folder, say)
    height, width, _ = read_image(paths[0], size=image_size).shape
    if len(paths) * height * width * 3 > memory_limit:
        # Maybe too many: it depends on whether one of them is in colour.
        grey = all(map(_is_grey_file, paths))
        images = _images_on_disk(paths, (height, width, 1 if grey else 3), image_size)
        if images.nbytes > memory_limit:
            return Parts(images, labels, class_names=class_names)
    decoded = ((path, read_image(path, size=image_size)) for path in paths)
    images = stack_images(decoded, len(paths), folder, memory_limit=memory_limit)
    return Parts(images, labels, class_names=class_names)


def list_images(folder: Path) -> list[str]:
    """Paths of the images that `read_image_folder` reads, in its order.

    Raises:
      UserError: there are none.
    """
    return _find_images(folder, say=lambda line: None)[0]


def _images_on_disk(
    paths: Sequence[str],
    shape: tuple[int, int, int],
    image_size: tuple[int, int] | None,
) -> StoredImages:
    def read(rows: Rows) -> np.ndarray:
        images = np.empty((len(rows), *shape), np.uint8)
        for image, row in zip(images, rows, strict=True):
            found = read_image(paths[row], size=image_size)
            check_size(found, shape, paths[row], first=paths[0])
            image[:] = found
        return images

    return StoredImages(read, np.arange(len(paths)), shape)


def _find_images(
    folder: Path, say: Say
) -> tuple[list[str], np.ndarray | None, tuple[str, ...] | None]:
    """Paths, labels and class names of a folder, sorted by class and name."""
    entries = list_folder(folder)
    direct = _images_of(entries)
    folders = [entry for entry in entries if is_folder(entry)]
    passed_over = len(entries) - len(folders) - len(direct)
    classes: dict[str, list[str]] = {}
    for entry in folders:
        inside = list_folder(Path(entry.path))
        images = _images_of(inside)
        passed_over += len(inside) - len(images)
        if images:
            classes[entry.name] = images
    if direct and classes:
        raise UserError(
            f"{folder} has images beside the subfolder {next(iter(classes))}; put "
            "every image into a subfolder named after its class, or none"
        )
    if not direct and not classes:
        raise UserError(
            f"{folder} has no images among its {len(entries)} entries; put "
            f"{', '.join(SUFFIXES)} files there, or into a subfolder for each class"
        )
    if passed_over:
        say(f"{folder}: passed over {passed_over} entries that are not images")
    if direct:
        return direct, None, None
    counts = [len(images) for images in classes.values()]
    labels = np.repeat(np.arange(len(classes)), counts)
    return list(chain.from_iterable(classes.values())), labels, tuple(classes)


def _images_of(entries: list[os.DirEntry[str]]) -> list[str]:
    return [
        entry.path
        for entry in entries
        if entry.name.lower().endswith(SUFFIXES) and is_file(entry)
    ]


def _is_grey_file(path: str) -> bool:
    with open_regular(Path(path)) as stream:
        return is_grey(stream, path)
