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
    named = zip(("train", "validation"), hold_out(len(dataset.x_train)), strict=True)
    rows = dict(named)[split]
    y = dataset.y_train
    return dataset.x_train[rows], None if y is None else y[rows]


def metrics_of_split(run: Run, dataset: Dataset, split: str) -> dict[str, Any]:
    """Metrics with the split that they are of, for a file: `error` as `test_error`.

    `labelled` tells how many images have a label, where not all do.
    Clusters, where there are any, have the classes that the held-out images give them;
    without labels there, there is no `cluster_error`.
    """
    x, y = images_of_split(dataset, split)
    classes = None
    if run.record.config.finds_clusters:
        classes = _cluster_classes(run, dataset)
    metrics = run.metrics(x, y, cluster_classes=classes)
    if classes is None:
        metrics.pop("cluster_error", None)
    named = {
        f"{split}_error" if name == "error" else name: value
        for name, value in metrics.items()
    }
    counts = {"images": len(x)}
    if y is not None and (y < 0).any():
        counts["labelled"] = int((y >= 0).sum())
    return {"split": split, **counts, **named}


def _cluster_classes(run: Run, dataset: Dataset) -> NDArray[np.int32] | None:
    x, y = images_of_split(dataset, "validation")
    return None if y is None else run.name_clusters(x, y)
