"""Image sets that tensorflow-datasets has prepared: found without importing it."""

import json
import os
import re
import sys
from pathlib import Path

from aae_jax.data.files import is_folder, list_folder

NAME = re.compile(r"(\w+)(?:/(\w[\w.+-]*))?(?::(\d+\.\d+\.\d+))?", re.ASCII)
VERSION = re.compile(r"\d+\.\d+\.\d+", re.ASCII)
MAX_JSON_BYTES = 2**24


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
        return [Path(os.path.expanduser(data_dir))]
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


def read_json(path: Path) -> dict:
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
        and read_json(version / "dataset_info.json").get("fileFormat") == "array_record"
    ]


def _subfolders(folder: Path) -> list[Path]:
    if not os.path.isdir(folder):
        return []
    return [Path(entry.path) for entry in list_folder(folder) if is_folder(entry)]
