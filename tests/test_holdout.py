"""The held-out tenth: a permutation with nothing lost or shared, watched all over."""

import numpy as np
import pytest

from aae_jax.errors import UserError
from aae_jax.holdout import WATCHED, hold_out, split_sizes, watched


@pytest.mark.parametrize("n", [20, 29, 1000])
def test_every_image_is_trained_on_or_held_out(n):
    train, held_out = hold_out(n)
    assert (len(train), len(held_out)) == split_sizes(n) == (n - n // 10, n // 10)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, held_out])), range(n))
    for rows in (train, held_out):
        np.testing.assert_array_equal(rows, np.sort(rows))


def test_the_split_is_always_the_same_and_follows_no_order():
    _, held_out = hold_out(60_000)
    np.testing.assert_array_equal(held_out, hold_out(60_000)[1])
    # Of 60 blocks each has about 100; a deviation is 9.5.
    blocks = np.bincount(held_out // 1000)
    assert blocks.min() > 60
    assert blocks.max() < 140


@pytest.mark.parametrize("n", [400, 25_000, 60_000])
def test_what_is_watched_comes_from_all_over_the_file(n):
    _, held_out = hold_out(n)
    rows = watched(held_out)
    assert len(rows) == min(WATCHED, len(held_out)) == len(np.unique(rows))
    assert np.isin(rows, held_out).all()
    tenths = np.bincount(rows * 10 // n)
    expected = np.bincount(held_out * 10 // n)
    np.testing.assert_allclose(tenths / len(rows), expected / len(held_out), atol=1e-3)


def test_too_few_images_are_refused():
    with pytest.raises(UserError, match=r"19 images to train on .*; give 20 or more"):
        hold_out(19)
