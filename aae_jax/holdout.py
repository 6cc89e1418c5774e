"""A tenth of the training images is held out for all that is watched or chosen."""

import jax
import numpy as np
from numpy.typing import NDArray

from aae_jax.errors import UserError

MIN_IMAGES = 20
WATCHED = 2_000
"""Held-out images that are measured after each epoch."""

_SEED, _STREAM = 0, 2**32 - 3


def split_sizes(n_images: int) -> tuple[int, int]:
    """How many of the training images are trained on, and how many are held out.

    Raises:
      UserError: there are too few images to hold any out.
    """
    if n_images < MIN_IMAGES:
        raise UserError(
            f"the data set has {n_images} images to train on beside its test images; "
            f"give {MIN_IMAGES} or more"
        )
    held_out = n_images // 10
    return n_images - held_out, held_out


def hold_out(n_images: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Rows to train on and rows to hold out, both ascending.

    A fixed permutation, whatever a run's seed: runs compare on the same images, and one
    that begins with the weights of another has not learnt its held-out images before.

    Raises:
      UserError: see `split_sizes`.
    """
    n_train, _ = split_sizes(n_images)
    key = jax.random.fold_in(jax.random.key(_SEED), _STREAM)
    order = np.asarray(jax.random.permutation(key, n_images))
    return np.sort(order[:n_train]), np.sort(order[n_train:])


def watched(held_out: NDArray[np.int32]) -> NDArray[np.int32]:
    """Those of the held-out rows that are measured after each epoch.

    Evenly spaced, because images may be in order: of their classes, of their writers.
    """
    n = min(WATCHED, len(held_out))
    return held_out[np.arange(n) * len(held_out) // n]
