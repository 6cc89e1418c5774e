"""The held-out tenth: a permutation of the seed, with nothing lost or shared."""

import numpy as np
import pytest

from aae_jax.errors import UserError
from aae_jax.holdout import hold_out, split_sizes


@pytest.mark.parametrize("n", [20, 29, 1000])
def test_every_image_is_trained_on_or_held_out(n):
    train, held_out = hold_out(0, n)
    assert (len(train), len(held_out)) == split_sizes(n) == (n - n // 10, n // 10)
    np.testing.assert_array_equal(np.sort(np.concatenate([train, held_out])), range(n))
    for rows in (train, held_out):
        np.testing.assert_array_equal(rows, np.sort(rows))


def test_the_seed_alone_decides():
    first, again, other = (hold_out(seed, 1000)[1] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    # Of 100 held out of 1000, two seeds share about 10.
    assert len(np.intersect1d(first, other)) < 30


def test_too_few_images_are_refused():
    with pytest.raises(UserError, match="19 training images; give 20 or more"):
        hold_out(0, 19)
