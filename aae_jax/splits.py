"""The splits of a data set, and what a run's metrics on one of them are."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aae_jax.data import Dataset
from aae_jax.data.stored import Images, StoredImages, select
from aae_jax.holdout import hold_out

if TYPE_CHECKING:  # which imports this module
    from aae_jax.run import Run

MOST_IMAGES = 20_000
"""Of a larger split so many images are measured and drawn; of more, minutes go by."""
MOST_BYTES = 2**28
"""Of images on disk no more than fit in that."""

Labels = NDArray[np.int32] | None
Split = tuple[NDArray[np.uint8], Labels]


def images_of_split(dataset: Dataset, split: str) -> tuple[Images, Labels]:
    """Images, and labels or None: test, train, or validation, the images held out."""
    if split == "test":
        return dataset.x_test, dataset.y_test
    named = zip(("train", "validation"), hold_out(len(dataset.x_train)), strict=True)
    rows = dict(named)[split]
    y = dataset.y_train
    return select(dataset.x_train, rows), None if y is None else y[rows]


def measured_of_split(dataset: Dataset, split: str) -> Split:
    """What of a split is measured and drawn, in memory.

    All of it, or of many images some, evenly spaced, see `MOST_IMAGES`.
    """
    return _measured(*images_of_split(dataset, split))


def _measured(x: Images, y: Labels) -> Split:
    n = min(len(x), MOST_IMAGES)
    if isinstance(x, StoredImages):
        n = min(n, MOST_BYTES * len(x) // x.nbytes)
    if n == len(x):
        return x[:], y
    rows = np.arange(n) * len(x) // n
    return x[rows], None if y is None else y[rows]


def metrics_of_split(run: "Run", dataset: Dataset, split: str) -> dict[str, Any]:
    """Metrics with the split that they are of, for a file: `error` as `test_error`.

    `images` tells how many there are, `measured` how many were measured, if not all;
    `labelled` tells how many of those have a label, where not all do.
    Clusters, where there are any, have the classes that the held-out images give them;
    without labels there, there is no `cluster_error`.
    """
    all_x, all_y = images_of_split(dataset, split)
    x, y = _measured(all_x, all_y)
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
    counts = {"images": len(all_x)}
    if len(x) < len(all_x):
        counts["measured"] = len(x)
    if y is not None and (y < 0).any():
        counts["labelled"] = int((y >= 0).sum())
    return {"split": split, **counts, **named}


def _cluster_classes(run: "Run", dataset: Dataset) -> NDArray[np.int32] | None:
    x, y = measured_of_split(dataset, "validation")
    return None if y is None else run.name_clusters(x, y)
