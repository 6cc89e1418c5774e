"""The digits that a training has not seen: what is seen, kept apart, and measured."""

import novelty as benchmark
import novelty_tables as tables
import numpy as np
import pytest

from aae_jax import Dataset


@pytest.fixture(scope="module")
def digits():
    """Ten classes of two grey levels each, so that an image tells its row and class."""
    y = np.arange(1000, dtype=np.int32) % 10
    x = np.arange(1000, dtype=np.int32)
    images = np.stack([x // 256, x % 256], axis=1).astype(np.uint8).reshape(-1, 1, 2, 1)
    return Dataset("digits", images, y, images[::3], y[::3])


def rows_of(images):
    return {256 * int(high) + int(low) for high, low in images.reshape(-1, 2)}


@pytest.mark.parametrize("name", ["all-but-3", "only-3"])
def test_what_is_seen_is_neither_kept_apart_nor_unseen(name, digits):
    row = benchmark.ROWS[name]
    parted = benchmark.part(row, digits)
    seen = {
        index for index in range(1000) if (index % 10 == 3) == (row.protocol == "only")
    }
    trained, inliers = rows_of(parted.dataset.x_train), rows_of(parted.inliers)
    assert trained | inliers == seen
    assert not trained & inliers
    assert len(inliers) == len(seen) // 10
    assert not rows_of(parted.outliers) & seen
    inliers, outliers = benchmark.test_images(row, digits)
    assert rows_of(inliers) == {index for index in seen if index % 3 == 0}
    assert not rows_of(outliers) & seen
    if row.protocol == "only":
        assert len(parted.outliers) == len(parted.inliers)
        assert len(outliers) == len(inliers)


def test_area_counts_pairs_and_ties_as_halves():
    assert benchmark.area(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == 1
    assert benchmark.area(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 0
    # Of four pairs one is won, one tied.
    assert benchmark.area(np.array([2.0, 3.0]), np.array([2.0, 2.5])) == 3 / 8


def test_f1_at_the_best_threshold():
    inliers, outliers = np.array([1.0, 2.0, 5.0]), np.array([3.0, 4.0, 6.0])
    threshold = benchmark.best_threshold(inliers, outliers)
    # Up to 2: precision 1, recall 2/3. Up to 5: precision 3/5, recall 1.
    assert threshold == 2
    assert benchmark.f1(inliers, outliers, threshold) == pytest.approx(4 / 5)
    assert benchmark.f1(inliers, outliers, 5.0) == pytest.approx(3 / 4)


def test_a_mean_is_shown_when_all_ten_digits_are_there():
    rows = {f"all-but-{digit}": {"test": {"auc": digit / 10}} for digit in range(10)}
    assert "| 0.900 | **0.450** |" in tables.all_but(rows)
    del rows["all-but-0"]
    assert "| score | - | 0.100 |" in tables.all_but(rows)
    assert "| 0.900 | - |" in tables.all_but(rows)
