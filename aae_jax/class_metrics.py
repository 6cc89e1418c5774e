"""Numbers for how well inferred categories tell the classes of images."""

import numpy as np
from jaxtyping import Float, Int


def classification_error(
    y_logits: Float[np.ndarray, "n categories"], y: Int[np.ndarray, " n"]
) -> float | None:
    """Share of the labelled images whose likeliest category is not their label.

    Returns:
      A share of 1, or None where no image has a label.
    """
    y_logits, y = y_logits[y >= 0], y[y >= 0]
    if not len(y):
        return None
    return float(np.mean(y_logits.argmax(axis=1) != y))


def log_odds(
    y_logits: Float[np.ndarray, "n categories"],
) -> Float[np.ndarray, "n categories"]:
    """log q(y|x) / (1 - q(y|x)): the order of the shares, which round to 1 too early.

    log q_k / (1 - q_k) = y_k - log sum_{j != k} exp(y_j)

    Returns:
      `[n, categories]`, float64, in nats.
    """
    y_logits = np.asarray(y_logits, np.float64)
    best = y_logits.argmax(axis=1, keepdims=True)
    highest = np.take_along_axis(y_logits, best, axis=1)
    # The best one stands apart: beside it, in one sum, the others would be lost.
    others = y_logits.copy()
    np.put_along_axis(others, best, -np.inf, axis=1)
    small = np.exp(others - highest)
    rest = highest + np.log1p(small.sum(axis=1, keepdims=True) - small)
    np.put_along_axis(
        rest, best, np.logaddexp.reduce(others, axis=1, keepdims=True), axis=1
    )
    return y_logits - rest


def name_clusters(
    y_logits: Float[np.ndarray, "n clusters"], y: Int[np.ndarray, " n"]
) -> Int[np.ndarray, " clusters"] | None:
    """The class of each cluster: that of the labelled image surest to belong to it.

    Returns:
      `[clusters]`, or None where no image has a label.

    Source: Makhzani et al. 2015, section 6. The images are held-out ones there.
    """
    y_logits, y = y_logits[y >= 0], y[y >= 0]
    if not len(y):
        return None
    return y[log_odds(y_logits).argmax(axis=0)]


def cluster_error(
    y_logits: Float[np.ndarray, "n clusters"],
    y: Int[np.ndarray, " n"],
    classes: Int[np.ndarray, " clusters"],
) -> dict[str, float] | None:
    """How well clusters tell the classes once each cluster has been given a class.

    Args:
      y_logits, y: of the images that are measured; -1 where there is no label.
      classes: the class of each cluster, see `name_clusters`.

    Returns:
      `cluster_error`: the share of labelled images in a cluster of another class;
      `cluster_error_majority`: the same where a cluster's class is that of most of its
        images, which reads their own labels and is never worse;
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
    }
