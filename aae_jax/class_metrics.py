"""Numbers for how well inferred categories tell the classes of images."""

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import NDArray


def classification_error(
    y_logits: Float[NDArray, "n categories"], y: Int[NDArray, " n"]
) -> float | None:
    """Share of the labelled images whose likeliest category is not their label.

    Returns:
      A share of 1, or None where no image has a label.
    """
    y_logits, y = y_logits[y >= 0], y[y >= 0]
    if not len(y):
        return None
    return float(np.mean(y_logits.argmax(axis=1) != y))


def cluster_error(
    y_logits: Float[NDArray, "n categories"], y: Int[NDArray, " n"]
) -> dict[str, float | int] | None:
    """How well clusters tell the classes once each cluster has been given a class.

    Returns:
      `cluster_error`: the share of labelled images in a cluster of another class; a
        cluster's class is that of the image with its highest probability, the paper's
        rule (Makhzani et al. 2015, section 6);
      `cluster_error_majority`: the same where it is that of most of its images, which
        reads more labels and is never worse;
      `clusters_used`: how many clusters have any image.
      None where no image has a label.
    """
    y_logits, y = np.asarray(y_logits, np.float64)[y >= 0], y[y >= 0]
    if not len(y):
        return None
    cluster = y_logits.argmax(axis=1)
    likeliest = y_logits - np.logaddexp.reduce(y_logits, axis=1, keepdims=True)
    by_rule = y[likeliest.argmax(axis=0)]
    counts = np.zeros((y_logits.shape[1], y.max() + 1), np.int64)
    np.add.at(counts, (cluster, y), 1)
    return {
        "cluster_error": float(np.mean(by_rule[cluster] != y)),
        "cluster_error_majority": float(np.mean(counts.argmax(axis=1)[cluster] != y)),
        "clusters_used": len(np.unique(cluster)),
    }
