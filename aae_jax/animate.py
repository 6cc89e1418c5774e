"""The latent space of a run over its training, as a GIF of the codes that it kept."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aae_jax.figures.animation import Frame, animation
from aae_jax.kept_codes import kept_steps, read_codes
from aae_jax.meanings import by_name
from aae_jax.measured_values import is_number
from aae_jax.pictures import PRIOR_SAMPLES
from aae_jax.run import Run
from aae_jax.small_files import write_bytes

MOST_FRAMES = 80
"""Ten seconds; a file of 3 MB at most."""


def write_animation(run: Run, out: Path) -> None:
    """Animate the codes of held-out images over the epochs, up to `MOST_FRAMES` frames.

    Raises:
      UserError: the run has kept no codes, or they or its log are damaged.
      RunError: `out` cannot be written.
    """
    config, folder = run.record.config, run.folder
    steps = _evenly(kept_steps(folder), MOST_FRAMES)
    a_epoch = config.steps_per_epoch(run.record.n_train)
    n_epochs = math.ceil(config.total_steps() / a_epoch)
    ratios = _ratios(run)
    frames = []
    for kept in read_codes(folder, steps, z_dim=config.z_dim):
        status = f"epoch {math.ceil(kept.step / a_epoch):,} of {n_epochs:,}"
        if kept.step in ratios:
            status += f"    latent ratio {ratios[kept.step]:.2f}"
        frames.append(Frame(kept.z, kept.y, status))
    gif = animation(
        frames,
        prior=run.code_prior,
        z_prior=run.sample_codes(PRIOR_SAMPLES),
        title=folder.title,
        class_names=run.record.dataset.get("class_names"),
    )
    write_bytes(out, gif)


def _ratios(run: Run) -> Mapping[int, float]:
    """The latent ratio of each epoch in the log, by its step."""
    ratios: dict[int, Any] = {}
    for line in run.folder.log_lines():
        ratio = by_name(line).get("validation.latent.ratio")
        if is_number(ratio):
            ratios[line["step"]] = ratio
    return ratios


def _evenly(steps: Sequence[int], most: int) -> list[int]:
    """So many at most, evenly spaced, the first and the last among them."""
    n = min(len(steps), most)
    last = len(steps) - 1
    return [steps[round(index * last / max(n - 1, 1))] for index in range(n)]
