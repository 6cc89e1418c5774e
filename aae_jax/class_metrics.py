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


def log_shares(
    y_logits: Float[NDArray, "n categories"],
) -> Float[NDArray, "n categories"]:
    """log q(y|x), in float64: where float32 has 1 twice, it tells who is surer."""
    y_logits = np.asarray(y_logits, np.float64)
    return y_logits - np.logaddexp.reduce(y_logits, axis=1, keepdims=True)


def name_clusters(
    y_logits: Float[NDArray, "n clusters"], y: Int[NDArray, " n"]
) -> Int[NDArray, " clusters"] | None:
    """The class of each cluster: that of the labelled image surest to belong to it.

    Returns:
      `[clusters]`, or None where no image has a label.

    Source: Makhzani et al. 2015, section 6. The images are held-out ones there.
    """
    y_logits, y = y_logits[y >= 0], y[y >= 0]
    if not len(y):
        return None
    return y[log_shares(y_logits).argmax(axis=0)]


def cluster_error(
    y_logits: Float[NDArray, "n clusters"],
    y: Int[NDArray, " n"],
    classes: Int[NDArray, " clusters"],
) -> dict[str, float | int] | None:
    """How well clusters tell the classes once each cluster has been given a class.

    Args:
      y_logits, y: of the images that are measured; -1 where there is no label.
      classes: the class of each cluster, see `name_clusters`.

    Returns:
      `cluster_error`: the share of labelled images in a cluster of another class;
      `cluster_error_majority`: the same where a cluster's class is that of most of its
        images, which reads their own labels and is never worse;
      `clusters_used`: how many clusters have any of them.
      None where no image has a label.
    """
    y_logits, y = y_logits[y >= 0], y[y >= 0]
    if not len(y):
        return None
    cluster = y_logits.argmax(axis=1)
    counts = np.zeros((y_logits.shape[1], y.max() + 1), np.int64)
    np.add.at(counts, (cluster, y), 1)
    return {
        "cluster_error": float(np.mean(classes[cluster] != y)),
        "cluster_error_majority": float(np.mean(counts.argmax(axis=1)[cluster] != y)),
        "clusters_used": len(np.unique(cluster)),
    }
