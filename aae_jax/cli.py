"""The command line of train.py: what is asked for.

Everything that can be refused is refused here, before jax is imported.
"""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from aae_jax.checkpoint_folder import ends_at
from aae_jax.config import Config
from aae_jax.data import check_dataset_name
from aae_jax.errors import UserError
from aae_jax.flags import given_fields, parse
from aae_jax.options import (
    RunOptions,
    check_devices,
    check_seeds,
    limit_in_bytes,
)
from aae_jax.run_folder import (
    SEEDS_NEED_A_PLACE,
    RunFolder,
    newest_run,
    open_run,
    refuse_made_in_python,
    seed_folder,
    summary_file,
)
from aae_jax.supervisor import (
    Cluster,
    be_watched,
    is_watched,
    watch_child,
)
from aae_jax.unread_flags import refuse_unread


class _ConfigFlags(Config):
    """What decides the result. None: the recipe's value, or the prior's default."""

    def __post_init__(self) -> None:
        """Nothing is checked yet: tyro would put our sentences into boxes."""


@dataclass(frozen=True)
class TrainFlags:
    """All flags of train.py."""

    training: tyro.conf.FlagConversionOff[_ConfigFlags]
    run: RunOptions
    seeds: int | None = None
    """Train so many models in one program, from --seed up, each in a folder of its own
    inside --run-dir."""
    distributed: bool = False
    """Train with other processes, here or on other machines, each started with the same
    command; the first alone writes. --batch-size is that of all together."""
    coordinator: str | None = None
    """HOST:PORT of the first of them; by default the cluster's environment tells."""
    processes: int | None = None
    """How many they are."""
    process_id: int | None = None
    """Which of them this is, from 0."""
    no_compile_cache: bool = False
    """Compile everything anew; else compiled programs are kept in the user's cache
    folder."""


@dataclass(frozen=True)
class TrainingRequest:
    """What train.py is asked to do, checked.

    `n_seeds` where several are trained together; `finished` is where nothing is left to
    do; `cluster` names the processes to train with, whose first has yet to look into
    the folders, see `joined_request`.
    """

    config: Config
    options: RunOptions
    n_seeds: int | None = None
    keep_compiled: bool = True
    finished: Path | None = None
    cluster: Cluster | None = None

    @property
    def folders(self) -> dict[int, RunFolder]:
        """The folders that were named, by the seed that is trained there."""
        place, first = self.options.run_dir, self.config.seed
        if place is None:
            return {}
        if self.n_seeds is None:
            return {first: RunFolder(place)}
        seeds = range(first, first + self.n_seeds)
        return {seed: seed_folder(place, seed) for seed in seeds}


def training_request(argv: Sequence[str]) -> TrainingRequest:
    """What train.py is asked to do.

    Raises:
      UserError: anything that can be known to be wrong without reading data.
    """
    flags = parse(
        TrainFlags,
        argv,
        script="train.py",
        about="Train an adversarial autoencoder; ends with pictures and metrics.",
    )
    values = _fields(flags.training)
    config, options = Config(**values), flags.run
    limit_in_bytes(options.memory_limit)
    if config.prior == "custom":
        raise UserError("prior='custom' is for Python; choose a named --prior here")
    if options.accept_changed_data and not options.resume:
        raise UserError(
            "--accept-changed-data is for going on with a run; add --resume, or leave "
            "it out"
        )
    if flags.seeds is not None:
        check_seeds(flags.seeds, first=config.seed)
    if options.init_from is not None:
        open_run(options.init_from)
    request = TrainingRequest(
        config,
        options,
        flags.seeds,
        not flags.no_compile_cache,
        cluster=_cluster(flags),
    )
    processes = 1
    if request.cluster is None:
        request = _settled(request, argv)
    elif request.cluster.processes is not None:
        processes = request.cluster.processes
    if request.finished is None:
        check_dataset_name(request.config.dataset, data_dir=options.data_dir)
        batch_size = request.config.hyperparameters.batch_size
        check_devices(options.devices, batch_size=batch_size, processes=processes)
    return request


def joined_request(argv: Sequence[str]) -> TrainingRequest:
    """`training_request`; one for several processes is joined by them first.

    Raises:
      UserError, RunError: see there and `join`.
      SystemExit: a child of this process has done all there was to do.
    """
    request = training_request(argv)
    if request.cluster is None:
        return request
    if not is_watched():
        sys.exit(watch_child())
    be_watched()
    from aae_jax.processes import join  # imports jax

    join(request.cluster)
    return _settled_together(request, argv)


def _settled_together(request: TrainingRequest, argv: Sequence[str]) -> TrainingRequest:
    """The request of all processes: the first looks into the folders.

    Raises:
      UserError: what is asked for differs, or the first may not have it.
    """
    from aae_jax.processes import refuse_disagreement, told_by_first

    asked = dataclasses.asdict(request.config) | {"seeds": request.n_seeds}
    refuse_disagreement({name: asked[name] for name in asked if name != "dataset"})

    def look() -> dict[str, Any]:
        settled = _settled(request, argv)
        place, finished = settled.options.run_dir, settled.finished
        return {
            "config": dataclasses.asdict(settled.config),
            "run_dir": None if place is None else str(place),
            "finished": None if finished is None else str(finished),
        }

    told = told_by_first(look)
    if "dataset" in given_fields(argv):  # each machine may keep it in its own place
        told["config"]["dataset"] = request.config.dataset
    return dataclasses.replace(
        request,
        config=Config.from_json(told["config"]),
        options=dataclasses.replace(request.options, run_dir=told["run_dir"]),
        finished=None if told["finished"] is None else Path(told["finished"]),
    )


def _cluster(flags: TrainFlags) -> Cluster | None:
    named = (flags.coordinator, flags.processes, flags.process_id)
    if flags.distributed:
        return Cluster(*named)
    if named != (None, None, None):
        raise UserError(
            "--coordinator, --processes and --process-id are for several processes; "
            "add --distributed, or leave them out"
        )
    return None


def _settled(request: TrainingRequest, argv: Sequence[str]) -> TrainingRequest:
    """The request with what its folders say: they are empty, or to go on with."""
    options, given = request.options, given_fields(argv)
    if options.resume and options.run_dir is None:
        if request.n_seeds is not None:
            raise UserError(SEEDS_NEED_A_PLACE)
        options = dataclasses.replace(options, run_dir=newest_run().path)
        request = dataclasses.replace(request, options=options)
    place = options.run_dir
    if request.n_seeds and place and RunFolder(place).config_file.exists():
        raise UserError(
            f"{place} is a run itself; give --seeds a --run-dir that can hold a run "
            "for each"
        )
    values = _fields(request.config)
    typed = {name: values[name] for name in values if name in given}
    if resumed := _resumed(request, typed):
        return resumed
    refuse_unread(request.config, given)
    for folder in request.folders.values():
        folder.refuse_content()
    return request


def _resumed(
    request: TrainingRequest, typed: Mapping[str, Any]
) -> TrainingRequest | None:
    """The request with the config of the runs to go on with; None where none is."""
    begun = {
        seed: folder
        for seed, folder in request.folders.items()
        if folder.config_file.is_file()
    }
    if not begun or not request.options.resume:
        return None
    config, several = request.config, request.n_seeds is not None
    finished = len(begun) == len(request.folders)
    for seed, folder in begun.items():
        stored = folder.read_record()
        refuse_made_in_python(folder, stored, "fit(config, options=..., ")
        config = stored.resumed({**typed, "seed": seed} if several else typed)
        ended = ends_at(folder.checkpoints, stored.config.total_steps())
        finished = finished and ended and folder.metrics_file.exists()
        if finished:
            folder.read_metrics()  # refuses what is none
    place = request.options.run_dir
    if several and place is not None:
        config = dataclasses.replace(config, seed=request.config.seed)
        finished = finished and summary_file(place).exists()
    place = place if finished else None
    return dataclasses.replace(request, config=config, finished=place)


def _fields(config: Config) -> dict[str, Any]:
    return {
        each.name: getattr(config, each.name) for each in dataclasses.fields(Config)
    }
