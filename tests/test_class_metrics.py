"""Errors of classes and clusters against what one counts by hand."""

import numpy as np
import pytest

from aae_jax.class_metrics import classification_error, cluster_error

# Six images, three clusters.
PROBABILITIES = np.array(
    [
        [0.90, 0.05, 0.05],
        [0.80, 0.15, 0.05],
        [0.60, 0.30, 0.10],
        [0.10, 0.85, 0.05],
        [0.20, 0.70, 0.10],
        [0.55, 0.40, 0.05],
    ]
)
Y = np.array([4, 2, 2, 2, 2, 2])


def test_classification_error_counts_wrong_classes():
    y = np.array([0, 0, 1, 1, 1, -1])
    assert classification_error(np.log(PROBABILITIES), y) == pytest.approx(1 / 5)
    assert classification_error(PROBABILITIES, np.full(6, -1)) is None


def test_a_cluster_has_the_class_of_its_surest_image_or_of_most():
    """The surest of cluster 0 is a 4, and three of its four images are 2s."""
    found = cluster_error(np.log(PROBABILITIES), Y)
    assert found["cluster_error"] == pytest.approx(3 / 6)
    assert found["cluster_error_majority"] == pytest.approx(1 / 6)
    assert found["clusters_used"] == 2


def test_the_surest_is_so_by_its_probability_not_by_its_logit():
    logits = np.log(PROBABILITIES) + np.array([[0], [0], [0], [0], [0], [9.0]])
    assert cluster_error(logits, Y) == cluster_error(np.log(PROBABILITIES), Y)
    # float32 rounds both to 1, their logits still tell who is surer.
    sure = np.array([[40.0, 0.0], [30.0, 0.0], [30.0, 0.0], [0.0, 9.0]], np.float32)
    assert cluster_error(sure, np.array([1, 0, 0, 0]))["cluster_error"] == 0.5


def test_images_without_a_label_do_not_count():
    y = np.where(np.arange(6) == 0, -1, Y)
    found = cluster_error(np.log(PROBABILITIES), y)
    assert found["cluster_error"] == found["cluster_error_majority"] == 0
    assert cluster_error(PROBABILITIES, np.full(6, -1)) is None


def test_majority_is_never_worse_than_the_rule():
    rng = np.random.default_rng(0)
    for _ in range(20):
        logits, y = rng.normal(size=(50, 7)), rng.integers(0, 4, 50)
        found = cluster_error(logits, y)
        assert found["cluster_error_majority"] <= found["cluster_error"]
