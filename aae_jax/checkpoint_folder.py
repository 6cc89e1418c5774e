"""A checkpoint as a folder: complete or not there, and verified before it is read.

`manifest.json`, written last, names the format version, the step, the caller's record,
the type and SHA-256 of every leaf and the SHA-256 of every file; a SHA-256 of its own
seals it.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aae_jax.errors import RunError, UserError
from aae_jax.small_files import flush

FORMAT_VERSION = 1

_NAME = "manifest.json"
_SIZE_LIMIT = 2**23  # bytes; a real manifest has some 20,000
_READ_IN_SECONDS = 2**31  # bytes
# What the leaves may take beyond their files, which pack the smallest ones.
_PACKED = 2**24
# '.replaced': its step is being saved anew; it counts until the new one stands.
_CHECKPOINT_NAME = re.compile(r"([0-9]{8,})(\.replaced)?")
_LEFTOVER_NAME = re.compile(
    r"[0-9]{8,}(\.replaced)?\.(deleting|writing(\.orbax-checkpoint-tmp)?)"
)


class DamagedError(Exception):
    """A checkpoint is not what was saved; the message says where."""


@dataclass(frozen=True)
class Manifest:
    """The content of `manifest.json`; hashes are SHA-256 in hexadecimal."""

    step: int
    record: dict[str, Any]
    leaf_types: dict[str, str]  # by name, such as `float32[784, 1000]`
    leaf_hashes: dict[str, str]
    file_hashes: dict[str, str] = field(default_factory=dict)


def completed(folder: Path) -> list[tuple[int, Path]]:
    """Steps and folders of the completed checkpoints, the newest first."""
    found = [
        (int(match[1]), match[2] is None, path)
        for path in _entries(folder)
        if (match := _CHECKPOINT_NAME.fullmatch(path.name))
    ]
    return [(step, path) for step, _, path in sorted(found, reverse=True)]


def ends_at(folder: Path, step: int) -> bool:
    """Whether the newest checkpoint is that of a step, and is as it was saved.

    Of one that takes long to read that is not known: False.
    """
    found = completed(folder)
    if not found or found[0][0] != step:
        return False
    try:
        manifest = read_manifest(found[0][1])
        verify_files(found[0][1], manifest, size_limit=_READ_IN_SECONDS)
    except (DamagedError, UserError):
        return False
    return True


def remove_leftovers(folder: Path) -> None:
    """Remove what a save that was stopped has left; another save tries again."""
    for path in _entries(folder):
        if _LEFTOVER_NAME.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{folder} cannot be read ({error.strerror})") from error


def publish(staged: Path, final: Path) -> None:
    """Rename the flushed folder; one of the same step can be loaded until then.

    Raises:
      OSError: the folder may not be written.
    """
    replaced = final.with_name(f"{final.name}.replaced")
    if final.exists():
        _delete([replaced] if replaced.exists() else [])
        final.rename(replaced)
    staged.rename(final)
    flush(final.parent)
    flush(final.parent.parent)


def delete_outdated(final: Path, *, step: int, keep: int) -> None:
    """Delete all but the newest `keep` checkpoints up to the step that was published.

    Raises:
      RunError: the folder may not be written.
    """
    found = completed(final.parent)
    kept = [path for s, path in found if s <= step and not path.suffix][:keep]
    try:
        _delete(path for _, path in found if path not in kept)
    except OSError as error:
        raise RunError(
            f"the checkpoint of step {step} is saved, and older ones in {final.parent} "
            f"cannot be deleted ({error.strerror}); see to that, then --resume goes on"
        ) from error


def _delete(paths: Iterable[Path]) -> None:
    for path in paths:
        # Renamed first: half a checkpoint must not look like one.
        shutil.rmtree(path.rename(path.with_name(f"{path.name}.deleting")))


def seal_folder(folder: Path, manifest: Manifest) -> None:
    """Add the manifest to a finished folder and wait until all of it is on disk.

    Raises:
      OSError: the disk is full, or may not be written.
    """
    content = {"format_version": FORMAT_VERSION, **asdict(manifest)}
    content["file_hashes"] = {
        file.relative_to(folder).as_posix(): _file_hash(file)
        for file in _plain_files(folder)
    }
    # This wrapping is that of every format: the seal is checked before the version.
    sealed = {"sha256": _json_hash(content), "content": content}
    (folder / _NAME).write_text(json.dumps(sealed), encoding="utf-8")
    for path in [*folder.rglob("*"), folder]:
        flush(path)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a checkpoint, if it is the one that was saved.

    Raises:
      DamagedError: it is missing, unreadable, or changed.
      UserError: a later version of aae_jax wrote it.
    """
    try:
        content = _read_sealed(folder)
        version = int(content["format_version"])
        if version <= FORMAT_VERSION:
            return Manifest(
                step=int(content["step"]),
                record=dict(content["record"]),
                leaf_types=_strings(content["leaf_types"]),
                leaf_hashes=_strings(content["leaf_hashes"]),
                file_hashes=_strings(content["file_hashes"]),
            )
    except OSError as error:
        raise DamagedError(f"{_NAME} cannot be read ({error.strerror})") from error
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise DamagedError(f"{_NAME} is not as it was saved") from error
    raise UserError(
        f"checkpoint {folder} has format {version}, and this version of aae_jax reads "
        f"formats up to {FORMAT_VERSION}; install a newer aae_jax"
    )


def check_leaf_types(
    folder: Path, manifest: Manifest, wanted: Mapping[str, str]
) -> None:
    """Compare names, dtypes and shapes of the leaves with those that are wanted.

    Raises:
      UserError: they differ; the message lists how.
    """
    stored = manifest.leaf_types
    differences = [
        f"{name} is {stored.get(name, 'missing')}, not {wanted.get(name, 'expected')}"
        for name in sorted(stored.keys() | wanted.keys())
        if stored.get(name) != wanted.get(name)
    ]
    if differences:
        raise UserError(
            f"checkpoint {folder} is of another model: {'; '.join(differences)}; load "
            "it with the configuration that it was saved with"
        )


def verify_files(
    folder: Path, manifest: Manifest, *, size_limit: int, leaf_bytes: int = 0
) -> None:
    """Compare every file that the manifest names with its hash.

    Args:
      size_limit: bytes that all files may have together, so that reading them ends.
      leaf_bytes: what the leaves take in memory, for which there must be files.

    Raises:
      DamagedError: a file is missing, changed, unreadable, or not a plain file; the
        files are too large, or too small.
    """
    try:
        files = {x.relative_to(folder).as_posix(): x for x in _plain_files(folder)}
        size = sum(file.stat().st_size for file in files.values())
        if size > size_limit:
            raise DamagedError(f"its files have more than {size_limit} bytes")
        if size + _PACKED < leaf_bytes:
            raise DamagedError(f"its files have {size} bytes, not {leaf_bytes}")
        for name, sha256 in manifest.file_hashes.items():
            if name not in files:
                raise DamagedError(f"{name} is missing")
            if _file_hash(files[name]) != sha256:
                raise DamagedError(f"{name} is not as it was saved")
    except OSError as error:
        raise DamagedError(
            f"{error.filename} cannot be read ({error.strerror})"
        ) from error


def _read_sealed(folder: Path) -> dict[str, Any]:
    path = folder / _NAME
    if path.exists() and not path.is_file():
        raise ValueError("it is not a plain file, and reading it need not end")
    with path.open("rb") as file:
        sealed = json.loads(file.read(_SIZE_LIMIT))
    if sealed["sha256"] != _json_hash(sealed["content"]):
        raise ValueError("the seal is broken")
    return sealed["content"]


def _json_hash(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _strings(mapping: dict[str, str]) -> dict[str, str]:
    """The mapping, if all of it can be printed on one line of a terminal."""
    for text in [*mapping.keys(), *mapping.values()]:
        if not text.isprintable():
            raise ValueError("a name has control characters")
    return mapping


def _plain_files(folder: Path) -> Iterator[Path]:
    """All files under the folder; no links, pipes or devices, which need not end."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise DamagedError(f"{path.name!r} is not a plain file")
        if path.is_file():
            yield path


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
