"""The folder of a run: its names, its config, its log. No jax is imported here."""

import dataclasses
import datetime
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aae_jax.config import Config
from aae_jax.errors import RunError, UserError

FORMAT_VERSION = 1
RUNS = Path("runs")
_MAX_JSON_BYTES = 2**26


@dataclass(frozen=True)
class RunRecord:
    """What config.json says.

    Attributes:
      config: as the run uses it, its length in steps.
      image_shape: `(height, width, channels)`.
      n_train: images trained on, those held out not counted.
      dataset: name, fingerprint (SHA-256) and class names of the data.
      environment: versions, platform, device, cores.
      command: what was typed.
    """

    config: Config
    image_shape: tuple[int, int, int]
    n_train: int
    dataset: Mapping[str, Any]
    environment: Mapping[str, Any]
    command: str


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run's folder, and reading and writing its small files."""

    path: Path

    @property
    def config_file(self) -> Path:
        return self.path / "config.json"

    @property
    def log_file(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def metrics_file(self) -> Path:
        return self.path / "metrics.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def name(self) -> str:
        return self.path.resolve().name

    def write_record(self, record: RunRecord) -> None:
        """Write config.json."""
        version = {"format_version": FORMAT_VERSION}
        write_json(self.config_file, version | dataclasses.asdict(record))

    def read_record(self) -> RunRecord:
        """Read config.json.

        Raises:
          UserError: the folder is not a run, or its config.json is not one of ours.
        """
        stored = read_json(self.config_file)
        version = stored.get("format_version")
        if version != FORMAT_VERSION:
            raise UserError(
                f"{self.config_file} has format version {version!r}, this aae_jax "
                f"reads {FORMAT_VERSION}; use the aae_jax that wrote it"
            )
        try:
            height, width, channels = stored["image_shape"]
            return RunRecord(
                config=Config.from_json(stored["config"]),
                image_shape=(int(height), int(width), int(channels)),
                n_train=int(stored["n_train"]),
                dataset=dict(stored["dataset"]),
                environment=dict(stored["environment"]),
                command=str(stored["command"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{self.config_file} is not the config of a run: {error}"
            ) from error

    def append_log(self, line: Mapping[str, Any]) -> None:
        """Add a line to metrics.jsonl and see it on disk."""
        with open(self.log_file, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def read_log(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; a last line that was cut short is left out."""
        if not self.log_file.exists():
            return []
        whole = self.log_file.read_text("utf-8").split("\n")[:-1]
        return [json.loads(line) for line in whole]

    def cut_log(self, step: int) -> list[dict[str, Any]]:
        """Drop the lines of steps after `step`; return those that stay."""
        kept = [line for line in self.read_log() if line["step"] <= step]
        if self.log_file.exists():
            text = "".join(json.dumps(line) + "\n" for line in kept)
            write_text(self.log_file, text)
        return kept


def newest_run(root: Path = RUNS) -> RunFolder:
    """The run that was started last under `root`.

    Raises:
      UserError: there is none.
    """
    configs = root.glob("*/config.json") if root.is_dir() else ()
    times = [(file.stat().st_mtime_ns, file.parent) for file in configs]
    if not times:
        raise UserError(
            f"there is no run under {root}/ yet; train one with "
            "'python train.py --prior normal --z-dim 2', or name one with --run-dir"
        )
    return RunFolder(max(times)[1])


def open_run(path: Path | None) -> RunFolder:
    """The run in a folder, or the newest one where no folder is named.

    Raises:
      UserError: the folder is missing or not a run.
    """
    if path is None:
        return newest_run()
    if not path.is_dir():
        raise UserError(f"run folder {path} does not exist; name one with --run-dir")
    folder = RunFolder(path)
    if not folder.config_file.is_file():
        raise UserError(
            f"{path} is not a run: it has no config.json; name a folder that train.py "
            "made, such as one under runs/"
        )
    return folder


def new_run_folder(path: Path | None, config: Config) -> RunFolder:
    """Where a new run goes: `path`, or runs/<time>-<model>-<prior>. Makes nothing yet.

    Raises:
      UserError: the folder exists and holds something.
    """
    if path is None:
        time = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        base = RUNS / f"{time}-{config.model}-{config.prior}"
        count, path = 1, base
        while path.exists():
            count += 1
            path = base.with_name(f"{base.name}-{count}")
    if path.exists() and (not path.is_dir() or _has_content(path)):
        raise UserError(
            f"run folder {path} exists, and a run is never overwritten; go on with it "
            "by --resume, or choose another --run-dir"
        )
    return RunFolder(path)


def _has_content(path: Path) -> bool:
    # A lock is what a training leaves that was killed before it wrote anything.
    return any(entry.name != ".lock" for entry in path.iterdir())


def read_json(path: Path) -> dict[str, Any]:
    """The object in a small JSON file.

    Raises:
      UserError: it is missing, too large, or not a JSON object.
    """
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise UserError(f"{path} is larger than any file that aae_jax writes there")
        value = json.loads(path.read_text("utf-8"), parse_constant=_refuse_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise UserError(f"{path} holds no JSON object")
    return value


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write an object as JSON; readers see the old file or the new, never a half."""
    write_text(path, json.dumps(value, indent=2, default=str) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file in one move, flushed to disk.

    Raises:
      RunError: the disk is full or may not be written.
    """
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, suffix=".tmp", delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise RunError(f"{path} could not be written: {error.strerror}") from error


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number")
