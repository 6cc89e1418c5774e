"""Opening files of unknown origin: regular files only, sizes checked beforehand."""

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

import numpy as np

from aae_jax.errors import UserError

CHUNK_BYTES = 2**20
MAX_FOLDER_ENTRIES = 2_000_000
# What Linux allows a container, as it is seen from inside; of both kinds of cgroups.
CONTAINER_LIMITS = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)


class Readable(Protocol):
    """What is read here: files, and streams that unpack."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none at the end."""
        ...


def default_memory_limit() -> int:
    """A quarter of the memory, in bytes.

    A training holds its images twice, as read and on the device, and for a moment a
    third time.
    """
    return memory_bytes() // 4


def memory_bytes() -> int:
    """The memory of the machine, or of the container."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in CONTAINER_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # absent, or "max"
            memory = min(memory, int(Path(path).read_text()))
    return memory


def check_memory(nbytes: int, where: object, *, limit: int, instead: str = "") -> None:
    """Refuse data that would take more than `limit` bytes.

    Raises:
      UserError: `nbytes` is over the limit; it ends with what else could be done.
    """
    if nbytes > limit:
        raise UserError(
            f"{where} would take {nbytes / 2**20:,.1f} MiB unpacked and the limit is "
            f"{limit / 2**20:,.1f} MiB; use smaller or fewer images, or raise "
            f"--memory-limit{instead}"
        )


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular, non-empty file for reading; never a device or a pipe.

    Raises:
      UserError: the file is absent, not a regular file, empty, or not readable.
    """
    if not os.path.exists(path):
        raise UserError(f"{path} does not exist; give the path of an existing file")
    # Checked before opening, for opening a pipe waits for its writer.
    if not os.path.isfile(path):
        raise UserError(f"{path} is not a regular file; give a file or a folder")
    try:
        stream = open(path, "rb")  # noqa: SIM115, the caller closes it
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); give a file that you may read"
        ) from error
    if file_size(stream) == 0:
        stream.close()
        raise UserError(f"{path} is empty; copy or download it again")
    return stream


def file_size(stream: IO[bytes]) -> int:
    """Size in bytes of the file behind an open stream."""
    return os.fstat(stream.fileno()).st_size


def read_exactly(stream: Readable, nbytes: int, where: object) -> np.ndarray:
    """Read the `nbytes` bytes that must be all that is left in the stream.

    Reads in chunks, so that a compressed stream never unpacks beyond `nbytes + 1`.

    Returns:
      uint8 `[nbytes]`, writable.

    Raises:
      UserError: the stream holds fewer or more bytes.
    """
    content = np.empty(nbytes, np.uint8)
    filled = 0
    while filled < nbytes:
        chunk = stream.read(min(CHUNK_BYTES, nbytes - filled))
        if not chunk:
            raise UserError(
                f"{where} ends after {filled:,} of the {nbytes:,} bytes that its "
                "header promises; copy or download it again"
            )
        content[filled : filled + len(chunk)] = np.frombuffer(chunk, np.uint8)
        filled += len(chunk)
    if stream.read(1):
        raise UserError(
            f"{where} goes on after the {nbytes:,} bytes that its header promises; "
            "copy or download it again"
        )
    return content


def scan_folder(folder: Path) -> Iterator[os.DirEntry[str]]:
    """The entries of a folder but for hidden ones, in the order of the system.

    Raises:
      UserError: the folder is not readable or has more than two million entries.
    """
    count = 0
    try:
        with os.scandir(folder) as scan:
            for entry in scan:
                if entry.name.startswith("."):
                    continue
                count += 1
                if count > MAX_FOLDER_ENTRIES:
                    raise UserError(
                        f"{folder} has more than {MAX_FOLDER_ENTRIES:,} entries; give "
                        "a folder with fewer"
                    )
                yield entry
    except OSError as error:
        raise UserError(
            f"{folder} cannot be read ({error.strerror}); give a folder that you may "
            "read"
        ) from error


def list_folder(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of `scan_folder`, sorted by name."""
    return sorted(scan_folder(folder), key=lambda entry: entry.name)


# Asking the system about each of a million entries takes seconds; their folder tells of
# all but links.


def is_file(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a regular file, or leads to one."""
    if entry.is_symlink():
        return os.path.isfile(entry)
    return entry.is_file(follow_symlinks=False)


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder, or leads to one."""
    if entry.is_symlink():
        return os.path.isdir(entry)
    return entry.is_dir(follow_symlinks=False)
