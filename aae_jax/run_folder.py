"""The folder of a run: its names, its config, its log. No jax is imported here."""

import dataclasses
import datetime
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aae_jax.config import Config
from aae_jax.errors import RunError, UserError
from aae_jax.formats import FORMAT_VERSION, upgraded
from aae_jax.measured_values import check_line, check_metrics, is_count
from aae_jax.run_record import RunRecord
from aae_jax.small_files import (
    flush,
    flush_to_disk,
    parse_json,
    read_json,
    read_lines,
    write_file,
    write_json,
)

RUNS = Path("runs")
SEEDS_NEED_A_PLACE = "several seeds go on in their folder; name it with --run-dir"


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run's folder, and reading and writing its small files."""

    path: Path

    def __post_init__(self) -> None:
        """Refuse a name that is no text: checkpoints cannot be written under it.

        Raises:
          UserError: it has bytes that are no UTF-8.
        """
        try:
            str(self.path.absolute()).encode()
        except UnicodeEncodeError as error:
            raise UserError(
                f"run folder {self.path} has a name that is not UTF-8, or lies under "
                "one; rename it, or choose another --run-dir"
            ) from error

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def title(self) -> str:
        """What pictures call the run: one of several seeds has their folder's name."""
        path = self.path.absolute()
        return f"{path.parent.name}/{path.name}" if _is_seed(path) else path.name

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
    def codes(self) -> Path:
        return self.path / "codes"

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    @property
    def report_file(self) -> Path:
        return self.figures / "report.html"

    @property
    def animation_file(self) -> Path:
        return self.figures / "animation.gif"

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
          UserError: the folder is not a run, or its config.json is not one of ours, or
            of a later version of aae_jax.
        """
        stored = read_json(self.config_file)
        version: Any = stored.get("format_version")
        if is_count(version) and version > FORMAT_VERSION:
            raise UserError(
                f"{self.config_file} has format {version}, and this version of aae_jax "
                f"reads formats up to {FORMAT_VERSION}; install a newer aae_jax"
            )
        try:
            config = upgraded(stored["config"], version)
            return RunRecord.from_json(stored | {"config": config})
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UserError(
                f"{self.config_file} is not the config of a run: {error}"
            ) from error

    def append_log(self, line: Mapping[str, Any]) -> None:
        """Add a line to metrics.jsonl and see it on disk.

        Raises:
          RunError: the disk is full or may not be written.
        """
        text = json.dumps(line, allow_nan=False) + "\n"
        try:
            with open(self.log_file, "a", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                flush_to_disk(file.fileno())
        except OSError as error:
            raise RunError(
                f"{self.log_file} could not be written: {error.strerror}"
            ) from error

    def read_log(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; a last line that was cut short is left out.

        Raises:
          UserError: another line is damaged.
        """
        return list(self.log_lines())

    def log_lines(self) -> Iterator[dict[str, Any]]:
        """Those of `read_log`, one at a time: all together may be large."""
        return (line for _, line in self._log_lines())

    def _log_lines(self) -> Iterator[tuple[bytes, dict[str, Any]]]:
        """Each line as it stands there, and what it says."""
        if self.log_file.exists():
            for number, text in enumerate(read_lines(self.log_file), start=1):
                yield text, self._log_line(number, text)

    def _log_line(self, number: int, text: bytes) -> dict[str, Any]:
        try:
            line = parse_json(text)
            check_line(line)
        except (KeyError, ValueError, RecursionError) as error:
            raise UserError(
                f"line {number} of {self.log_file} is damaged ({error}); delete that "
                "line to go on without it"
            ) from error
        return line

    def cut_log(self, step: int) -> None:
        """Drop the lines of steps after `step`.

        Raises:
          UserError, RunError: the log cannot be read; the disk is full.
        """
        if self.log_file.exists():
            kept = (text for text, line in self._log_lines() if line["step"] <= step)
            write_file(self.log_file, lambda file: file.writelines(kept))

    def read_metrics(self) -> dict[str, Any]:
        """Read metrics.json.

        Raises:
          UserError: it is missing or damaged.
        """
        metrics = read_json(self.metrics_file)
        try:
            check_metrics(metrics)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise UserError(
                f"{self.metrics_file} does not hold the metrics of a run ({error}); "
                "delete it, and 'python train.py --resume' measures again"
            ) from error
        return metrics

    def refuse_content(self) -> None:
        """Refuse to begin a run here if anything is here already.

        Raises:
          UserError: the folder exists and holds something.
        """
        # What a training leaves that was killed before it wrote anything.
        leftovers = (".lock", ".tmp")
        if self.path.is_dir() and all(
            entry.name.endswith(leftovers) for entry in self.path.iterdir()
        ):
            return
        if self.config_file.exists():
            raise UserError(
                f"{self.path} holds a run, which is never overwritten; go on with it "
                "by --resume, or choose another --run-dir"
            )
        if seeds := seeds_in(self.path):
            raise UserError(
                f"{self.path} holds the runs of seeds {', '.join(map(str, seeds))}; go "
                "on with those that were begun together by --resume --seeds and "
                "--seed, or choose another --run-dir"
            )
        if self.path.exists():
            raise UserError(
                f"{self.path} holds no run, and is never overwritten; choose another "
                "--run-dir"
            )

    def make(self) -> None:
        """Make the folder, where it is not there yet.

        Raises:
          UserError: it cannot be made at this place.
        """
        _make(self.path, exist_ok=True)


def seed_folder(parent: Path, seed: int) -> RunFolder:
    """The folder of a run that was trained together with other seeds."""
    return RunFolder(parent / f"seed{seed}")


def seeds_in(parent: Path) -> list[int]:
    """The seeds whose runs lie in a folder, see `seed_folder`."""
    runs = [path.parent for path in parent.glob("seed*/config.json")]
    return sorted(int(run.name.removeprefix("seed")) for run in runs if _is_seed(run))


def summary_file(parent: Path) -> Path:
    """Means and deviations over the seeds that were trained together in a folder."""
    return parent / "summary.json"


def _is_seed(path: Path) -> bool:
    digits = path.name.removeprefix("seed")
    return path.name == f"seed{digits}" and digits.isdecimal()


def newest_run(root: Path = RUNS) -> RunFolder:
    """The run that was started last under `root`.

    Raises:
      UserError: there is none.
    """
    # Those of several seeds lie in a folder together.
    places = ("*/config.json", "*/seed*/config.json")
    configs = [file for place in places for file in root.glob(place)]
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
        raise UserError(
            f"run folder {path} {'is a file' if path.exists() else 'does not exist'}; "
            "name one that train.py made, such as one under runs/"
        )
    folder = RunFolder(path)
    if not folder.config_file.is_file():
        if seeds := seeds_in(path):
            raise UserError(
                f"{path} holds the runs of seeds {', '.join(map(str, seeds))}; name "
                f"one, such as {seed_folder(path, seeds[0])}"
            )
        raise UserError(
            f"{path} is not a run: it has no config.json; name a folder that train.py "
            "made, such as one under runs/"
        )
    return folder


def make_new_folder(config: Config) -> RunFolder:
    """Make runs/<time>-<model>-<prior>; a number follows where that is taken.

    Raises:
      UserError: no folder can be made here.
    """
    _make(RUNS, exist_ok=True)
    time = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    path = base = RUNS / f"{time}-{config.model}-{config.prior}"
    count = 1
    while not _make(path, exist_ok=False):
        count += 1
        path = base.with_name(f"{base.name}-{count}")
    return RunFolder(path)


def _make(path: Path, *, exist_ok: bool) -> bool:
    """Make a folder; False where it exists and may not."""
    try:
        place = path.absolute()
        missing = [each for each in place.parents if not each.exists()]
        path.mkdir(parents=exist_ok, exist_ok=exist_ok)
        for made in (place, *missing):
            flush(made.parent)
    except OSError as error:
        if isinstance(error, FileExistsError) and not exist_ok:
            return False
        raise UserError(
            f"run folder {path} cannot be made ({error.strerror}); choose another "
            "--run-dir"
        ) from error
    return True


def refuse_made_in_python(folder: RunFolder, record: RunRecord, call: str) -> None:
    """Refuse a run that only Python code can go on with; no file names code to run."""
    made = ["prior=..."] if record.config.prior == "custom" else []
    made += ["phases=..."] if record.phases is not None else []
    if made:
        raise UserError(
            f"{folder.path} was trained with a prior or phases made in Python; open it "
            f"there, with {call}{', '.join(made)})"
        )
