"""A trained model with its folder: opened, measured, compared, shown, exported."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike

from aae_jax.checkpoint import load_checkpoint
from aae_jax.data import Dataset
from aae_jax.data.conversion import as_labels
from aae_jax.data.stored import StoredImages
from aae_jax.errors import UserError
from aae_jax.loop import init_loop
from aae_jax.measure import make_measure
from aae_jax.messages import Say, say_on_stderr
from aae_jax.novelty import FEWEST, Familiar, Novelty
from aae_jax.phases import Phase, make_model
from aae_jax.priors import Prior
from aae_jax.run_folder import RunFolder, open_run
from aae_jax.run_inputs import (
    cluster_classes_for_run,
)
from aae_jax.splits import measured_of_split
from aae_jax.trained import TrainedNetworks
from aae_jax.training import make_step


@dataclass(frozen=True, eq=False)
class Run(TrainedNetworks):
    """A trained model. `fit` returns one, `Run.load` opens one.

    Images are `[n, height, width, channels]`: uint8, or float in [0, 1]. Codes are
    `[n, z_dim]`. Images and codes come back as float32 numpy arrays.

    Attributes:
      record, model, params: see `TrainedNetworks`.
      folder: where everything is kept.
      step: how many steps the weights were trained.
    """

    folder: RunFolder
    step: int

    def __repr__(self) -> str:
        """Where it is and what it is, without its millions of numbers."""
        config = self.record.config
        return (
            f"Run({str(self.folder)!r}, model={config.model!r}, "
            f"prior={self.model.prior.name!r}, z_dim={config.z_dim}, step={self.step})"
        )

    def _repr_html_(self) -> str:
        """What a notebook shows of it: its metrics, if it has ended, and its grid."""
        from aae_jax.notebook import shown_in_notebook  # imports matplotlib

        return shown_in_notebook(self)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        prior: Prior | None = None,
        phases: tuple[Phase, ...] | None = None,
        say: Say = say_on_stderr,
    ) -> "Run":
        """Open a run, finished or not, at its newest intact checkpoint.

        Args:
          path: the run's folder, such as `run.folder`; None takes the newest under
            runs/.
          prior: the one that was given to `fit`, where one was.
          phases: likewise.
          say: is told of damaged checkpoints that were passed over.

        Raises:
          UserError: not a run, nothing saved yet, or made with a prior or phases of its
            own that are not given.
          RunError: all its checkpoints are damaged.
        """
        folder = open_run(None if path is None else Path(path))
        record = folder.read_record()
        if record.phases is not None and phases is None:
            raise UserError(
                f"{folder.path} was trained with phases of its own "
                f"({', '.join(record.phases)}); give them: Run.load(..., phases=...)"
            )
        like = jax.eval_shape(
            lambda key: init_loop(
                record.config,
                key,
                step=make_step(record.config, prior=prior, phases=phases),
                image_shape=record.image_shape,
                prior=prior,
                phases=phases,
            ),
            jax.random.key(record.config.seed),
        )
        loaded = load_checkpoint(folder.checkpoints, like, say=say)
        if loaded is None:
            raise UserError(
                f"{folder.path} has no checkpoint yet; wait for its training to save "
                f"one, or go on with 'python train.py --resume --run-dir {folder.path}'"
            )
        model = make_model(record.config, image_shape=record.image_shape, prior=prior)
        return cls(record, model, loaded.state.state.weights, folder, loaded.step)

    def metrics(
        self,
        x: ArrayLike | None = None,
        y: ArrayLike | None = None,
        *,
        cluster_classes: ArrayLike | None = None,
    ) -> dict[str, Any]:
        """The test set's metrics as stored at the end of the run, or those of `x`.

        Args:
          x: images to measure on instead, with labels `y` or without.
          cluster_classes: `[clusters]`, where the model finds clusters: the class of
            each, see `name_clusters`; by default x and y name them. A training lets
            the images do it that it held out.

        Raises:
          UserError: no images are given and the run has not ended; or the images do not
            fit, or are fewer than 2; or cluster_classes do not fit; or metrics.json is
            damaged.
        """
        if x is None:
            if not self.folder.metrics_file.exists():
                raise UserError(
                    f"{self.folder.path} has not ended, so it has no test metrics; "
                    "give images, or finish it with 'python train.py --resume'"
                )
            return self.folder.read_metrics()
        images = self._images(x)
        if images.dtype != np.uint8:
            images = np.rint(images * 255).astype(np.uint8)
        if len(images) < 2:
            raise UserError(f"got {len(images)} images; metrics need 2 or more")
        labels = as_labels(None if y is None else np.asarray(y), len(images), "y")
        classes = None
        if cluster_classes is not None:
            classes = cluster_classes_for_run(cluster_classes, self.record.config)
        measure = make_measure(self.model, images, labels)
        return measure(self.params, classes).metrics

    def novelty(self, x: ArrayLike | StoredImages, dataset: Dataset) -> Novelty:
        """How odd images are, with the parts of the score.

        Args:
          x: images; those on disk are read some at a time.
          dataset: see `familiar`.

        Raises:
          UserError: see `encode` and `familiar`.
        """
        return self.familiar(dataset).novelty(self._any_images(x))

    def familiar(self, dataset: Dataset) -> Familiar:
        """What images are compared with: 20,000 at most that the run was trained on,
        and as many that it held out.

        Args:
          dataset: that which the run was trained on.

        Raises:
          UserError: images of another shape; fewer than 20 that it held out.
        """
        known, ordinary = (
            self._any_images(measured_of_split(dataset, split)[0])
            for split in ("train", "validation")
        )
        if len(ordinary) < FEWEST:
            raise UserError(
                f"{dataset.name} has {len(ordinary)} images that are held out from "
                f"training; novelty is told from {FEWEST} or more, so give "
                f"{10 * FEWEST} training images or more"
            )
        return Familiar(self._inference, known, ordinary)

    def export(self, path: str | os.PathLike[str], *, say: Say = say_on_stderr) -> None:
        """Write encoder and decoder for programs that have no aae_jax.

        A new folder at `path` with ONNX files, StableHLO files, which jax alone runs,
        and a README.md that shows how to use them.

        Args:
          say: is told what was written, and how far it is from what the run computes.

        Raises:
          UserError, RunError: see `export_run`.
        """
        from aae_jax.export import export_run  # imports onnx

        export_run(self, Path(path), say=say)
