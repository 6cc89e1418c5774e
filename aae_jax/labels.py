"""Which training images keep their labels."""

from typing import Literal

import jax
import numpy as np
from jaxtyping import Int

from aae_jax.errors import UserError
from aae_jax.training import LABELS_STREAM


def keep_labels(
    y: Int[np.ndarray, " n"], count: int | Literal["all"], *, seed: int
) -> Int[np.ndarray, " n"]:
    """The labels with all but `count` of them replaced by -1.

    As many of each class: their counts differ by at most one.

    Args:
      y: `[n]`, labels, -1 where there is none.
      count: how many are kept, or all.
      seed: the run's; it decides which.

    Raises:
      UserError: there are not so many, as many of each class.
    """
    if count == "all":
        return y
    kept = np.full_like(y, -1)
    if count == 0:
        return kept
    key = jax.random.fold_in(jax.random.key(seed), LABELS_STREAM)
    order = np.asarray(jax.random.permutation(key, len(y)))
    classes, sizes = np.unique(y[y >= 0], return_counts=True)
    if not classes.size:
        raise UserError(
            f"labels={count} asks for labels, and no image that is trained on has one; "
            "leave --labels out, or give labels y"
        )
    shares = np.full(len(classes), count // len(classes))
    # Which classes get one more is left to the order of the images, too.
    shares[np.argsort(order[: len(classes)])[: count % len(classes)]] += 1
    short = np.flatnonzero(sizes < shares)
    if short.size:
        raise UserError(
            f"labels={count} asks for as many training images of each class, "
            f"{shares[short[0]]} of class {classes[short[0]]}, and there are "
            f"{sizes[short[0]]}; give --labels {len(classes) * sizes.min()} or less, "
            "or all"
        )
    for label, share in zip(classes, shares, strict=True):
        rows = order[y[order] == label][:share]
        kept[rows] = label
    return kept


def count_classes(*labels: Int[np.ndarray, " _"] | None) -> int:
    """How many classes labels tell apart: one more than the largest; 0 without any."""
    return 1 + max(
        (int(y.max(initial=-1)) for y in labels if y is not None), default=-1
    )
