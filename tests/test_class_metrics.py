"""Errors of classes and clusters against what one counts by hand."""

import numpy as np
import pytest

from aae_jax.class_metrics import (
    classification_error,
    cluster_error,
    log_odds,
    name_clusters,
)

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


def test_a_cluster_has_the_class_of_its_surest_image():
    """The surest of cluster 0 is a 4, though three of its four images are 2s."""
    logits = np.log(PROBABILITIES)
    np.testing.assert_array_equal(name_clusters(logits, Y), [4, 2, 2])
    found = cluster_error(logits, Y, name_clusters(logits, Y))
    assert found["cluster_error"] == pytest.approx(3 / 6)
    assert found["cluster_error_majority"] == pytest.approx(1 / 6)


def test_other_images_may_name_the_clusters():
    """Of those that name them, the surest of cluster 0 is a 2: one image is wrong."""
    naming = np.log([[0.95, 0.04, 0.01], [0.10, 0.30, 0.60], [0.05, 0.90, 0.05]])
    classes = name_clusters(naming, np.array([2, 7, 2]))
    np.testing.assert_array_equal(classes, [2, 2, 7])
    found = cluster_error(np.log(PROBABILITIES), Y, classes)
    assert found["cluster_error"] == pytest.approx(1 / 6)


def test_the_surest_is_so_by_its_probability_not_by_its_logit():
    logits = np.log(PROBABILITIES) + np.array([[0], [0], [0], [0], [0], [9.0]])
    np.testing.assert_array_equal(name_clusters(logits, Y), [4, 2, 2])
    # Their shares round to 1, in float32 or in float64 too; their logits tell.
    for least, most in ((30.0, 40.0), (40.0, 50.0), (800.0, 900.0)):
        sure = np.array([[least, 0], [most, 0], [least, 0], [0, 9]], np.float32)
        named = name_clusters(sure, np.array([0, 1, 0, 0]))
        np.testing.assert_array_equal(named, [1, 0])


def test_log_odds_are_those_of_the_shares():
    logits = np.random.default_rng(0).normal(size=(20, 5)) * 3
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(log_odds(logits), np.log(shares / (1 - shares)))


def test_images_without_a_label_do_not_count():
    logits, y = np.log(PROBABILITIES), np.where(np.arange(6) == 0, -1, Y)
    found = cluster_error(logits, y, name_clusters(logits, y))
    assert found["cluster_error"] == found["cluster_error_majority"] == 0
    none = np.full(6, -1)
    assert name_clusters(logits, none) is None
    assert cluster_error(logits, none, np.zeros(3, np.int32)) is None


def test_majority_is_never_worse_than_any_other_naming():
    rng = np.random.default_rng(0)
    for _ in range(20):
        logits, y = rng.normal(size=(50, 7)), rng.integers(0, 4, 50)
        for classes in (name_clusters(logits, y), rng.integers(0, 4, 7)):
            found = cluster_error(logits, y, classes)
            assert found["cluster_error_majority"] <= found["cluster_error"]
