"""A trained model with its folder: encode, decode, sample, reconstruct, measure."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

from aae_jax.checkpoint import load_checkpoint
from aae_jax.data.conversion import as_images, as_labels
from aae_jax.errors import UserError
from aae_jax.loop import init_loop
from aae_jax.messages import Say, say_on_stderr
from aae_jax.metrics import make_measure
from aae_jax.networks import Params
from aae_jax.phases import Model, Phase, make_model
from aae_jax.priors import Prior
from aae_jax.run_folder import RunFolder, open_run
from aae_jax.run_record import RunRecord
from aae_jax.small_files import read_json
from aae_jax.training import make_step

_BATCH_ROWS, _BATCH_VALUES = 500, 2**24
"""A network is applied to so many rows, and values of their images, at a time."""


@dataclass(frozen=True, eq=False)
class Run:
    """A trained model. `fit` returns one, `Run.load` opens one.

    Images are `[n, height, width, channels]`: uint8, or float in [0, 1]. Codes are
    `[n, z_dim]`. Images and codes come back as float32 numpy arrays.
    """

    folder: RunFolder
    record: RunRecord
    model: Model
    params: Params
    step: int

    def __repr__(self) -> str:
        """Where it is and what it is, without its millions of numbers."""
        config = self.record.config
        return (
            f"Run({str(self.folder)!r}, model={config.model!r}, "
            f"prior={self.model.prior.name!r}, z_dim={config.z_dim}, step={self.step})"
        )

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
        return cls(folder, record, model, loaded.state.state.params, loaded.step)

    def encode(self, x: ArrayLike) -> NDArray[np.float32]:
        """Codes `[n, z_dim]` of images.

        Raises:
          UserError: images of another shape, or values that are not in [0, 1].
        """
        return self._in_batches(self._encode, self._images(x))

    def decode(self, z: ArrayLike) -> NDArray[np.float32]:
        """Images `[n, height, width, channels]` in [0, 1] of codes.

        Raises:
          UserError: codes of another shape, or not finite.
        """
        return self._in_batches(self._decode, self._codes(z))

    def reconstruct(self, x: ArrayLike) -> NDArray[np.float32]:
        """Images after a way through their codes, in [0, 1]."""
        return self.decode(self.encode(x))

    def sample(self, n: int, *, seed: int = 0) -> NDArray[np.float32]:
        """Images `[n, height, width, channels]` of n codes drawn from the prior."""
        return self.decode(self.sample_codes(n, seed=seed))

    def sample_codes(self, n: int, *, seed: int = 0) -> NDArray[np.float32]:
        """`[n, z_dim]` drawn from the prior.

        Raises:
          UserError: n is below 0.
        """
        if n < 0:
            raise UserError(f"n={n} is out of range; draw 0 or more codes")
        return np.asarray(self.model.prior.sample(jax.random.key(seed), n), np.float32)

    def metrics(
        self, x: ArrayLike | None = None, y: ArrayLike | None = None
    ) -> dict[str, Any]:
        """The test set's metrics as stored at the end of the run, or those of `x`.

        Args:
          x: images to measure on instead, with labels `y` or without.

        Raises:
          UserError: no images are given and the run has not ended; or the images do not
            fit, or are fewer than 2.
        """
        if x is None:
            if not self.folder.metrics_file.exists():
                raise UserError(
                    f"{self.folder.path} has not ended, so it has no test metrics; "
                    "give images, or finish it with 'python train.py --resume'"
                )
            return read_json(self.folder.metrics_file)
        images = self._images(x)
        if images.dtype != np.uint8:
            images = np.rint(images * 255).astype(np.uint8)
        if len(images) < 2:
            raise UserError(f"got {len(images)} images; metrics need 2 or more")
        labels = as_labels(None if y is None else np.asarray(y), len(images), "y")
        metrics, _ = make_measure(self.model, images, labels)(self.params)
        return metrics

    def _images(self, x: ArrayLike) -> NDArray[np.uint8] | NDArray[np.float32]:
        """Images of the run's shape: uint8, or float32 in [0, 1]."""
        images, shape = np.asarray(x), self.record.image_shape
        if images.shape[1:] == shape[:2] and shape[2] == 1:
            images = images[..., None]
        if images.shape[1:] != shape or images.ndim != 4:
            one = "; give x[None] for a single image" if images.shape == shape else ""
            raise UserError(
                f"got an array of shape {images.shape}, and this run was trained on "
                f"images of {shape}: [n, height, width, channels]{one}"
            )
        if images.dtype.kind != "f":
            return as_images(images, "x")
        if not ((images >= 0) & (images <= 1)).all():
            raise UserError(
                "got images with values that are not in [0, 1]; divide by 255"
            )
        return images.astype(np.float32)

    def _codes(self, z: ArrayLike) -> NDArray[np.float32]:
        codes, z_dim = np.asarray(z), self.record.config.z_dim
        if codes.shape[1:] != (z_dim,) or codes.dtype.kind not in "iuf":
            raise UserError(
                f"got codes of shape {codes.shape} and type {codes.dtype}; this run's "
                f"are numbers of shape [n, {z_dim}]"
            )
        with np.errstate(over="ignore"):
            codes = codes.astype(np.float32)
        if not np.isfinite(codes).all():
            raise UserError(
                "got codes that are NaN or infinite in float32; give finite numbers"
            )
        return codes

    @cached_property
    def _encode(self) -> Callable[[Params, NDArray], jax.Array]:
        return jax.jit(self.model.networks.encode)

    @cached_property
    def _decode(self) -> Callable[[Params, NDArray], jax.Array]:
        return jax.jit(self.model.networks.decode)

    def _in_batches(
        self, apply: Callable[[Params, NDArray], jax.Array], inputs: NDArray
    ) -> NDArray[np.float32]:
        """Apply a network to any number of rows, compiled for one number."""
        fitting = _BATCH_VALUES // math.prod(self.record.image_shape)
        batch = max(1, min(_BATCH_ROWS, fitting))
        one = jax.ShapeDtypeStruct((batch, *inputs.shape[1:]), np.float32)
        shape = jax.eval_shape(apply, self.params, one).shape
        outputs = np.empty((len(inputs), *shape[1:]), np.float32)
        for first in range(0, len(inputs), batch):
            rows = inputs[first : first + batch]
            if rows.dtype == np.uint8:
                rows = rows.astype(np.float32) / 255
            full = np.pad(rows, [(0, batch - len(rows))] + [(0, 0)] * (rows.ndim - 1))
            outputs[first : first + batch] = apply(self.params, full)[: len(rows)]
        return outputs
