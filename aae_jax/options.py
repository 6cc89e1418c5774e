"""What the scripts are asked for beside the config: where, from where, how loud."""

import os
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from aae_jax.checks import check_number
from aae_jax.config import Config
from aae_jax.errors import UserError


@dataclass(frozen=True)
class RunOptions:
    """Where and how a training happens."""

    run_dir: Path | None = None
    """The run's folder; a new one under runs/ by default."""
    resume: bool = False
    """Go on with the run in --run-dir, or begin one there; without --run-dir with the
    newest one."""
    accept_changed_data: bool = False
    """Go on, with --resume, though the images or labels are not those of before."""
    init_from: Path | None = None
    """Start from the weights of another run."""
    data_dir: Path | None = None
    """Where prepared data sets lie; the user's cache folder by default."""
    memory_limit: float | None = None
    """GiB that images may take in memory, by default a quarter of it; more stay on
    disk, if they are not packed."""
    devices: int = 1
    """How many of the machine's devices share each batch."""
    no_figures: bool = False
    """No pictures and no report at the end; evaluate.py makes them later."""
    quiet: bool = False
    """No progress, only the result."""

    def __post_init__(self) -> None:
        """Take strings too, and `~` as shells do."""
        _expand(self, "run_dir", "init_from", "data_dir")

    @property
    def flags_to_go_on(self) -> tuple[str, ...]:
        """Flags of a command that goes on as this one, which no config.json keeps."""
        valued = {
            "--data-dir": self.data_dir,
            "--memory-limit": self.memory_limit,
            "--devices": self.devices if self.devices > 1 else None,
        }
        flags = [(flag, str(each)) for flag, each in valued.items() if each is not None]
        return (*chain(*flags), *(["--no-figures"] if self.no_figures else []))


@dataclass(frozen=True)
class EvaluationOptions:
    """What to see of a run. With no flag at all: every picture, the report, and the
    metrics."""

    run_dir: Path | None = None
    """The run's folder; the newest one under runs/ by default."""
    grid: bool = False
    """Picture: codes on a lattice, decoded."""
    styles: bool = False
    """Picture: codes decoded as each class, or cluster: a code a row."""
    heads: bool = False
    """Picture: the centre of each class, or cluster, decoded, and images of it."""
    manifold: bool = False
    """Picture: codes along each part of the prior, decoded: a part a row."""
    latent: bool = False
    """Picture: codes coloured by class over the prior."""
    histogram: bool = False
    """Picture: codes beside the prior, each dimension."""
    reconstructions: bool = False
    """Picture: images and what comes back."""
    samples: bool = False
    """Picture: decoded draws from the prior."""
    losses: bool = False
    """Picture: losses over the steps with their equilibria."""
    explore: bool = False
    """Page for a browser in which the latent space is moved through, explore.html."""
    report: bool = False
    """All that there is to know of the run on one page, report.html, with its pictures
    inside."""
    animate: bool = False
    """The codes of held-out images over the training, an epoch a frame, as
    animation.gif."""
    metrics: bool = False
    """Print the metrics as JSON, and nothing else, on stdout."""
    split: str = "test"
    """Images that pictures, pages and metrics are about: test or validation."""
    encode: str | None = None
    """Write the codes of test, validation, train, or of images at a path, to --out."""
    score: str | None = None
    """Write how novel the images of test, validation, train, or at a path, are to
    --out, a .csv file, and the most and least novel as a picture beside it."""
    decode: Path | None = None
    """Write the images of the codes `z` in an .npz file to --out."""
    sample: int | None = None
    """Draw so many codes from the prior; write them and their images to --out."""
    parzen: int | None = None
    """Print the log-likelihood of the images under a Parzen window around so many
    samples, as JSON on stdout."""
    export: Path | None = None
    """Write encoder and decoder as ONNX and as StableHLO, and how to use them without
    aae_jax, to a new folder."""
    seed: int = 0
    """Of --sample and --parzen."""
    out: Path | None = None
    """Folder for pictures and pages (the run's figures by default), or .npz (--score:
    .csv) file to write."""
    dataset: str | None = None
    """Where the run's data are now, if they moved."""
    data_dir: Path | None = None
    """Where prepared data sets lie; the user's cache folder by default."""
    memory_limit: float | None = None
    """As in train.py; also bounds the images that --decode, --sample and --parzen
    make."""
    no_compile_cache: bool = False
    """Compile everything anew; else compiled programs are kept in the user's cache
    folder."""

    def __post_init__(self) -> None:
        """Take strings too, and `~` as shells do."""
        _expand(self, "run_dir", "decode", "export", "out", "data_dir")

    @property
    def pictures(self) -> tuple[str, ...]:
        """The pictures that were asked for, by name."""
        return tuple(name for name in PICTURE_NAMES if getattr(self, name))


SPLITS = ("test", "validation", "train")
"""What the images of a run are parted into."""
PICTURE_NAMES = (
    "grid",
    "styles",
    "heads",
    "manifold",
    "latent",
    "histogram",
    "reconstructions",
    "samples",
    "losses",
)


def pictures_of(config: Config) -> tuple[str, ...]:
    """Names of the pictures that runs of a config have."""
    wiring = config.wiring
    missing = {
        "grid": wiring.decodes_y,
        "styles": not wiring.decodes_y,
        "heads": not wiring.infers_y,
        "manifold": not wiring.parts_prior or config.prior == "custom",
    }
    return tuple(name for name in PICTURE_NAMES if not missing.get(name))


def _expand(options: object, *names: str) -> None:
    for name in names:
        if (path := getattr(options, name)) is not None:
            # Path's own method raises where there is no such user.
            object.__setattr__(options, name, Path(os.path.expanduser(path)))


def limit_in_bytes(gibibytes: float | None) -> int | None:
    """A --memory-limit in bytes; None, the default, stays None.

    Raises:
      UserError: not a number above 0 and up to a million.
    """
    if gibibytes is None:
        return None
    if not 0 < gibibytes <= 1e6:
        raise UserError(
            f"memory_limit={gibibytes:g} is out of range; give --memory-limit the GiB "
            "that images may take, more than 0, such as 4"
        )
    return int(gibibytes * 2**30)


def check_seeds(n_seeds: int, *, first: int) -> None:
    """Refuse a number of seeds that is none, or that leads beyond the last seed.

    Raises:
      UserError: with what is allowed.
    """
    check_number("seeds", n_seeds, 1, min(1000, 2**32 - first), whole=True)


def check_devices(devices: int, *, batch_size: int, processes: int = 1) -> None:
    """Refuse a number of devices, of each process, that cannot share a batch equally.

    Raises:
      UserError: with the nearest batches that they can share.
    """
    check_number("devices", devices, 1, 65_536, whole=True)
    in_all = devices * processes
    if rest := batch_size % in_all:
        below, above = batch_size - rest, batch_size - rest + in_all
        nearest = f"{below} or {above}" if below >= 2 else str(above)
        who = f"devices={devices}"
        if processes > 1:
            who += f" in each of {processes} processes"
        raise UserError(
            f"{who} cannot share batches of {batch_size} images equally; "
            f"use --batch-size {nearest}, or another --devices"
        )
