"""The folder of an export: what it needs, written whole or not at all; without jax."""

import contextlib
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from aae_jax.errors import RunError, UserError
from aae_jax.small_files import flush

# jax needs flatbuffers to store a program, and does not ask for it.
_PACKAGES = ("onnx", "onnxruntime", "flatbuffers")


def check_export(path: Path) -> None:
    """Refuse to export where packages are missing, or to a place that is taken.

    Raises:
      UserError: with the command that installs them, or what to choose instead.
    """
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise UserError(
            f"--export needs packages that are not installed ({', '.join(missing)}); "
            "type: pip install -e '.[export]'"
        )
    if path.is_symlink() or (path.exists() and not _is_empty(path)):
        raise UserError(
            f"{path} exists and is not overwritten; give --export a new folder"
        )
    if not path.absolute().parent.is_dir():
        raise UserError(f"the folder of {path} does not exist; make it first")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to write into, which is at `path`, flushed to disk, when all is well.

    Raises:
      RunError: the disk is full or may not be written, or the place is taken meanwhile.
    """
    path = path.absolute()
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.mkdir()
        yield temporary
        for written in (*temporary.iterdir(), temporary):
            flush(written)
        temporary.replace(path)
        flush(path.parent)
    except OSError as error:
        raise RunError(f"{path} could not be written: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(temporary)


def _is_empty(path: Path) -> bool:
    return path.is_dir() and next(path.iterdir(), None) is None
