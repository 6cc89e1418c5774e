"""One writer per run folder, guarded by a lock that the kernel releases at death."""

import fcntl
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aae_jax.errors import RunError, UserError

_LOCK_NAME = ".lock"


@contextmanager
def run_lock(run_dir: Path) -> Iterator[None]:
    """Hold the run folder for writing; readers need no lock.

    The lock belongs to the open file, not to its existence: a process that is killed
    frees it, and the file that stays behind means nothing.

    Raises:
      UserError: another process, or another place in this one, holds the folder.
      RunError: the lock file cannot be written.
    """
    # Not through a link: a copied run folder must not make us write elsewhere.
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(run_dir / _LOCK_NAME, flags, 0o644)
    except OSError as error:
        raise RunError(_cannot_lock(run_dir, error)) from error
    try:
        _acquire(descriptor, run_dir)
        yield
    finally:
        # The file stays: without it two processes could lock two files of one name.
        os.close(descriptor)


def _acquire(descriptor: int, run_dir: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UserError(
            f"run folder {run_dir} is in use by {_holder(descriptor)}; wait until it "
            "has ended, or choose another folder with --run-dir"
        ) from None
    except OSError as error:
        raise RunError(_cannot_lock(run_dir, error)) from error
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()} {socket.gethostname()}\n".encode(), 0)
    except OSError as error:
        raise RunError(_cannot_lock(run_dir, error)) from error


def _holder(descriptor: int) -> str:
    """Who wrote the lock file; only a number and a plain host name are believed."""
    text = os.pread(descriptor, 300, 0).decode(errors="replace")
    match = re.fullmatch(r"([0-9]{1,20}) ([A-Za-z0-9._-]{1,255})\n", text)
    return f"process {match[1]} on {match[2]}" if match else "another process"


def _cannot_lock(run_dir: Path, error: OSError) -> str:
    return f"run folder {run_dir} cannot be locked for writing: {error.strerror}"
