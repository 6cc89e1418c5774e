"""Small files of a run: written whole or not at all, read with suspicion."""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from aae_jax.errors import RunError, UserError

# What JSON becomes in Python may take thirty times as much.
_MAX_JSON_BYTES = 2**23
_MAX_LINE_BYTES = 2**20
_MAX_BYTES = 2**28


def read_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, one at a time; a last one that was cut short is left out.

    Raises:
      UserError: the file is missing, no plain file, or too large; a line is too long.
    """
    with _opened(path, _MAX_BYTES) as file:
        while (line := file.readline(_MAX_LINE_BYTES)).endswith(b"\n"):
            yield line
        if len(line) == _MAX_LINE_BYTES:
            raise UserError(
                f"{path} has a line longer than any that aae_jax writes there; delete "
                "that line"
            )


@contextmanager
def _opened(path: Path, most: int) -> Iterator[IO[bytes]]:
    """A plain file of so many bytes at most, or a UserError."""
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path} is not a plain file")
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > most:
                raise UserError(
                    f"{path} is larger than any file that aae_jax writes there"
                )
            yield file
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def parse_json(text: bytes) -> dict[str, Any]:
    """The JSON object that a text is; no NaN, no infinity.

    Raises:
      ValueError: it is not one.
    """
    try:
        value = json.loads(text.decode(), parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("it is not a JSON object")
    return value


def read_json(path: Path) -> dict[str, Any]:
    """The object in a small JSON file.

    Raises:
      UserError: it is missing, too large, or not a JSON object.
    """
    with _opened(path, _MAX_JSON_BYTES) as file:
        text = file.read()
    try:
        return parse_json(text)
    except ValueError as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from error


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write an object as JSON; readers see the old file or the new, never a half."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text; see `write_file`."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write what a file is to hold; see `write_file`."""
    write_file(path, lambda file: file.write(content))


def write_file(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file in one move, flushed to disk: it is there whole or not at all.

    Args:
      write: is called with the open file.

    Raises:
      RunError: the disk is full or may not be written.
    """
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            write(file)
            file.flush()
            flush_to_disk(file.fileno())
        temporary.replace(path)
        flush(path.absolute().parent)
    except OSError as error:
        raise RunError(f"{path} could not be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def make_folder(path: Path) -> Path:
    """A folder, made where it is not there yet.

    Raises:
      RunError: it may not be made, or a file is there.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{path} could not be made: {error.strerror}") from error
    return path


def flush(path: Path) -> None:
    """Wait until a file's data, or a folder's list of names, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        flush_to_disk(descriptor)
    finally:
        os.close(descriptor)


def flush_to_disk(descriptor: int) -> None:
    """Wait until what is open there is on disk, and not in the drive's cache alone."""
    if hasattr(fcntl, "F_FULLFSYNC"):  # macOS, whose fsync leaves it to the drive
        with contextlib.suppress(OSError):  # not every file system knows it
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")
