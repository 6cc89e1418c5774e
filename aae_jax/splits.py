"""The splits of a data set, and what a run's metrics on one of them are."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aae_jax.data import Dataset
from aae_jax.holdout import hold_out
from aae_jax.run import Run

Images = tuple[NDArray[np.uint8], NDArray[np.int32] | None]


def images_of_split(dataset: Dataset, split: str) -> Images:
    """Images, and labels or None: test, train, or validation, the images held out."""
    if split == "test":
        return dataset.x_test, dataset.y_test
    train_rows, held_out_rows = hold_out(len(dataset.x_train))
    rows = train_rows if split == "train" else held_out_rows
    y = dataset.y_train
    return dataset.x_train[rows], None if y is None else y[rows]


def metrics_of_split(run: Run, dataset: Dataset, split: str) -> dict[str, Any]:
    """Metrics with the split that they are of, for a file: `error` as `test_error`.

    Clusters, where there are any, have the classes that the held-out images give them.
    """
    x, y = images_of_split(dataset, split)
    metrics = run.metrics(x, y, cluster_classes=_cluster_classes(run, dataset))
    named = {
        f"{split}_error" if name == "error" else name: value
        for name, value in metrics.items()
    }
    return {"split": split, "images": len(x), **named}


def _cluster_classes(run: Run, dataset: Dataset) -> NDArray[np.int32] | None:
    x, y = images_of_split(dataset, "validation")
    if not run.record.config.finds_clusters or y is None:
        return None
    return run.name_clusters(x, y)
