"""What is to be trained: settled and checked, with nothing written yet."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from numpy.typing import NDArray

from aae_jax.config import Config
from aae_jax.data import Dataset
from aae_jax.data.files import default_memory_limit
from aae_jax.data.stored import StoredImages, select
from aae_jax.devices import make_mesh, on_each
from aae_jax.disk_feed import DiskFeed
from aae_jax.feeds import Feed, MemoryFeed, TrainingData
from aae_jax.first_state import Start, make_start
from aae_jax.holdout import hold_out, watched
from aae_jax.loop import make_loop
from aae_jax.measure import Measure, make_measure
from aae_jax.messages import Say
from aae_jax.options import RunOptions, limit_in_bytes
from aae_jax.phases import Model, Phase, make_model
from aae_jax.plan import Plan
from aae_jax.priors import Prior
from aae_jax.processes import refuse_disagreement
from aae_jax.run_record import RunRecord
from aae_jax.run_start import kept_labels, load_data, make_record, settle
from aae_jax.together import Loops, together
from aae_jax.training import Update, make_step
from aae_jax.variants import phases_of


@dataclass(frozen=True)
class Job:
    """One run, or several that differ in their seeds alone.

    Attributes:
      config: settled, see there; its seed is that of the first run.
      dataset: all images.
      records: what config.json of each run is to say.
      feeds: what each run trains on, see `Feed`.
      model, step, start, plan: see there.
      mesh: the devices that share each batch, see `make_mesh`.
    """

    config: Config
    dataset: Dataset
    records: Sequence[RunRecord]
    feeds: Sequence[Feed]
    model: Model
    step: Update
    start: Start
    plan: Plan
    mesh: Mesh | None

    def loop(self) -> Loops:
        """The loop, compiled when it is called."""
        return together(make_loop(self.config, self.step, mesh=self.mesh))

    def measure(self) -> Measure:
        """What measures on the images held out."""
        _, held_out_rows = hold_out(len(self.dataset.x_train))
        rows = watched(held_out_rows)
        x, y = self.dataset.x_train, self.dataset.y_train
        return make_measure(self.model, x[rows], None if y is None else y[rows])


def prepare(
    config: Config,
    seeds: Sequence[int],
    *,
    dataset: Dataset | None,
    prior: Prior | None,
    phases: tuple[Phase, ...] | None,
    options: RunOptions,
    say: Say,
) -> Job:
    """Settle and check all that is asked for.

    Raises:
      UserError: data that cannot be read or do not fit; devices that are not there; a
        run to begin with that is none, or does not fit; processes that differ.
    """
    mesh = make_mesh(options.devices, batch_size=config.hyperparameters.batch_size)
    dataset = load_data(config, options, given=dataset, say=say)
    config = settle(config, dataset, options, prior=prior)
    configs = [replace(config, seed=seed) for seed in seeds]
    tell = None if options.quiet else say
    labels = [kept_labels(each, dataset, say=tell) for each in configs]
    if phases is None and not config.reads_labels:
        labels = [None for _ in configs]  # phases of a user's own may read them
    limit = limit_in_bytes(options.memory_limit) or default_memory_limit()
    feeds = _make_feeds(configs, dataset, labels, mesh=mesh, memory_limit=limit)
    record = make_record(
        config, dataset, options, phases=phases, together=len(seeds), say=tell
    )
    records = [replace(record, config=each) for each in configs]
    refuse_disagreement(_shared(records[0]))
    refuse_disagreement(_places(feeds[0]), instead="give all the same --memory-limit")
    step = make_step(config, prior=prior, phases=phases)
    start = make_start(
        config,
        step=step,
        image_shape=dataset.image_shape,
        prior=prior,
        phases=phases,
        init_from=options.init_from,
        say=say,
    )
    plan = Plan(
        phases=tuple(phase.name for phase in phases or phases_of(config)),
        total_steps=config.total_steps(),
        steps_per_epoch=config.steps_per_epoch(records[0].n_train),
        batch_size=config.hyperparameters.batch_size,
        quiet=options.quiet,
    )
    model = make_model(config, image_shape=dataset.image_shape, prior=prior)
    return Job(config, dataset, records, feeds, model, step, start, plan, mesh)


def _make_feeds(
    configs: Sequence[Config],
    dataset: Dataset,
    labels: Sequence[NDArray[np.int32] | None],
    *,
    mesh: Mesh | None,
    memory_limit: int,
) -> tuple[Feed, ...]:
    """For each run what it trains on; images in memory are on the devices once.

    Args:
      configs: of the runs.
      dataset: all images.
      labels: for each run those of the training images, -1 where a label is not used;
        None where no phase reads any.
      mesh, memory_limit: see `DiskFeed`.

    Raises:
      UserError: the limit is too small for a batch of images on disk.
    """
    train_rows, _ = hold_out(len(dataset.x_train))
    x = select(dataset.x_train, train_rows)
    runs = list(zip(configs, labels, map(_labelled_rows, configs, labels), strict=True))
    if isinstance(x, StoredImages):
        return tuple(
            DiskFeed(
                config,
                x,
                y,
                rows,
                jax.random.key(config.seed),
                memory_limit=memory_limit,
                n_runs=len(runs),
                mesh=mesh,
            )
            for config, y, rows in runs
        )
    on_devices = on_each(jnp.asarray(x), mesh)
    return tuple(
        MemoryFeed(
            config,
            TrainingData(
                on_devices, *on_each(jax.tree.map(jnp.asarray, (y, rows)), mesh)
            ),
            jax.random.key(config.seed),
            mesh=mesh,
        )
        for config, y, rows in runs
    )


def _labelled_rows(
    config: Config, y: NDArray[np.int32] | None
) -> NDArray[np.int32] | None:
    """Of the images that are shown beside all, with labels; None if none are."""
    if y is None:
        return None
    rows = np.flatnonzero(y >= 0).astype(np.int32)
    # Labelled images beside images that all are would be the same ones again.
    again = config.wiring.parts_prior and len(rows) == len(y)
    return rows if len(rows) and not again else None


def _places(feed: Feed) -> dict[str, Any]:
    """Where a process keeps images, which is part of the program that all compile."""
    place = "on disk" if isinstance(feed, DiskFeed) else "in memory"
    return {"images": place, "steps of images at a time": feed.end(0)}


def _shared(record: RunRecord) -> dict[str, Any]:
    """What processes that train together must have in common, wherever data lie."""
    config = dataclasses.asdict(record.config)
    del config["dataset"]
    versions = ("jax", "jaxlib", "source", "devices")
    return {
        **config,
        "images": record.dataset["fingerprint"],
        "phases": record.phases,
        **{name: record.environment[name] for name in versions},
    }
