"""A tenth of the training images is held out for all that is watched or chosen."""

import jax
import numpy as np
from numpy.typing import NDArray

from aae_jax.errors import UserError
from aae_jax.training import HOLDOUT_STREAM

MIN_IMAGES = 20


def split_sizes(n_images: int) -> tuple[int, int]:
    """How many of the training images are trained on, and how many are held out."""
    if n_images < MIN_IMAGES:
        raise UserError(
            f"the data set has {n_images} training images; give {MIN_IMAGES} or more"
        )
    held_out = n_images // 10
    return n_images - held_out, held_out


def hold_out(seed: int, n_images: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Rows to train on and rows to watch: a permutation drawn from the run's seed."""
    n_train, _ = split_sizes(n_images)
    key = jax.random.fold_in(jax.random.key(seed), HOLDOUT_STREAM)
    order = np.asarray(jax.random.permutation(key, n_images))
    return np.sort(order[:n_train]), np.sort(order[n_train:])
