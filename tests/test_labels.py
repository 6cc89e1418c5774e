"""Which labels are kept, and how many classes there are."""

from dataclasses import replace

import numpy as np
import pytest

from aae_jax.config import Config
from aae_jax.data import Dataset
from aae_jax.errors import UserError
from aae_jax.labels import count_classes, keep_labels
from aae_jax.options import RunOptions
from aae_jax.priors import make_prior
from aae_jax.run_start import kept_labels, settle

Y = np.random.default_rng(0).integers(-1, 5, 600).astype(np.int32)


@pytest.mark.parametrize("count", [5, 7, 100, 254])
def test_kept_labels_are_those_there_were_as_many_of_each_class(count):
    kept = keep_labels(Y, count, seed=3)
    assert (kept >= 0).sum() == count
    np.testing.assert_array_equal(kept[kept >= 0], Y[kept >= 0])
    counts = np.bincount(kept[kept >= 0], minlength=5)
    assert counts.max() - counts.min() <= 1
    assert (kept.dtype, kept.shape) == (Y.dtype, Y.shape)


def test_the_seed_decides_which_labels_are_kept():
    first, again, other = (keep_labels(Y, 52, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    extra = [
        tuple(np.bincount(kept[kept >= 0]) > 10)
        for kept in (keep_labels(Y, 52, seed=seed) for seed in range(20))
    ]
    assert len(set(extra)) > 5  # which classes have one more


def test_all_labels_are_all():
    assert keep_labels(Y, "all", seed=0) is Y


@pytest.mark.parametrize("y", [Y, np.full(5, -1)])
def test_no_labels_are_none(y):
    kept = keep_labels(y, 0, seed=0)
    assert (kept == -1).all()
    assert (kept.shape, kept.dtype) == (y.shape, y.dtype)


def test_labels_of_images_without_any_are_refused():
    with pytest.raises(UserError, match="no image that is trained on has one"):
        keep_labels(np.full(10, -1), 5, seed=0)


def test_fewer_labels_are_a_part_of_more():
    few, more = (keep_labels(Y, count, seed=0) for count in (50, 100))
    assert (more[few >= 0] >= 0).all()


def test_more_labels_than_there_are_are_refused_with_the_number_there_is():
    counts = np.bincount(Y[Y >= 0])
    with pytest.raises(UserError, match=f"give --labels {5 * counts.min()} or less"):
        keep_labels(Y, 5 * int(counts.min()) + 5, seed=0)
    keep_labels(Y, 5 * int(counts.min()), seed=0)


def test_classes_are_counted_over_all_splits():
    assert count_classes(np.array([0, 3, -1]), np.array([5])) == 6
    assert count_classes(None, np.array([1])) == 2
    assert count_classes(np.array([-1])) == count_classes(None) == 0
    assert count_classes(np.array([], np.int32)) == 0


def dataset(y, y_test=None):
    x = np.random.default_rng(0).integers(0, 255, (len(y), 4, 4), np.uint8)
    return Dataset.from_arrays(x, y, x_test=x[:20], y_test=y_test)


def settled(config, data):
    return settle(config, data, RunOptions())


CLUSTERING = Config(model="clustering", steps=5, batch_size=20)


def test_the_data_tell_how_many_classes_there_are():
    data = dataset(np.arange(200) % 7)
    config = Config(model="semi-supervised", steps=5)
    assert settled(config, data).n_classes == 7
    more = Config(model="semi-supervised", steps=5, n_classes=9)
    assert settled(more, data).n_classes == 9
    assert settled(Config(steps=5), data).n_classes is None
    assert settled(CLUSTERING, data).n_classes is None


@pytest.mark.parametrize(
    ("settings", "y", "words"),
    [
        ({"model": "supervised"}, np.full(200, -1), "has none; give labels"),
        ({"model": "semi-supervised"}, np.zeros(200, int), "all labels .* are 0"),
        (
            {"model": "semi-supervised", "n_classes": 3},
            np.arange(200) % 4,
            "n_classes=3 and the data have the label 3",
        ),
        (
            {"model": "label-prior", "prior": "mixture"},
            np.arange(200) % 21,
            "21 classes, .* room for 20",
        ),
    ],
)
def test_labels_that_do_not_serve_the_model_are_refused(settings, y, words):
    with pytest.raises(UserError, match=words):
        settled(Config(steps=5, **settings), dataset(y))


def test_a_prior_of_one_s_own_may_have_parts_for_any_number_of_classes():
    data = dataset(np.arange(210) % 21)
    config = Config(model="label-prior", prior="mixture", steps=5, batch_size=20)
    own = replace(make_prior(config), name="own")
    assert settle(config, data, RunOptions(), prior=own).n_classes == 21


def test_data_without_labels_serve_models_that_read_none():
    x = np.random.default_rng(0).integers(0, 255, (200, 4, 4), np.uint8)
    data = Dataset.from_arrays(x)
    with pytest.raises(UserError, match="use --model clustering"):
        settled(Config(model="semi-supervised", steps=5), data)
    for config in (Config(steps=5), CLUSTERING):
        assert kept_labels(settled(config, data), data) is None


def test_only_training_images_give_labels():
    """Those held out keep theirs for measuring, and are not trained on."""
    data = dataset(np.arange(200) % 4)
    config = settled(Config(model="semi-supervised", labels=40, steps=5), data)
    kept = kept_labels(config, data)
    assert len(kept) == 180
    assert (kept >= 0).sum() == 40
